/*
 * URLs that one of our services made and another, or the same, believes for some minutes: the
 * browser carries them from a route's host to authenticate and back. Three parameters go behind
 * everything else: pomerium_issued and pomerium_expiry (Unix seconds) and pomerium_signature,
 * HMAC-SHA256 over all that stands before it, in base64url. The key is derived from shared_secret.
 *
 * The bytes count: scheme, host and port are to be written as browsers send them, in lower case
 * and without a default port, and the query encoded by url_encode's rules.
 */
#ifndef COMMON_JOSE_SIGNED_URL_H
#define COMMON_JOSE_SIGNED_URL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum {
    SIGNED_URL_MAX = 8192,               /* bytes, with the parameters */
    SIGNED_URL_VALID_MS = 5 * 60 * 1000, /* what callers add to the time of issue */
    SIGNED_URL_LEEWAY_MS = 60 * 1000,    /* for clocks that differ */
};

/*
 * Appends `url`, which has no fragment, and the three parameters to `out`. Times in ms, written in
 * seconds, `expires` rounded up. ERR_RANGE: the secret is shorter than 32 bytes, or the URL expires
 * before it is issued; ERR_LIMIT.
 */
enum err signed_url_sign(struct view secret, struct view url, uint64_t issued_ms,
                         uint64_t expires_ms, struct buf *out);

/*
 * Made with `secret` or with `previous` (may be empty), and in time. *out_url is what was signed,
 * without the three parameters: a view into `url`. ERR_SYNTAX: the parameters are not there, or
 * not the last; ERR_VERIFY; ERR_EXPIRED; ERR_MISMATCH: issued in the future; ERR_LIMIT above
 * SIGNED_URL_MAX; ERR_RANGE: the secret is too short.
 */
enum err signed_url_verify(struct view secret, struct view previous, struct view url,
                           uint64_t now_ms, struct view *out_url);

#endif
