/*
 * The key of a publickey request: which ones we take, and the signature over the request
 * (RFC 4252 §7). A certificate stands for the key in it; that it is a well formed user certificate
 * signed by its own CA is checked here, whether that CA is trusted is a matter of policy.
 */
#ifndef PROXY_SSH_AUTH_KEY_H
#define PROXY_SSH_AUTH_KEY_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/key.h"

struct auth_key {
    struct public_key key; /* of a certificate: the certified key */
    struct view type;      /* the blob's own type name, a view into it */
};

/*
 * ERR_UNSUPPORTED: an algorithm or type that we do not take ("ssh-rsa" signatures are SHA-1).
 * ERR_MISMATCH: the algorithm is not one of the blob's type. ERR_SYNTAX and others: malformed.
 * ERR_VERIFY: the certificate's signature. ERR_DENIED: not a user certificate.
 */
enum err auth_key_parse(struct auth_key *k, struct view algorithm, struct view blob);
void auth_key_fini(struct auth_key *k);

/*
 * The signature over string(session_id) || request, where `request` is the payload of the
 * USERAUTH_REQUEST from its number byte up to the signature. ERR_VERIFY and as public_key_verify.
 */
enum err auth_key_verify(const struct auth_key *k, struct view algorithm, struct view session_id,
                         struct view request, struct view signature);

#endif
