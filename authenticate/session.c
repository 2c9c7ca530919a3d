#include "authenticate/session.h"

#include "authenticate/convert.h"
#include "authenticate/ending.h"
#include "authenticate/exchange.h"
#include "authenticate/tokens.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/seal.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum { COOKIE_TEXT_MAX = 1024 };

void session_fini(struct session *s)
{
    mem_free(s->id);
    mem_free(s->user_id);
    mem_free(s->email);
    mem_free(s->name);
    mem_free(s->idp_id);
    claims_fini(&s->claims);
    *s = (struct session){0};
}

const char *session_label(const struct session *s)
{
    if (s->email && *s->email)
        return s->email;
    return s->name && *s->name ? s->name : s->user_id;
}

/* --- the cookie: the sealed session id --- */

static enum err cookie_open(struct exchange *x, char **out_id)
{
    const char *name = x->server->config->cookie_name;
    struct view value = cookie_get(x->request->fields, name);
    AUTO(buf_wipe) struct buf sealed, id;
    buf_init(&sealed, COOKIE_TEXT_MAX);
    buf_init(&id, COOKIE_TEXT_MAX);
    if (!value.ptr)
        return ERR_NOT_FOUND;
    TRY(text_unbase64url(value, &sealed));
    TRY(unseal(&x->server->keys.session, view_str(name), buf_view(&sealed), &id));
    *out_id = buf_to_str(&id);
    return OK;
}

static enum err cookie_seal(struct exchange *x, const char *id, struct buf *out)
{
    AUTO(buf_wipe) struct buf sealed;
    buf_init(&sealed, COOKIE_TEXT_MAX);
    TRY(seal(&x->server->keys.session, view_str(x->server->config->cookie_name), view_str(id),
             daemon_rng(x->server->daemon), &sealed));
    return text_base64url(buf_view(&sealed), out);
}

/* --- load --- */

static void on_loaded(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct exchange *x = ctx;
    if (e != OK && e != ERR_NOT_FOUND) {
        exchange_unavailable(x, e, text);
        return;
    }
    if (found && convert_read_session(found, &x->session) == OK)
        x->session.valid = x->session.expires_ms > loop_wall_ms() &&
                           strcmp(x->session.idp_id, x->server->provider->idp->name) == 0;
    x->then(x);
}

void session_read(struct exchange *x, const char *id, void (*then)(struct exchange *x))
{
    session_fini(&x->session);
    x->then = then;
    x->call = records_get(&x->broker->records, convert_session, id, on_loaded, x);
}

void session_load(struct exchange *x, void (*then)(struct exchange *x))
{
    AUTO_FREE char *id = NULL;
    session_fini(&x->session);
    if (cookie_open(x, &id) == OK)
        session_read(x, id, then);
    else
        then(x);
}

/* --- create --- */

struct creation {
    char *return_to;
    struct session session;
};

static void creation_free(void *state)
{
    struct creation *c = state;
    session_fini(&c->session);
    mem_free(c->return_to);
    mem_free(c);
}

/* RFC 9562 §5.4: a random UUID. */
static char *make_uuid(const struct rng *rng)
{
    uint8_t b[16];
    rng_fill(rng, b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, 64);
    for (size_t i = 0; i < sizeof b; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        IGNORE(buf_append_str(&hex, dash ? "-" : ""), "fits");
        IGNORE(text_hex(view_of(b + i, 1), &hex), "fits");
    }
    return buf_to_str(&hex);
}

/*
 * A browser that came back from the provider would not send a cookie with SameSite=Strict along
 * with our redirect: the next step has to begin on a page of ours. So has one that leads to another
 * site, since form-action of our Content-Security-Policy holds for all that follows the login form.
 */
static void go_on(struct exchange *x, const char *return_to)
{
    bool leads_away = view_search(view_str(return_to), VIEW("pomerium_redirect_uri=")) >= 0;
    if (x->server->config->cookie_same_site != SAME_SITE_STRICT && !leads_away) {
        exchange_redirect(x, return_to);
        return;
    }
    const struct exchange_link link = {return_to, "Continue"};
    if (leads_away) {
        AUTO_FREE char *refresh = mem_printf("0;url=%s", return_to);
        IGNORE(fields_add_str(&x->out, "Refresh", refresh), "the link is there as well");
    }
    exchange_message(x, 200, "Signed in", message_text(MESSAGE_BROWSER_SIGNED_IN), link);
}

static void on_created(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    (void)versions;
    (void)count;
    struct exchange *x = ctx;
    struct creation *c = x->state;
    if (e != OK) {
        exchange_unavailable(x, e, text);
        return;
    }
    AUTO(buf_wipe) struct buf cookie;
    buf_init(&cookie, COOKIE_TEXT_MAX);
    if (cookie_seal(x, c->session.id, &cookie) == OK) {
        AUTO_FREE char *value = buf_to_str(&cookie);
        int64_t max_age = (int64_t)(x->server->config->cookie_expire / 1000);
        exchange_set_cookie(x, x->server->config->cookie_name, value, max_age);
    }
    metrics_add(METRIC_SIGN_INS, 1, c->session.idp_id, "signed_in");
    log_info("signed in", LOG_STR("request-id", x->request_id),
             LOG_STR("session-id", c->session.id), LOG_STR("user", c->session.user_id),
             LOG_STR("email", c->session.email), LOG_STR("ip", x->address));
    AUTO_FREE char *return_to = mem_strdup(c->return_to);
    go_on(x, return_to);
}

static ProtobufCMessage *make_tokens(struct exchange *x, const struct session *s,
                                     const struct tokens *tokens)
{
    AUTO(buf_fini) struct buf sealed;
    buf_init(&sealed, TOKENS_MAX);
    enum err e =
        tokens_seal(tokens, &x->server->keys.tokens, s->id, daemon_rng(x->server->daemon), &sealed);
    if (e != OK)
        log_warn("the provider's tokens are too large to keep", LOG_STR("session-id", s->id));
    return e == OK ? convert_make_tokens(buf_view(&sealed), s->expires_ms) : NULL;
}

void session_create(struct exchange *x, const struct session_identity *who, const char *return_to)
{
    struct creation *c = mem_zalloc(sizeof *c);
    uint64_t now = loop_wall_ms();
    c->return_to = mem_strdup(return_to);
    c->session = (struct session){
        .valid = true,
        .id = make_uuid(daemon_rng(x->server->daemon)),
        .user_id = mem_strdup(who->user_id),
        .email = mem_strdup(who->email),
        .name = mem_strdup(who->name),
        .idp_id = mem_strdup(who->idp_id),
        .issued_ms = now,
        .expires_ms = now + x->server->config->cookie_expire,
    };
    struct session made = c->session;
    made.claims = *who->claims;
    ProtobufCMessage *messages[3] = {convert_make_user(who), convert_make_session(&made), NULL};
    if (who->tokens)
        messages[2] = make_tokens(x, &c->session, who->tokens);
    const struct record_write writes[] = {
        {convert_user, who->user_id, messages[0], RECORDS_ANY},
        {convert_session, c->session.id, messages[1], RECORDS_ANY},
        {convert_tokens, c->session.id, messages[2], RECORDS_ANY},
    };
    /* Last: what `who` points to may belong to the state that this replaces. */
    x->call = records_put(&x->broker->records, writes, messages[2] ? 3 : 2, on_created, x);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        protobuf_c_message_free_unpacked(messages[i], NULL);
    exchange_set_state(x, c, creation_free);
}

/* --- delete --- */

static void deletion_free(void *state)
{
    ending_cancel(state);
}

static void on_ended(void *ctx, enum err e, const char *text)
{
    struct exchange *x = ctx;
    exchange_forget_state(x);
    if (e != OK) {
        exchange_unavailable(x, e, text);
        return;
    }
    metrics_add(METRIC_SIGN_OUTS, 1);
    log_info("signed out", LOG_STR("request-id", x->request_id),
             LOG_STR("session-id", x->session.id), LOG_STR("user", x->session.user_id));
    exchange_set_cookie(x, x->server->config->cookie_name, "", 0);
    x->then(x);
}

void session_delete(struct exchange *x, void (*then)(struct exchange *x))
{
    x->then = then;
    exchange_set_state(x, ending_start(x->broker, x->session.id, on_ended, x), deletion_free);
}
