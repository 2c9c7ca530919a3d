/*
 * SSH binary packets under one direction's keys (RFC 4253 §6): chacha20-poly1305@openssh.com
 * (PROTOCOL.chacha20poly1305), aes-gcm@openssh.com (RFC 5647 with the length as associated data),
 * aes-ctr (RFC 4344) with an encrypt-then-MAC HMAC, and "none" before the first NEWKEYS.
 *
 * A packet in memory is: length (4) | body (`body_len` = the length's value: padding length,
 * payload, padding) | tag (cipher_tag_len). Everything works in place and allocates nothing.
 *
 * In every cipher but "none" the length field stands outside the blocks: body_len is a multiple of
 * cipher_block_len. In "none" 4 + body_len is. The caller pads and checks.
 */
#ifndef COMMON_CRYPTO_CIPHER_H
#define COMMON_CRYPTO_CIPHER_H

#include "common/base/err.h"
#include "common/base/view.h"

enum cipher_alg {
    CIPHER_NONE,
    CIPHER_CHACHA20_POLY1305,
    CIPHER_AES128_GCM,
    CIPHER_AES256_GCM,
    CIPHER_AES128_CTR,
    CIPHER_AES192_CTR,
    CIPHER_AES256_CTR,
    CIPHER_ALG_COUNT,
};

enum cipher_mac {
    CIPHER_MAC_NONE, /* "none", and the implicit MAC of chacha20-poly1305 and AES-GCM */
    CIPHER_MAC_SHA256_ETM,
    CIPHER_MAC_SHA512_ETM,
    CIPHER_MAC_COUNT,
};

enum { CIPHER_KEY_MAX = 64, CIPHER_IV_MAX = 16, CIPHER_MAC_KEY_MAX = 64, CIPHER_TAG_MAX = 64 };

struct cipher_info {
    const char *name; /* as in KEXINIT */
    size_t key_len;   /* bytes of key to derive (chacha20-poly1305: 64) */
    size_t iv_len;    /* bytes of IV to derive (chacha20-poly1305: 0) */
    size_t block_len; /* alignment of packets; 8 or 16. 8 also decides when to rekey */
    size_t tag_len;   /* without a MAC of its own */
    bool needs_mac;   /* a MAC is negotiated beside it */
};

struct cipher_mac_info {
    const char *name;
    size_t key_len;
    size_t tag_len;
};

/* Rows; never NULL for a value below COUNT. */
const struct cipher_info *cipher_info(enum cipher_alg alg);
const struct cipher_mac_info *cipher_mac_info(enum cipher_mac mac);

/* By KEXINIT name; "none" is not found. ERR_UNSUPPORTED. */
enum err cipher_find(struct view name, enum cipher_alg *out_alg);
enum err cipher_mac_find(struct view name, enum cipher_mac *out_mac);

/*
 * Everything that a context is made of, as plain data: this is what a transport exports. `iv`
 * moves with each packet (AES-GCM: RFC 5647 §7.1 invocation counter; CTR: the next counter block).
 */
struct cipher_keys {
    enum cipher_alg alg;
    enum cipher_mac mac; /* CIPHER_MAC_NONE unless the cipher needs one */
    uint8_t key[CIPHER_KEY_MAX];
    uint8_t iv[CIPHER_IV_MAX];
    uint8_t mac_key[CIPHER_MAC_KEY_MAX];
};

struct cipher {
    struct cipher_keys keys;
    struct cipher_state *state; /* key schedules, one allocation per key */
};

/*
 * A zeroed struct cipher is CIPHER_NONE and valid without init. Copies the keys. ERR_STATE when
 * alg and mac do not go together. Frees what an earlier init left.
 */
enum err cipher_init(struct cipher *c, const struct cipher_keys *keys);

/* Wipes; leaves CIPHER_NONE. */
void cipher_fini(struct cipher *c);

size_t cipher_block_len(const struct cipher *c);
size_t cipher_tag_len(const struct cipher *c);

/*
 * body_len out of a packet's first 4 bytes, which are not changed. Unauthenticated: the caller
 * checks it against its limit and the block length before it waits for more.
 */
uint32_t cipher_length(const struct cipher *c, uint32_t seq, const uint8_t in[4]);

/*
 * Checks the tag of the packet with sequence number `seq`, in constant time and before anything is
 * decrypted, then decrypts the body in place; the 4 length bytes become clear text too. `packet`
 * has 4 + body_len + tag_len bytes. ERR_VERIFY: the connection is over, the body is unspecified.
 */
enum err cipher_open(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len);

/*
 * The inverse: `packet` holds body_len clear text bytes behind 4 bytes of room, which this fills
 * with the length, and room for the tag behind.
 */
void cipher_seal(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len);

/* The keys with the present IV; cipher_init with them goes on where `c` is. Wipe after use. */
void cipher_export(const struct cipher *c, struct cipher_keys *out);

#endif
