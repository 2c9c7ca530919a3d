/*
 * Signed tokens in the compact form (RFC 7515): the public key algorithms of common/crypto/jwa.h
 * with the keys of a set, HS256 with a secret of our own. "none" does not exist here, and the
 * header's alg has to be one of the key's type, so a public key never becomes a secret.
 */
#ifndef COMMON_JOSE_JWS_H
#define COMMON_JOSE_JWS_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/jose/jwk.h"
#include "common/json/json.h"

enum { JWS_MAX = 1 << 16 };

/* A token taken apart and not yet to be believed. */
struct jws {
    bool is_hs256;
    enum jwa_alg alg; /* unless HS256 */
    struct json *header;
    struct view kid;    /* .ptr is NULL when there is none; lives as the header */
    struct buf covered; /* "header.payload", what the signature covers */
    struct buf payload; /* decoded */
    struct buf signature;
};

/*
 * ERR_SYNTAX, ERR_LIMIT above JWS_MAX, ERR_UNSUPPORTED for another alg or any "crit". On success
 * to be ended with jws_fini.
 */
enum err jws_parse(struct view token, struct jws *out);
void jws_fini(struct jws *t);

/*
 * With the keys of the token's kid and those that have none; a token without kid with any key.
 * ERR_NOT_FOUND: there is no such key (fetch the set again); ERR_VERIFY: none of them made this
 * signature, or they are for another alg; ERR_UNSUPPORTED: HS256.
 */
enum err jws_verify(const struct jws *t, const struct jwk_set *keys);

/* HS256 alone; ERR_UNSUPPORTED for another alg. The secret is at least 32 bytes (else ERR_RANGE).
 */
enum err jws_verify_hs256(const struct jws *t, struct view secret);

/* Appends {"alg":"HS256","typ":TYP}.payload.signature. `kid` may be NULL. */
enum err jws_sign_hs256(struct view payload, const char *typ, const char *kid, struct view secret,
                        struct buf *out);

#endif
