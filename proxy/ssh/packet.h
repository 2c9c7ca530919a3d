/*
 * Binary packets, RFC 4253 §6: one direction's cipher, sequence number and counters. Opening and
 * sealing work in place; nothing is allocated but the room in the output buffer.
 */
#ifndef PROXY_SSH_PACKET_H
#define PROXY_SSH_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/cipher.h"
#include "common/crypto/rng.h"

enum {
    PACKET_LENGTH_LEN = 4,
    PACKET_PAD_MIN = 4,
    PACKET_PAD_POOL = 256,
    PACKET_OVERHEAD = 4 + 1 + 16 + 4 + CIPHER_TAG_MAX, /* most that sealing adds to a payload */
};

struct packet_dir {
    struct cipher cipher;
    uint32_t seq;      /* of the next packet */
    uint32_t body_len; /* receiving: of the packet at the front, once known; else 0 */
    uint64_t bytes;    /* since the keys were taken into use */
    uint64_t packets;
};

/* Padding bytes drawn in bulk. */
struct packet_pad {
    uint8_t pool[PACKET_PAD_POOL];
    size_t left;
};

struct packet {
    uint8_t *payload; /* inside the data given; len >= 1 */
    size_t len;
    size_t total; /* bytes of the packet with length and tag */
    uint32_t seq;
};

/*
 * Opens the packet at the front of `data` in place. ERR_MORE: not complete, nothing was changed.
 * ERR_RANGE: its length is above `max_body`, below the minimum or not aligned. ERR_MAC.
 * ERR_SYNTAX: padding or payload are impossible. After any error but ERR_MORE the direction is
 * unusable.
 */
enum err packet_open(struct packet_dir *d, uint8_t *data, size_t len, size_t max_body,
                     struct packet *out);

/* Appends `payload` as one sealed packet. ERR_LIMIT when `out` has no room; nothing changed. */
enum err packet_seal(struct packet_dir *d, struct packet_pad *pad, const struct rng *rng,
                     struct view payload, struct buf *out);

/* Takes new keys into use and clears the counters; the sequence number too for strict kex. */
enum err packet_rekey(struct packet_dir *d, const struct cipher_keys *keys, bool reset_seq);

void packet_dir_fini(struct packet_dir *d);

#endif
