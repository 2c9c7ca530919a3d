/* Small questions of programs: who am I, sign out, what is here. */
#include "authenticate/ending.h"
#include "authenticate/handlers.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

/* --- user --- */

static void add_claim(struct json *body, const struct claim *c)
{
    struct json *values = json_new_array();
    for (size_t i = 0; i < c->count; i++)
        IGNORE(json_add_str(values, view_str(c->values[i])), "claims are UTF-8");
    IGNORE(json_set(body, c->name, values), "claims are UTF-8");
}

static void show_user(struct exchange *x)
{
    const struct session *s = &x->session;
    if (!s->valid) {
        exchange_error(x, 401, "Not signed in", MESSAGE_TOKEN_INVALID);
        return;
    }
    struct json *body = json_new_object();
    for (size_t i = 0; i < s->claims.count; i++)
        add_claim(body, &s->claims.items[i]);
    IGNORE(json_set_str(body, "sub", view_str(s->user_id)), "UTF-8");
    IGNORE(json_set_str(body, "email", view_str(s->email)), "UTF-8");
    IGNORE(json_set_str(body, "name", view_str(s->name)), "UTF-8");
    IGNORE(json_set_str(body, "jti", view_str(s->id)), "UTF-8");
    IGNORE(json_set_str(body, "idp_id", view_str(s->idp_id)), "UTF-8");
    IGNORE(json_set_i64(body, "iat", (int64_t)(s->issued_ms / 1000)), "a number");
    IGNORE(json_set_i64(body, "exp", (int64_t)(s->expires_ms / 1000)), "a number");
    exchange_json(x, 200, body);
}

static void on_browser(struct exchange *x)
{
    if (x->session.valid)
        show_user(x);
    else
        session_load_token(x, show_user);
}

void handle_user(struct exchange *x)
{
    session_load(x, on_browser);
}

/* --- logout --- */

static void signed_out(struct exchange *x)
{
    struct json *body = json_new_object();
    IGNORE(json_set_str(body, "status", VIEW("signed out")), "a constant");
    exchange_json(x, 200, body);
}

static void on_token(struct exchange *x)
{
    if (x->session.valid)
        session_delete(x, signed_out);
    else
        exchange_error(x, 401, "Not signed in", MESSAGE_TOKEN_INVALID);
}

void handle_api_logout(struct exchange *x)
{
    session_load_header(x, on_token);
}

/* --- what is here --- */

void handle_well_known(struct exchange *x)
{
    const char *base = x->server->config->authenticate_service_url.text;
    AUTO_FREE char *issuer = mem_printf("%s/", base);
    AUTO_FREE char *callback = mem_printf("%s/oauth2/callback", base);
    struct json *body = json_new_object();
    IGNORE(json_set_str(body, "issuer", view_str(issuer)), "a URL");
    IGNORE(json_set_str(body, "authentication_callback_endpoint", view_str(callback)), "a URL");
    exchange_json(x, 200, body);
}
