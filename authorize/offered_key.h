/* The key of an SSH connection, parsed once: fingerprint, binding and what a certificate says. */
#ifndef AUTHORIZE_OFFERED_KEY_H
#define AUTHORIZE_OFFERED_KEY_H

#include "authorize/policy/facts.h"
#include "common/base/buf.h"
#include "common/crypto/cert.h"
#include "common/crypto/key.h"

struct offered_key {
    struct buf blob;
    char fingerprint[KEY_FINGERPRINT_MAX]; /* of the plain key, also for a certificate */
    char *binding;                         /* "sshkey-SHA256:…" */
    const char *type;                      /* "ssh-ed25519", a certificate's type for one */
    bool is_certificate;
    struct cert cert;
    struct facts_certificate facts;
    struct facts_option *options;
};

/*
 * ERR_SYNTAX, ERR_UNSUPPORTED, …: no key or certificate that we know. Whether a certificate's CA
 * signature verifies is in facts.is_verified.
 */
enum err offered_key_parse(struct offered_key *k, struct view blob);

/* A zeroed struct is fine. */
void offered_key_fini(struct offered_key *k);

#endif
