/*
 * Public keys for signatures as JSON (RFC 7517, 7518 §6, 8037): RSA from 2,048 bits, EC P-256,
 * P-384 and P-521, Ed25519.
 */
#ifndef COMMON_JOSE_JWK_H
#define COMMON_JOSE_JWK_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/jwa.h"
#include "common/json/json.h"

enum {
    JWK_COUNT_MAX = 100,
    JWK_SET_MAX = 1 << 18, /* bytes of JSON */
};

struct jwk {
    char *kid; /* "" when it has none */
    char *alg; /* "" when it is not tied to one */
    struct jwa_key key;
};

/* A zeroed struct jwk_set is empty. */
struct jwk_set {
    struct jwk *items;
    size_t count;
};

/*
 * A JWK set. Keys that are of no use here (other types and curves, "use" other than sig, key_ops
 * without verify, weak or malformed ones) are skipped. ERR_SYNTAX when it is no set, ERR_LIMIT.
 * Replaces what was in `out`.
 */
enum err jwk_set_parse(struct view text, struct jwk_set *out);
void jwk_set_fini(struct jwk_set *set);

/* A single key; ERR_UNSUPPORTED for one that is of no use. Ended with jwk_fini. */
enum err jwk_parse(const struct json *value, struct jwk *out);
void jwk_fini(struct jwk *k);

#endif
