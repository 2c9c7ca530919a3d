#include "authenticate/refresh.h"

#include "authenticate/convert.h"
#include "authenticate/ending.h"
#include "authenticate/oidc_run.h"
#include "authenticate/person.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"

enum { WRITE_AGAIN_MS = 10000 };

struct refresh {
    struct server *server;
    struct broker *broker;
    char *session_id;
    uint64_t call;
    struct oidc_run *run;
    struct ending *ending;
    struct tokens tokens; /* the old ones */
    uint64_t tokens_version;
    struct session session;
    ProtobufCMessage *session_message; /* to write it back */
    uint64_t session_version;
    /* What is to be written: the new tokens must not be lost. */
    ProtobufCMessage *tokens_message;
    ProtobufCMessage *user_message; /* NULL: the claims are as they were */
    struct timer again;
    refresh_fn done;
    void *ctx;
};

static void refresh_free(struct refresh *r)
{
    timer_fini(&r->again);
    tokens_fini(&r->tokens);
    session_fini(&r->session);
    protobuf_c_message_free_unpacked(r->session_message, NULL);
    protobuf_c_message_free_unpacked(r->tokens_message, NULL);
    protobuf_c_message_free_unpacked(r->user_message, NULL);
    broker_unref(r->broker);
    mem_free(r->session_id);
    mem_free(r);
}

static void finish(struct refresh *r, enum err e)
{
    r->done(r->ctx, e);
    refresh_free(r);
}

static void fail(struct refresh *r, enum err e, const char *why)
{
    log_warn("tokens are not refreshed", LOG_STR("session-id", r->session_id),
             LOG_STR("user", r->session.user_id), LOG_STR("error", *why ? why : err_text(e)));
    finish(r, e);
}

/* --- write --- */

static void write_all(void *ctx);

static void on_written(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    (void)versions;
    (void)count;
    struct refresh *r = ctx;
    if (e != OK && e != ERR_PRECONDITION && err_class(e) == ERR_CLASS_BUSY) {
        log_warn("new tokens are not written yet", LOG_STR("session-id", r->session_id),
                 LOG_STR("error", *text ? text : err_text(e)));
        timer_after(&r->again, WRITE_AGAIN_MS);
    } else if (e == OK || e == ERR_PRECONDITION) {
        /* The session was ended or refreshed meanwhile: what there is now holds. */
        log_debug("tokens refreshed", LOG_STR("session-id", r->session_id),
                  LOG_BOOL("allow", e == OK));
        finish(r, OK);
    } else {
        fail(r, e, text);
    }
}

static void write_all(void *ctx)
{
    struct refresh *r = ctx;
    const struct record_write writes[] = {
        {convert_tokens, r->session_id, r->tokens_message, r->tokens_version},
        {convert_session, r->session_id, r->session_message, r->session_version},
        {convert_user, r->session.user_id, r->user_message, RECORDS_ANY},
    };
    r->call = records_put(&r->broker->records, writes, r->user_message ? 3 : 1, on_written, r);
}

static void update_claims(struct refresh *r, const struct oidc_result *result)
{
    AUTO(claims_fini) struct claims claims = {0};
    if (result->partial)
        return;
    enum err e = person_claims(result, &r->tokens, &claims);
    if (e != OK)
        log_warn("refreshed claims cannot be used", LOG_STR("session-id", r->session_id),
                 LOG_ERR(e));
    if (e != OK || !person_differs(&r->session.claims, &claims))
        return;
    const struct session_identity who = {.user_id = r->session.user_id,
                                         .email = claims_first(&claims, "email"),
                                         .name = claims_first(&claims, "name"),
                                         .claims = &claims};
    log_info("claims changed", LOG_STR("session-id", r->session_id),
             LOG_STR("user", r->session.user_id), LOG_STR("email", who.email));
    convert_set_claims(r->session_message, &claims);
    r->user_message = convert_make_user(&who);
}

static void store(struct refresh *r, const struct oidc_result *result)
{
    struct server *s = r->server;
    AUTO(tokens_fini) struct tokens tokens = {0};
    AUTO(buf_fini) struct buf sealed;
    buf_init(&sealed, TOKENS_MAX);
    tokens_of_result(result, &r->tokens, &tokens);
    enum err e =
        tokens_seal(&tokens, &s->keys.tokens, r->session_id, daemon_rng(s->daemon), &sealed);
    if (e != OK) {
        fail(r, e, "the provider's tokens are too large to keep");
        return;
    }
    r->tokens_message = convert_make_tokens(buf_view(&sealed), r->session.expires_ms);
    update_claims(r, result);
    write_all(r);
}

/* --- the provider --- */

static void on_ended(void *ctx, enum err e, const char *text)
{
    struct refresh *r = ctx;
    r->ending = NULL;
    if (e == OK)
        finish(r, ERR_DENIED);
    else
        fail(r, e, text);
}

static void end_session(struct refresh *r, const char *why)
{
    log_info("session ended by the identity provider", LOG_STR("session-id", r->session_id),
             LOG_STR("user", r->session.user_id), LOG_STR("email", r->session.email),
             LOG_STR("reason", why));
    r->ending = ending_start(r->broker, r->session_id, on_ended, r);
}

static void on_effect(void *ctx, const struct oidc_effect *effect)
{
    static const char check[] = "identity-provider.oidc";
    struct refresh *r = ctx;
    struct health *health = daemon_health(r->server->daemon);
    r->run = NULL;
    if (effect->type == OIDC_DONE) {
        health_set(health, check, HEALTH_RUNNING, NULL);
        store(r, effect->result);
    } else if (effect->err == ERR_DENIED) {
        end_session(r, effect->text);
    } else {
        if (err_class(effect->err) == ERR_CLASS_BUSY)
            health_set(health, check, HEALTH_RUNNING, effect->text);
        fail(r, effect->err, effect->text);
    }
}

static void ask_provider(struct refresh *r)
{
    struct server *s = r->server;
    struct provider *p = s->provider;
    if (!p->has_oidc || strcmp(r->session.idp_id, p->idp->name) != 0 ||
        r->session.refresh_disabled || r->session.expires_ms <= loop_wall_ms() ||
        !r->tokens.refresh_token[0]) {
        finish(r, ERR_UNSUPPORTED);
        return;
    }
    struct oidc_flow *flow = oidc_refresh(&p->oidc, r->tokens.refresh_token, r->session.user_id);
    r->run = oidc_run_new(s->fetcher, p, flow, on_effect, r);
    oidc_run_start(r->run);
}

/* --- read --- */

static void on_session(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct refresh *r = ctx;
    if (e == OK)
        e = convert_read_session(found, &r->session);
    if (e != OK) {
        fail(r, e, text);
        return;
    }
    r->session_message = record_unpack(found, convert_session);
    r->session_version = found->version;
    ask_provider(r);
}

static void on_tokens(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct refresh *r = ctx;
    AUTO(sealed_tokens_fini) struct sealed_tokens sealed = {0};
    if (e == OK)
        e = convert_read_tokens(found, &sealed);
    if (e == OK)
        e = tokens_unseal(buf_view(&sealed.sealed), &r->server->keys.tokens, r->session_id,
                          &r->tokens);
    if (e != OK) {
        fail(r, e, text);
        return;
    }
    r->tokens_version = found->version;
    r->call = records_get(&r->broker->records, convert_session, r->session_id, on_session, r);
}

struct refresh *refresh_start(struct server *s, struct broker *b, const char *session_id,
                              refresh_fn done, void *ctx)
{
    struct refresh *r = mem_zalloc(sizeof *r);
    *r = (struct refresh){.server = s,
                          .broker = broker_ref(b),
                          .session_id = mem_strdup(session_id),
                          .done = done,
                          .ctx = ctx};
    timer_init(&r->again, s->loop, write_all, r);
    r->call = records_get(&b->records, convert_tokens, session_id, on_tokens, r);
    return r;
}

void refresh_cancel(struct refresh *r)
{
    if (!r)
        return;
    records_cancel(&r->broker->records, r->call);
    oidc_run_cancel(r->run);
    ending_cancel(r->ending);
    refresh_free(r);
}
