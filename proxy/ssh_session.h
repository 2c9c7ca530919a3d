/*
 * One SSH connection through the proxy: the client's leg with its authentication, the questions to
 * authorize, the target's leg with its own, and the bridge between the two. Whatever happens is put
 * in and then one turn is taken; a session frees itself at the end of a turn.
 *
 * The header is for the proxy's ssh_*.c alone.
 */
#ifndef PROXY_SSH_SESSION_H
#define PROXY_SSH_SESSION_H

#include "common/crypto/key.h"
#include "common/io/address.h"
#include "common/io/dial.h"
#include "common/io/timer.h"
#include "proxy/decide.h"
#include "proxy/rsa_pool.h"
#include "proxy/ssh/auth_client.h"
#include "proxy/ssh/auth_server.h"
#include "proxy/ssh/bridge.h"
#include "proxy/ssh_leg.h"
#include "proxy/ssh_service.h"
#include "proxy/ssh_startups.h"

enum {
    SSH_SESSION_CLOSE_MS = 2000, /* from a cut or a DISCONNECT to the end of the socket */
    SSH_SESSION_LATE_MS = 10000, /* after ssh_sign_in_timeout, when authorize says nothing */
    SSH_UPSTREAM_HANDSHAKE_MS = 15000,
    SSH_UPSTREAM_AUTH_MS = 30000,
    SSH_UPSTREAM_ADDRESSES_MAX = 16,
};

enum ssh_session_phase {
    SSH_SESSION_HANDSHAKE, /* no session id yet */
    SSH_SESSION_AUTH,
    SSH_SESSION_LIVE,
    SSH_SESSION_CLOSING, /* what was sent goes out */
    SSH_SESSION_OVER,    /* freed at the end of the turn */
};

/* The way to the target. */
struct ssh_upstream {
    struct ssh_leg leg;
    struct dial *dial;
    struct auth_client auth;
    struct rsa_wait rsa_wait;
    bool is_authenticating; /* auth is there */
    bool is_ready;
    char **addresses;
    size_t address_count;
    size_t address_at; /* in use */
    char *host_key_algorithms;
    char *login;
    char *route; /* for sentences */
};

/* Signatures for one hostkeys-prove. */
struct ssh_prove {
    size_t keys[RELAY_PROVE_MAX];
    size_t count;
    size_t done;
    struct buf signatures[RELAY_PROVE_MAX];
};

struct ssh_session {
    struct ssh_service *service;
    const struct worker_config *config;
    uint64_t slot;
    enum ssh_session_phase phase;
    bool in_turn;
    bool again; /* something came in during the turn */
    char id[DECIDE_ID_LEN + 1];
    struct address peer;
    char source[ADDRESS_TEXT_MAX];
    struct ssh_startup startup;
    struct ssh_leg down;
    struct auth_server auth;
    bool has_auth;
    struct decide_link link;
    struct ssh_upstream up;
    struct bridge bridge;
    bool is_bridged;
    struct shell *shell; /* instead of a target; NULL: there is a route */
    struct ssh_prove prove;
    struct view *host_keys; /* views into config */
    struct timer timer;
    uint64_t grace_left;  /* ms that the client still has */
    uint64_t grace_since; /* 0: paused */
    uint64_t sign_in_at;  /* when the wait for a person ends; TIMER_NEVER */
    uint64_t access_at;   /* of the next access log line; TIMER_NEVER */
    uint64_t hard_at;     /* when the socket is closed in any case; TIMER_NEVER */
    bool is_cut;
    bool is_hard; /* hard_at has come: nothing is waited for */
    /* for the log */
    uint64_t opened_at; /* live since */
    uint64_t serial;
    char *login;
    char *route;
    char *fingerprint;
    char *session_id;
    char *email;
    char *user_id;
    char *route_id;
    char *reason;
    /* for the metrics */
    const char *outcome;       /* of the login, static; NULL: none yet */
    enum err failure;          /* of the handshake; OK: the client went away */
    bool has_signed_in;        /* a person was asked to */
    uint64_t asked_us;         /* a decision is awaited since then; 0: none is */
    uint64_t certify_us;       /* a certificate */
    uint64_t dialled_us;       /* the target */
    uint64_t counted_bytes[2]; /* by relay side: are in the metrics already */
};

/* Takes over `fd`. */
struct ssh_session *ssh_session_new(struct ssh_service *service, int fd,
                                    const struct address *peer);

/* Puts through what there is; frees the session when it is over. */
void ssh_session_turn(struct ssh_session *s);

/*
 * Ends it: the client gets DISCONNECT with the text, the target is let go. `reason` is for the log.
 * Nothing but the first call counts.
 */
void ssh_session_end(struct ssh_session *s, uint32_t code, struct view text, const char *reason);

/* The client's transport said DISCONNECTED or FAILED. */
void ssh_session_client_ended(struct ssh_session *s, const struct transport_event *e);

/* Ends it with a sentence for the person, in the way that fits its phase; then a turn. */
void ssh_session_cut(struct ssh_session *s, const char *sentence, const char *reason);

/* A line for the person, if there is one to see it. */
void ssh_session_warn(struct ssh_session *s, const char *line);

/* Closes the socket at once and frees. */
void ssh_session_free(struct ssh_session *s);

/* --- ssh_session_auth.c: the client's authentication and what authorize says --- */
void ssh_auth_start(struct ssh_session *s, struct view session_id);
void ssh_auth_feed(struct ssh_session *s, const struct transport_event *e);
void ssh_auth_events(struct ssh_session *s);
extern const struct decide_events ssh_auth_decide_events;

/* --- ssh_upstream.c --- */
void ssh_upstream_start(struct ssh_session *s, const struct decide_decision *d);
/* What its transport and authentication have to say; true when something happened. */
bool ssh_upstream_events(struct ssh_session *s);
void ssh_upstream_certificate(struct ssh_session *s, struct view certificate);
uint64_t ssh_upstream_deadline(const struct ssh_session *s);
void ssh_upstream_tick(struct ssh_session *s, uint64_t now);
void ssh_upstream_fini(struct ssh_session *s);

/* --- ssh_shell.c: the management shell --- */
void ssh_shell_start(struct ssh_session *s);
void ssh_shell_event(struct ssh_session *s, const struct shell_event *e);
void ssh_shell_result(struct ssh_session *s, uint32_t status, const char *text);
void ssh_shell_fini(struct ssh_session *s);

/* --- ssh_session_live.c: the relay --- */
void ssh_live_start(struct ssh_session *s);
/* True when something happened. */
bool ssh_live_events(struct ssh_session *s);
void ssh_live_fini(struct ssh_session *s);

/* --- ssh_sign.c: signatures by the supervisor --- */
void ssh_sign_kex(struct ssh_session *s, const struct transport_event *e);
void ssh_sign_prove(struct ssh_session *s, const struct relay_event *e);

/* --- ssh_access.c --- */
enum ssh_access { SSH_ACCESS_OPEN, SSH_ACCESS_UPDATE, SSH_ACCESS_CLOSE };
void ssh_access_log(const struct ssh_session *s, enum ssh_access event);

#endif
