/*
 * A gateway as its clients see it: where it is, how TLS is checked, the token that is shown, and
 * connections to it. One loop; no callback happens inside a call.
 */
#ifndef CLI_GATEWAY_H
#define CLI_GATEWAY_H

#include "cli/client_flags.h"
#include "cli/tunnel/destination.h"
#include "common/io/loop.h"
#include "common/io/stream.h"

struct mux;
struct login;

struct gateway {
    struct loop *loop;
    const struct client_flags *flags;
    struct endpoint at;
    char *url;
    struct tls_context *tls_http1; /* NULL: plain */
    struct tls_context *tls_any;   /* offers h2 as well */
    char *token;                   /* "" when there is none; wiped */
    struct login *login;           /* under way, see login.h */
    struct mux *mux;               /* the HTTP/2 connection that takes new tunnels, NULL */
    bool http1_only;               /* by ALPN */
};

/*
 * Takes over `at`. CLI_OK, or an exit status after saying why: files of --ca-cert and the like that
 * cannot be used. The token comes from the cache.
 */
int gateway_init(struct gateway *g, struct loop *l, struct endpoint *at,
                 const struct client_flags *flags);
void gateway_fini(struct gateway *g);

/* Shows this token from now on; NULL or "" is none. */
void gateway_set_token(struct gateway *g, const char *token);

/* "Pomerium TOKEN", fresh memory to be wiped; NULL without a token. */
char *gateway_authorization(const struct gateway *g);

/* --- one connection --- */
struct conn;
enum conn_protocols { CONN_HTTP1, CONN_ANY };

/* OK: the stream is open and verified. Else `why` says why, and the conn is gone. */
typedef void (*conn_fn)(void *ctx, enum err e, const char *why);

struct conn *conn_open(struct gateway *g, enum conn_protocols protocols, conn_fn on_ready,
                       void *ctx);

/* Who gets the stream's events from now on; on_open is not called. */
void conn_use(struct conn *c, const struct stream_handler *handler, void *ctx);
struct stream *conn_stream(const struct conn *c);
bool conn_is_h2(const struct conn *c);

/* Ends it, also before it is ready; what was written still goes out. NULL is fine. */
void conn_close(struct conn *c);

/* --- one question --- */
struct ask;
struct ask_spec {
    const char *method;
    const char *path; /* with query */
    struct view body; /* POST: a form */
    bool with_token;
};

enum { ASK_BODY_MAX = 4 << 20, ASK_TIMEOUT_MS = 20000 };

/* OK: an answer of whatever status came. Views live until the callback returns. */
struct ask_answer {
    enum err err;
    const char *why;
    unsigned status;
    struct view body;
};
typedef void (*ask_fn)(void *ctx, const struct ask_answer *a);
struct ask *ask_open(struct gateway *g, const struct ask_spec *spec, ask_fn on_done, void *ctx);
void ask_cancel(struct ask *a);

/* The same, for commands that do one thing after the other: runs the loop. `body` is appended. */
enum err ask_now(struct gateway *g, const struct ask_spec *spec, unsigned *out_status,
                 struct buf *body);

#endif
