#include "authorize/shell.h"

#include "authorize/connection.h"
#include "authorize/convert_records.h"
#include "authorize/op.h"
#include "authorize/reconsider.h"
#include "authorize/whoami.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"

enum {
    TRIES_MAX = 5,
    TEXT_MAX = 60 << 10,
    WRITING_MS = 3000, /* longer than that and the cut comes first */
    LEAVING_MS = 600,  /* for the shell to show the outcome, and its client to go */
};

static void answer(struct worker *w, const struct stream_shell *m, uint32_t status,
                   const char *text)
{
    worker_sent(w, convert_send_shell_result(w->call, m, status, text));
}

static void refuse(struct worker *w, const struct stream_shell *m, enum message sentence)
{
    answer(w, m, 1, message_text(sentence));
}

/* --- whoami --- */

static void whoami(struct authorize *a, const struct connection *c, const struct stream_shell *m)
{
    const struct session *session = state_session(&a->state, c->session_id);
    const struct user *user = state_user(&a->state, c->user_id);
    if (!session) {
        refuse(c->worker, m, MESSAGE_CUT_SESSION_ENDED);
        return;
    }
    AUTO(buf_fini) struct buf text;
    buf_init(&text, TEXT_MAX);
    struct whoami who = {
        .user_id = c->user_id,
        .session_id = c->session_id,
        .expires_ms = c->expires_ms,
        .fingerprint = c->key.fingerprint,
        .source = c->source,
        .session = session->claims,
        .now_ms = authorize_now(),
    };
    if (user)
        who.user = user->claims;
    whoami_write(&who, &text);
    AUTO_FREE char *shown = buf_to_str(&text);
    answer(c->worker, m, 0, shown);
}

/* --- logout --- */

struct logout {
    struct authorize *authorize;
    uint64_t worker; /* in authorize.workers */
    char *connection;
    uint32_t request;
    char *session_id;
    unsigned tries;
};

static void logout_free(void *data)
{
    struct logout *l = data;
    mem_free(l->connection);
    mem_free(l->session_id);
    mem_free(l);
}

/* NULL when it is gone, or another's by now. */
static struct connection *connection_for(const struct logout *l)
{
    struct worker *w = slots_get(&l->authorize->workers, l->worker);
    return w && !w->finished ? connection_find(l->authorize, w, l->connection) : NULL;
}

/* Its own end comes by the clock from here on. */
static void leave(struct authorize *a, struct connection *c, uint64_t ms)
{
    if (c->phase != CONNECTION_LIVE)
        return;
    c->leaving_ms = authorize_now() + ms;
    live_expire_at(&a->live, &c->node, c->leaving_ms);
    reconsider_arm(a);
}

static void finish(struct logout *l, enum err e, const char *text)
{
    struct authorize *a = l->authorize;
    struct connection *c = connection_for(l);
    struct stream_shell question = {.connection_id = l->connection, .request = l->request};
    if (e == OK)
        log_info("logged out", LOG_STR("connection-id", l->connection),
                 LOG_STR("session-id", l->session_id), LOG_STR("user", c ? c->user_id : NULL),
                 LOG_STR("email", c ? c->email : NULL), LOG_STR("ip", c ? c->source : NULL));
    else
        log_warn("logout failed", LOG_STR("connection-id", l->connection),
                 LOG_STR("session-id", l->session_id), LOG_ERR(e), LOG_STR("text", text));
    if (c && e == OK) {
        answer(c->worker, &question, 0, message_text(MESSAGE_SHELL_LOGGED_OUT));
        leave(a, c, LEAVING_MS);
    } else if (c) {
        refuse(c->worker, &question, MESSAGE_SHELL_FAILED);
        c->leaving_ms = 0;
        connection_reconsider(a, c);
    }
    logout_free(l);
}

static void find_bindings(struct logout *l);

static void on_deleted(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    struct logout *l = op_take(ctx);
    (void)versions;
    (void)count;
    /* A key was bound anew meanwhile: to this session, or to another one that it stays with. */
    if (e == ERR_PRECONDITION && ++l->tries < TRIES_MAX)
        find_bindings(l);
    else
        finish(l, e, text);
}

static void on_bindings(void *ctx, enum err e, const char *text, const struct record_list *list)
{
    struct logout *l = op_take(ctx);
    if (e != OK) {
        finish(l, e, text);
        return;
    }
    struct op *op = op_new(l->authorize, l->connection, l, logout_free);
    convert_delete_session(&l->authorize->records, l->session_id, list, on_deleted, op);
}

static void find_bindings(struct logout *l)
{
    struct op *op = op_new(l->authorize, l->connection, l, logout_free);
    convert_find_bindings(&l->authorize->records, l->session_id, on_bindings, op);
}

static void logout(struct authorize *a, struct connection *c, const struct stream_shell *m)
{
    /* Once is enough: it cannot be put off by asking again. */
    if (c->leaving_ms) {
        refuse(c->worker, m, MESSAGE_CUT_SESSION_ENDED);
        return;
    }
    struct logout *l = mem_zalloc(sizeof *l);
    *l = (struct logout){
        .authorize = a,
        .worker = c->worker->id,
        .connection = mem_strdup(connection_id(c)),
        .request = m->request,
        .session_id = mem_strdup(c->session_id),
    };
    leave(a, c, WRITING_MS);
    find_bindings(l);
}

void shell_command(struct authorize *a, struct worker *w, const struct stream_shell *m)
{
    struct connection *c = connection_find(a, w, m->connection_id);
    /* A connection to a target has no shell of ours, whatever its worker says. */
    if (!c || c->phase != CONNECTION_LIVE || *c->route != '\0')
        refuse(w, m, MESSAGE_CERTIFY_NOT_ALLOWED);
    else if (m->verb == STREAM_LOGOUT)
        logout(a, c, m);
    else
        whoami(a, c, m);
}
