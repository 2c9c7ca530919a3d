/* KEXINIT and the negotiation, RFC 4253 §7.1. Index 0 is client to server, 1 server to client. */
#ifndef PROXY_SSH_KEXINIT_H
#define PROXY_SSH_KEXINIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/cipher.h"
#include "common/crypto/kex.h"
#include "common/crypto/key.h"

enum {
    KEXINIT_COOKIE_LEN = 16,
    KEXINIT_MAX = 35000,     /* bytes of one payload, in a rekey too */
    KEXINIT_NAMES_MAX = 256, /* names in one list: each is compared with each of ours */
};

/* What we offer, comma separated, only names that we have; both directions alike. */
struct kexinit_lists {
    char *kex;
    char *host_key;
    char *cipher;
    char *mac;
};

struct kexinit {
    struct view kex;
    struct view host_key;
    struct view cipher[2];
    struct view mac[2];
    struct view compression[2];
    bool first_follows;
};

/* Appends our KEXINIT. The first one carries ext-info and kex-strict markers. */
enum err kexinit_write(struct buf *out, const struct kexinit_lists *ours, bool is_server,
                       bool is_first, const uint8_t cookie[KEXINIT_COOKIE_LEN]);

/* Views into `payload`. ERR_SYNTAX, ERR_LIMIT. */
enum err kexinit_parse(struct view payload, struct kexinit *out);

/* The markers that a peer's first KEXINIT may carry. */
bool kexinit_has_strict(const struct kexinit *theirs, bool peer_is_server);
bool kexinit_has_ext_info(const struct kexinit *theirs, bool peer_is_server);

/* True when the packet after the peer's KEXINIT is a guess that we ignore. */
bool kexinit_is_wrong_guess(const struct kexinit_lists *ours, const struct kexinit *theirs);

struct kexinit_choice {
    enum kex_method kex;
    const struct key_alg *host_key;
    bool host_key_is_cert;
    enum cipher_alg cipher[2];
    enum cipher_mac mac[2];
};

/* Which list had nothing in common; views into the arguments. */
struct kexinit_mismatch {
    const char *what; /* "key exchange", "cipher, client to server", … */
    struct view client;
    struct view server;
};

/* ERR_NEGOTIATION with *out_why. */
enum err kexinit_negotiate(const struct kexinit_lists *ours, const struct kexinit *theirs,
                           bool is_server, struct kexinit_choice *out,
                           struct kexinit_mismatch *out_why);

#endif
