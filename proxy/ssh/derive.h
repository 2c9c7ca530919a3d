/* The exchange hash and the keys made from it: RFC 4253 §8 and §7.2, RFC 5656 §4. */
#ifndef PROXY_SSH_DERIVE_H
#define PROXY_SSH_DERIVE_H

#include <stdint.h>

#include "common/base/view.h"
#include "common/crypto/cipher.h"
#include "common/crypto/digest.h"

/* Everything that goes into H, in order. `secret` is K as encoded already (struct kex_secret). */
struct derive_hash {
    struct view client_ident;
    struct view server_ident;
    struct view client_kexinit;
    struct view server_kexinit;
    struct view host_key;
    struct view client_share;
    struct view server_share;
    struct view secret;
};

/* Writes digest_len(alg) bytes. */
void derive_hash(enum digest_alg alg, const struct derive_hash *in, uint8_t *out);

struct derive_keys {
    enum digest_alg alg;
    struct view secret;
    struct view hash;
    struct view session_id;
};

/* Key, IV and MAC key of one direction into out->key, iv, mac_key; alg and mac are given. */
void derive_keys(const struct derive_keys *d, bool is_client_to_server, struct cipher_keys *out);

#endif
