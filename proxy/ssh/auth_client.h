/*
 * The client's side of ssh-userauth as a pure engine, for one method: a certificate over a key
 * that is made for this connection alone.
 *
 *   SERVICE_REQUEST -> ACCEPT -> [AUTH_CLIENT_NEED_KEY -> auth_client_key ->] AUTH_CLIENT_CERTIFY
 *     -> auth_client_certificate -> signed request -> SUCCESS | FAILURE, and once more
 *
 * What types of keys the server takes, its server-sig-algs (RFC 8308 §3.1) says; servers that send
 * none take any, and OpenSSH 9.2 lists all that it was built with, whatever its
 * PubkeyAcceptedAlgorithms. A refusal may thus mean the type alone, so that others are tried, each
 * with a key and a certificate of its own. A target that allows fewer tries disconnects; the next
 * connection goes on from there. What the target took is tried first, and then a refusal is final
 * (auth_client_config, auth_client_hint).
 */
#ifndef PROXY_SSH_AUTH_CLIENT_H
#define PROXY_SSH_AUTH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/rng.h"
#include "proxy/ssh/sink.h"

struct key_alg;
struct private_key;

enum {
    AUTH_CLIENT_BANNER_MAX = 16384, /* bytes of banners taken in all; more are dropped */
    AUTH_CLIENT_TEXT_MAX = 1024,
    AUTH_CLIENT_TRIES_MAX = 6, /* sshd's default of MaxAuthTries */
};

enum auth_client_phase {
    AUTH_CLIENT_PHASE_IDLE,
    AUTH_CLIENT_PHASE_SERVICE,     /* SERVICE_REQUEST sent */
    AUTH_CLIENT_PHASE_KEY,         /* AUTH_CLIENT_NEED_KEY given */
    AUTH_CLIENT_PHASE_CERTIFICATE, /* AUTH_CLIENT_CERTIFY given */
    AUTH_CLIENT_PHASE_REQUESTED,   /* the signed request is sent */
    AUTH_CLIENT_PHASE_DONE,
    AUTH_CLIENT_PHASE_FAILED,
};

struct auth_client_config {
    struct sink out;
    struct view login; /* copied */
    uint64_t deadline; /* absolute ms for the whole exchange; 0 = none */
    struct rng rng;
    const struct key_alg *first; /* the order of tries begins with it; NULL = ed25519 */
    bool first_is_known;         /* the target took it before: its refusal means the person */
};

enum auth_client_event_type {
    AUTH_CLIENT_NEED_KEY, /* an RSA key, which takes long to make: auth_client_key */
    AUTH_CLIENT_CERTIFY,  /* get a certificate for public_key, then auth_client_certificate */
    AUTH_CLIENT_BANNER,   /* text for the person */
    AUTH_CLIENT_SUCCESS,
    AUTH_CLIENT_FAILED, /* disconnect; failure says why, text is what the target said */
};

enum auth_client_failure {
    AUTH_CLIENT_REFUSED,  /* FAILURE: text = methods it would take */
    AUTH_CLIENT_PARTIAL,  /* FAILURE with partial success: it wants more; text = methods */
    AUTH_CLIENT_SERVICE,  /* no ssh-userauth */
    AUTH_CLIENT_PROTOCOL, /* a message that is not legal here */
    AUTH_CLIENT_TIMEOUT,
    AUTH_CLIENT_KEY_TIMEOUT, /* no auth_client_key in time */
    AUTH_CLIENT_KEY,         /* no key type in common, or the certificate cannot be used */
};

/* Views live until the next feed, next, auth_client_certificate or fini. */
struct auth_client_event {
    enum auth_client_event_type type;
    struct view public_key; /* CERTIFY: wire blob */
    struct view text;       /* BANNER, FAILED: as received, not made printable */
    enum auth_client_failure failure;
};

struct auth_client {
    struct sink out;
    enum auth_client_phase phase;
    enum auth_client_failure failure;
    uint64_t deadline;
    struct buf login;
    struct buf session_id;
    struct buf sig_algs; /* empty: not announced */
    struct private_key *key;
    struct rng rng;
    const struct key_alg *first;
    bool first_is_known;
    const struct key_alg *alg; /* of this try; NULL: none yet */
    const struct key_alg *began;
    unsigned tries;
    unsigned tried; /* bits by place in the order of tries */
    struct buf banner;
    struct buf text;
    size_t banner_total;
    bool banner_shown;
    bool need_key_pending;
    bool certify_pending;
    bool success_pending;
    bool failed_pending;
};

/* `session_id` is the transport's; copied. */
void auth_client_init(struct auth_client *a, const struct auth_client_config *config,
                      struct view session_id);
void auth_client_fini(struct auth_client *a);

/* Sends SERVICE_REQUEST. */
void auth_client_start(struct auth_client *a);

/* server-sig-algs of an EXT_INFO, a comma separated list; ignored once the key is made. */
void auth_client_sig_algs(struct auth_client *a, struct view list);

/* As auth_server_feed. */
enum err auth_client_feed(struct auth_client *a, struct view payload);
bool auth_client_next(struct auth_client *a, struct auth_client_event *out_event);

/* The certificate (wire blob) over the key of CERTIFY: signs and sends the request. */
void auth_client_certificate(struct auth_client *a, struct view certificate);

/* The RSA key of NEED_KEY; taken over, also when nobody waits for it any more. */
void auth_client_key(struct auth_client *a, struct private_key *key);

/*
 * The server has disconnected. True: that is how it refuses the last of several tries, and FAILED
 * says so.
 */
bool auth_client_ended(struct auth_client *a);

/*
 * What to begin with at the next connection to this target, when this one is over: what it took, or
 * after a refusal what was not tried yet. NULL: nothing was learnt.
 */
const struct key_alg *auth_client_hint(const struct auth_client *a, bool *out_is_known);

/* Absolute ms; UINT64_MAX when there is none. */
uint64_t auth_client_deadline(const struct auth_client *a);
void auth_client_tick(struct auth_client *a, uint64_t now);

#endif
