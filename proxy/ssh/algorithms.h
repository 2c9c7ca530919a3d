/* Which names we offer: the profiles, and what a configuration makes of them. */
#ifndef PROXY_SSH_ALGORITHMS_H
#define PROXY_SSH_ALGORITHMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto/key.h"
#include "proxy/ssh/kexinit.h"
#include "proxy/ssh/transport.h"

/* One of a server's public host keys. */
struct algorithms_key {
    uint8_t *blob;
    size_t len;
    enum key_type type;
    bool is_cert;
    bool is_usable; /* false: a type that we do not know; keeps its index */
};

/* Copies the blob. */
void algorithms_key_init(struct algorithms_key *k, struct view blob);
void algorithms_key_fini(struct algorithms_key *k);

/* The index of the key for a negotiated algorithm, or -1. */
ptrdiff_t algorithms_key_find(const struct algorithms_key *keys, size_t count,
                              const struct key_alg *alg, bool is_cert);

/* The lists for KEXINIT. `keys` is what a server has; clients pass count 0. */
void algorithms_lists(const struct transport_config *c, const struct algorithms_key *keys,
                      size_t count, struct kexinit_lists *out);
void algorithms_lists_fini(struct kexinit_lists *l);

#endif
