/*
 * The SSH user certificates that targets trust: what is in them, and signing. Signing with RSA is
 * slow; everything here may run on any thread.
 */
#ifndef AUTHORIZE_CA_CA_H
#define AUTHORIZE_CA_CA_H

#include "common/crypto/cert.h"
#include "common/crypto/key.h"
#include "common/crypto/rng.h"

enum {
    CA_BACKDATE_S = 2 * 60, /* targets whose clock is behind */
    CA_LIFETIME_S = 5 * 60, /* from now: long enough for one authentication */
    CA_ID_PART_MAX = 256,   /* bytes of each part of the key id */
};

struct ca_request {
    const struct public_key *key; /* made by the worker for one upstream connection */
    struct view login;            /* the one principal */
    struct view session_id;
    struct view user; /* email, else user id */
    struct view connection_id;
    uint64_t now_s;
};

struct ca_certificate {
    struct buf blob;
    uint64_t serial;
    uint64_t valid_before_s;
};

/*
 * "session=ID user=EMAIL connection=ID", appended to `out`: what sshd writes into its log. Bytes
 * that could be mistaken for more than one word become '_'.
 */
enum err ca_write_key_id(const struct ca_request *r, struct buf *out);

/* Never 0. */
uint64_t ca_serial(const struct rng *rng);

/*
 * Fills *out on success; then ca_certificate_fini is the caller's. ERR_RANGE: an empty login or one
 * that no certificate can carry.
 */
enum err ca_sign(const struct ca_request *r, const struct private_key *ca, const struct rng *rng,
                 struct ca_certificate *out);
void ca_certificate_fini(struct ca_certificate *c);

#endif
