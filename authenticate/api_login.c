/*
 * Sign-in for programs: /.pomerium/api/v1/login gives a link, and the browser that opens it ends at
 * the program's own listener with a token.
 *
 * The token goes there straight from sign_in and over no other host: the link names the host that
 * a program has asked at, which anybody may choose, and whoever serves that name would see it.
 */
#include "authenticate/handlers.h"
#include "authenticate/login.h"
#include "authenticate/redirect_uri.h"
#include "authenticate/sign_in_url.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/jose/signed_url.h"

static bool check_redirect(struct exchange *x, struct view uri)
{
    const struct config *config = x->server->config;
    enum err e = redirect_uri_check(uri, &config->programmatic_redirect_domain_whitelist);
    if (e == OK)
        return true;
    log_warn("redirect uri refused", LOG_STR("request-id", x->request_id), LOG_ERR(e),
             LOG_VIEW("uri", uri), LOG_STR("ip", x->address));
    exchange_error(x, 400, "Bad request", MESSAGE_REDIRECT_INVALID);
    return false;
}

void handle_api_login(struct exchange *x)
{
    struct view uri = form_get(&x->query, "pomerium_redirect_uri");
    if (!uri.ptr) {
        exchange_error(x, 404, "Not found", MESSAGE_PAGE_NOT_FOUND);
        return;
    }
    if (!check_redirect(x, uri))
        return;
    AUTO_FREE char *origin = request_origin(x);
    AUTO_FREE char *callback = mem_printf("%s/.pomerium/callback/", origin);
    const struct sign_in_url u = {
        .redirect_uri = uri, .callback_uri = view_str(callback), .programmatic = true};
    struct buf body;
    buf_init(&body, SIGNED_URL_MAX);
    if (!*origin || sign_in_url_write(x, &u, SIGNED_URL_VALID_MS, &body) != OK) {
        buf_fini(&body);
        exchange_error(x, 400, "Bad request", MESSAGE_REQUEST_MALFORMED);
        return;
    }
    exchange_asset(x, "text/plain; charset=utf-8", &body);
}

/* --- the link --- */

struct programmatic {
    char *redirect_uri;
    char *host;
    char *return_to;
};

static void programmatic_free(void *state)
{
    struct programmatic *p = state;
    mem_free(p->redirect_uri);
    mem_free(p->host);
    mem_free(p->return_to);
    mem_free(p);
}

static void send_token(struct exchange *x)
{
    const struct programmatic *p = x->state;
    AUTO(buf_wipe) struct buf url;
    buf_init(&url, URL_MAX);
    enum err e = buf_append_str(&url, p->redirect_uri);
    if (e == OK)
        e = url_add_query(&url, "pomerium_jwt", buf_view(&x->token));
    handover_redirect(x, e, &url);
}

static void on_session(struct exchange *x)
{
    const struct programmatic *p = x->state;
    if (x->session.valid) {
        session_grant(x, p->host, send_token);
        return;
    }
    AUTO_FREE char *return_to = mem_strdup(p->return_to);
    (void)login_has_session(x, return_to);
}

static char *host_of(struct view uri)
{
    struct url u;
    AUTO(buf_fini) struct buf text;
    buf_init(&text, URL_MAX);
    if (url_parse(uri, &u) == OK)
        IGNORE(authority_write(&u.authority, &text), "not longer than the URL");
    return buf_to_str(&text);
}

static void begin_programmatic(struct exchange *x, const struct sign_in_url *u)
{
    struct programmatic *p = mem_zalloc(sizeof *p);
    p->redirect_uri = mem_strndup(u->redirect_uri.ptr, u->redirect_uri.len);
    p->host = host_of(u->callback_uri);
    p->return_to = sign_in_url_again(x, u);
    exchange_set_state(x, p, programmatic_free);
    if (p->return_to)
        session_load(x, on_session);
    else
        exchange_error(x, 400, "Bad request", MESSAGE_REQUEST_MALFORMED);
}

void handle_sign_in_redirect(struct exchange *x)
{
    const struct sign_in_url u = sign_in_url_of(x);
    if (!signed_request_check(x, x->server->config->authenticate_service_url.text))
        return;
    if (!u.programmatic)
        handle_sign_in_browser(x, &u);
    else if (check_redirect(x, u.redirect_uri))
        begin_programmatic(x, &u);
}
