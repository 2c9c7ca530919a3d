/*
 * The worker's end of the Decide stream (proto/postern/decide.proto): one stream to one authorize,
 * kept up, and moved to another replica when it breaks or is silent for 3 s, or when another one
 * serves fewer workers. Each connection has a
 * link; the links know what a Register needs, so that a new stream learns of every live and
 * waiting connection, and questions that were not answered are asked again.
 *
 * A question that has no answer within grpc_client_timeout is answered here, by a sentence. Without
 * an authorize live connections go on for revocation_grace; their users are warned at half of it.
 *
 * What is asked about is an SSH login, a tunnel, or a request that is neither ("http": who may see
 * what). The last is one question: it is answered and forgotten, never live.
 *
 * Events are never raised inside a call of this header.
 */
#ifndef PROXY_DECIDE_H
#define PROXY_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/loop.h"
#include "common/io/tls.h"
#include "common/rpc/rpc.h"
#include "proxy/supervisor/worker_message.h"
#include "proxy/tunnel/cluster.h"

enum {
    DECIDE_PROTOCOL = 1,
    DECIDE_HEARTBEAT_MS = 1000,
    DECIDE_SILENCE_MS = 3000,
    DECIDE_REGISTER_MAX = 500, /* connections of one Register, as the next */
    DECIDE_REGISTER_BYTES = 1 << 20,
    DECIDE_ID_LEN = 32,
    DECIDE_TOKEN_MAX = 16 * 1024,
    DECIDE_LEAF_MAX = 16 * 1024,
};

enum decide_protocol { DECIDE_SSH, DECIDE_TCP, DECIDE_UDP, DECIDE_HTTP };

/* Why it is not ALLOW; of all but SSH. The numbers of the message. */
enum decide_cause {
    DECIDE_CAUSE_NONE,
    DECIDE_UNAUTHENTICATED,
    DECIDE_TOKEN_INVALID,
    DECIDE_POLICY,
    DECIDE_ROUTE_NOT_FOUND,
    DECIDE_CLIENT_CERTIFICATE,
    DECIDE_UNAVAILABLE,
};

enum decide_verdict {
    DECIDE_DENY,
    DECIDE_ALLOW,
    DECIDE_LOGIN,
    DECIDE_NEXT_KEY,
};

struct decide_state_version {
    uint64_t server_version;
    uint64_t record_version;
    char *config_hash;
};

/* Texts are never NULL; all of it lives until the callback returns. */
struct decide_decision {
    enum decide_verdict verdict;
    const char *sentence;
    const char *prompt; /* LOGIN, down to code */
    const char *url;
    const char *match_code;
    const char *code;
    const char *const *addresses; /* ALLOW, down to route_id: host:port, in the order to try */
    size_t address_count;
    const char *const *host_key_types;
    size_t host_key_type_count;
    const char *login;
    const char *route;
    const char *session_id;
    const char *user_id;
    const char *email;
    const char *route_id;
    const char *binding_key;
    bool shell; /* ALLOW: the management shell; there are no addresses */
    struct decide_state_version state;
    enum decide_cause cause;
    struct view body;     /* HTTP, ALLOW: what is answered */
    bool service_account; /* ALLOW: the identity is one */
};

enum decide_shell_verb { DECIDE_WHOAMI, DECIDE_LOGOUT };

struct decide_events {
    void (*on_decision)(void *ctx, const struct decide_decision *d);
    /* The sign-in was denied or has expired; an accepted one gives on_decision instead. */
    void (*on_login_ended)(void *ctx, const char *sentence);
    void (*on_certificate)(void *ctx, struct view certificate, uint64_t serial);
    void (*on_refusal)(void *ctx, const char *sentence);
    void (*on_shell)(void *ctx, uint32_t status, const char *text);
    void (*on_cut)(void *ctx, const char *reason);
    /* A line for the user while no authorize can be reached. */
    void (*on_warn)(void *ctx, const char *line);
};

/* What a request says (TunnelFacts); views are copied. */
struct decide_tunnel {
    struct view authority;
    struct view method;
    struct view path;
    struct view token;
    unsigned token_place; /* TunnelFacts.TokenPlace */
    struct tls_client_certificate certificate;
    struct view user_agent;
    const char *request_id;
};

/* What is asked about; views are copied. */
struct decide_check {
    enum decide_protocol protocol;
    const char *source;                 /* textual IP */
    const struct decide_tunnel *tunnel; /* all but SSH; else the rest */
    struct view login;
    struct view route;
    struct view key;
    struct view key_type;
    struct view client_version;
};

enum decide_link_phase {
    DECIDE_LINK_IDLE,
    DECIDE_LINK_CHECKING, /* asked; also between an accepted login and its decision */
    DECIDE_LINK_WAITING,  /* a person signs in */
    DECIDE_LINK_LIVE,     /* allowed */
};

/* One connection's end. Part of the connection; the members are decide.c's. */
struct decide_link {
    struct decide *decide;
    const struct decide_events *events;
    void *ctx;
    struct decide_link *prev;
    struct decide_link *next;
    char id[DECIDE_ID_LEN + 1];
    enum decide_link_phase phase;
    bool is_sent;       /* the question is on the present stream */
    bool is_cut;        /* authorize waits for CutDone */
    uint64_t answer_at; /* when a question is given up */
    uint32_t attempt;
    enum decide_protocol protocol;
    struct decide_facts *facts; /* NULL: SSH */
    char *source;
    char *login;
    char *route;
    struct buf key;
    char *key_type;
    char *client_version;
    struct decide_state_version state;
    char *code;
    char *binding_key;
    char *session_id;
    char *user_id;
    uint64_t since_ms; /* Unix */
    /* Certify */
    bool is_certifying;
    bool certify_sent;
    uint64_t certify_at;
    uint32_t request;
    struct buf public_key;
    struct buf host_key;
    char *upstream;
    /* ShellCommand */
    bool is_in_shell;
    bool shell_sent;
    enum decide_shell_verb shell_verb;
    uint64_t shell_at;
    uint32_t shell_request;
};

struct decide;

struct decide_host {
    struct loop *loop;
    struct rpc *rpc;
    const char *instance_id; /* copied, as the next */
    const char *build;
    void (*on_state)(void *ctx, bool connected, const char *why); /* may be NULL */
    void *ctx;
};

struct decide *decide_new(const struct decide_host *host);

/* Opens the stream, or opens it again when targets or identity changed. ERR_CONFIG. */
enum err decide_configure(struct decide *d, const struct worker_config *config);

/* Closes the stream; `closed` (may be NULL) later. No event comes any more. */
void decide_stop(struct decide *d, loop_fn closed, void *ctx);

/* After `closed`, or without a decide_configure; every link is closed. */
void decide_free(struct decide *d);

bool decide_is_connected(const struct decide *d);

/*
 * The clusters in force belong to one watcher: `fn(ctx)` when there are new ones to take, also
 * later when there are some now. NULL ends it. A stream that is lost leaves them in force.
 */
void decide_watch_clusters(struct decide *d, loop_fn fn, void *ctx);

/* NULL when there are no newer ones than those that were taken. */
struct cluster_specs *decide_take_clusters(struct decide *d);

/* `id` is DECIDE_ID_LEN hex digits; `events` is static. */
void decide_link_open(struct decide *d, struct decide_link *l, const char *id,
                      const struct decide_events *events, void *ctx);

/* The connection is gone: withdraws a question, reports an allowed connection as closed. */
void decide_link_close(struct decide_link *l, uint64_t bytes_in, uint64_t bytes_out,
                       const char *reason);

/* Answered by one on_decision; a newer question takes the place of an older one. */
void decide_ask(struct decide_link *l, const struct decide_check *check);

/* No answer and no end of a sign-in is wanted any more. */
void decide_withdraw(struct decide_link *l);

/* Answered by on_certificate or on_refusal. */
void decide_certify(struct decide_link *l, struct view public_key, struct view host_key,
                    const char *upstream);

/* Of the management shell; answered by on_shell. One at a time. */
void decide_shell(struct decide_link *l, enum decide_shell_verb verb);

#endif
