/* Tokens of sessions for programs: made for a session, and read where a request presents one. */
#include "authenticate/exchange.h"
#include "authenticate/session_handle.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"

/* --- read --- */

static bool looks_like_token(struct view v)
{
    size_t dots = 0;
    for (size_t i = 0; i < v.len; i++)
        dots += v.ptr[i] == '.';
    return dots == 2;
}

/* A browser may send a parent domain's cookie of that name too, which is sealed. */
static struct view from_cookie(const struct exchange *x)
{
    const struct fields *fields = x->request->fields;
    for (size_t i = 0; i < fields->count; i++) {
        struct view rest = fields->items[i].value, name, value;
        if (!view_eq_case(fields->items[i].name, VIEW("Cookie")))
            continue;
        while (cookie_next(&rest, &name, &value)) {
            if (view_eq_str(name, x->server->config->cookie_name) && looks_like_token(value))
                return value;
        }
    }
    return (struct view){0};
}

static struct view from_header(const struct exchange *x)
{
    static const char prefix[] = "Pomerium-";
    struct view own = fields_get(x->request->fields, "X-Pomerium-Authorization");
    struct view rest = fields_get(x->request->fields, "Authorization");
    if (own.ptr)
        return own;
    struct view scheme = view_word(&rest);
    struct view token = view_word(&rest);
    if (view_eq_case(scheme, VIEW("Pomerium")))
        return token;
    bool bearer = view_eq_case(scheme, VIEW("Bearer")) && view_starts_with(token, view_str(prefix));
    return bearer ? view_skip(token, strlen(prefix)) : (struct view){0};
}

static void load(struct exchange *x, struct view token, void (*then)(struct exchange *x))
{
    const struct config *config = x->server->config;
    AUTO_FREE char *id = NULL;
    session_fini(&x->session);
    if (session_handle_read(token, &config->shared_secret, &config->shared_secret_previous,
                            loop_wall_ms(), &id) == OK)
        session_read(x, id, then);
    else
        then(x);
}

void session_load_token(struct exchange *x, void (*then)(struct exchange *x))
{
    struct view token = from_cookie(x);
    load(x, token.ptr ? token : from_header(x), then);
}

void session_load_header(struct exchange *x, void (*then)(struct exchange *x))
{
    load(x, from_header(x), then);
}

/* --- make --- */

static enum err write_token(struct exchange *x, const struct records_info *info)
{
    const struct config *config = x->server->config;
    const struct session_handle h = {
        .issuer = config->authenticate_service_url.text,
        .user_id = x->session.user_id,
        .session_id = x->session.id,
        .idp_id = x->session.idp_id,
        .audience = {config->authenticate_service_url.authority, x->audience},
        .issued_ms = loop_wall_ms(),
        .expires_ms = x->session.expires_ms,
        .server_version = info->server_version,
        .record_version = info->record_version,
    };
    buf_init(&x->token, SESSION_HANDLE_MAX);
    return session_handle_write(&h, &config->shared_secret, &x->token);
}

static void on_info(void *ctx, enum err e, const char *text, const struct records_info *info)
{
    struct exchange *x = ctx;
    if (e == OK)
        e = write_token(x, info);
    if (e != OK) {
        exchange_unavailable(x, e, text);
        return;
    }
    log_info("token issued", LOG_STR("request-id", x->request_id), LOG_STR("path", x->path),
             LOG_STR("host", x->audience), LOG_STR("session-id", x->session.id),
             LOG_STR("user", x->session.user_id), LOG_STR("email", x->session.email),
             LOG_STR("ip", x->address));
    x->then(x);
}

void session_grant(struct exchange *x, const char *host, void (*then)(struct exchange *x))
{
    x->then = then;
    x->audience = host;
    x->call = records_info(&x->broker->records, on_info, x);
}
