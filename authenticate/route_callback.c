/*
 * A browser's session on a route's host: authorize sends the browser to sign_in by a link that it
 * signed for one of our hosts, and the browser comes back to that host's /.pomerium/callback, which
 * sets the cookie there. The ways in between:
 *
 *   sign_in          without csrf: to the callback, to begin
 *   callback         without a ticket: sets the csrf cookie, back to sign_in with its hash
 *   sign_in          signs in where needed; to the callback, with a ticket
 *   callback         the csrf cookie, the host and the ticket belong together: sets the cookie
 *
 * So nobody can put a session of their own into another's browser: a ticket is of use in the
 * browser that began alone, for a minute, and at one replica once.
 */
#include "authenticate/challenge.h"
#include "authenticate/handlers.h"
#include "authenticate/login.h"
#include "authenticate/redirect_uri.h"
#include "authenticate/sign_in_url.h"
#include "authenticate/ticket.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/daemon/log.h"
#include "common/jose/signed_url.h"

enum {
    CSRF_BYTES = 16,
    CSRF_LEN = 22,
    NONCE_LEN = 32, /* letters of a ticket that no other has */
    LOCATION_MAX = SIGNED_URL_MAX + URL_MAX,
};

/* The prefix keeps hosts beside this one from setting it (RFC 6265bis §4.1.3.2). */
static const char csrf_cookie[] = "__Host-pomerium_csrf";

static void refuse(struct exchange *x, enum err e, enum message m)
{
    log_warn("callback refused", LOG_STR("request-id", x->request_id),
             LOG_STR("host", exchange_host(x)), LOG_ERR(e), LOG_STR("ip", x->address));
    exchange_error(x, 400, "Sign in again", m);
}

/* --- sign_in --- */

struct handover {
    char *redirect_uri;
    char *origin; /* of it */
    char *csrf;
    char *return_to;
};

static void handover_free(void *state)
{
    struct handover *h = state;
    mem_free(h->redirect_uri);
    mem_free(h->origin);
    mem_free(h->csrf);
    mem_free(h->return_to);
    mem_free(h);
}

/* The callback of `origin`, with a ticket or without. */
static enum err write_callback(const struct exchange *x, const struct handover *h,
                               struct view ticket, uint64_t valid_ms, struct buf *out)
{
    uint64_t now = loop_wall_ms();
    AUTO(buf_wipe) struct buf url;
    buf_init(&url, SIGNED_URL_MAX);
    TRY(buf_printf(&url, "%s/.pomerium/callback/", h->origin));
    TRY(url_add_query(&url, "pomerium_redirect_uri", view_str(h->redirect_uri)));
    if (ticket.len)
        TRY(url_add_query(&url, "pomerium_session_encrypted", ticket));
    return signed_url_sign(secret_view(&x->server->config->shared_secret), buf_view(&url), now,
                           now + valid_ms, out);
}

static void send_ticket(struct exchange *x)
{
    const struct handover *h = x->state;
    AUTO_FREE char *token = buf_to_str(&x->token);
    const struct ticket t = {.token = token,
                             .redirect_uri = h->redirect_uri,
                             .csrf = h->csrf,
                             .expires_ms = x->session.expires_ms};
    AUTO(buf_wipe) struct buf sealed, location;
    buf_init(&sealed, TICKET_TEXT_MAX);
    buf_init(&location, LOCATION_MAX);
    enum err e = ticket_seal(&t, &x->server->config->shared_secret, view_str(h->origin),
                             daemon_rng(x->server->daemon), loop_wall_ms(), &sealed);
    if (e == OK)
        e = write_callback(x, h, buf_view(&sealed), TICKET_MS, &location);
    mem_wipe(token, strlen(token));
    handover_redirect(x, e, &location);
}

static void on_session(struct exchange *x)
{
    const struct handover *h = x->state;
    if (x->session.valid) {
        session_grant(x, strstr(h->origin, "://") + 3, send_ticket);
        return;
    }
    AUTO_FREE char *return_to = mem_strdup(h->return_to);
    (void)login_has_session(x, return_to);
}

static void begin(struct exchange *x)
{
    AUTO(buf_fini) struct buf location;
    buf_init(&location, LOCATION_MAX);
    enum err e = write_callback(x, x->state, VIEW(""), SIGNED_URL_VALID_MS, &location);
    handover_redirect(x, e, &location);
}

void handle_sign_in_browser(struct exchange *x, const struct sign_in_url *u)
{
    AUTO(buf_fini) struct buf origin;
    buf_init(&origin, URL_MAX);
    if (redirect_uri_origin(u->redirect_uri, &origin) != OK) {
        exchange_error(x, 400, "Bad request", MESSAGE_REDIRECT_INVALID);
        return;
    }
    /* This host has a cookie already. */
    if (url_has_origin(&x->server->origin, buf_view(&origin))) {
        exchange_redirect(x, "/.pomerium/");
        return;
    }
    struct handover *h = mem_zalloc(sizeof *h);
    *h = (struct handover){
        .redirect_uri = mem_strndup(u->redirect_uri.ptr, u->redirect_uri.len),
        .origin = buf_to_str(&origin),
        .csrf = mem_strndup(u->csrf.ptr, u->csrf.len),
        .return_to = sign_in_url_again(x, u),
    };
    exchange_set_state(x, h, handover_free);
    if (!h->return_to)
        exchange_error(x, 400, "Bad request", MESSAGE_REQUEST_MALFORMED);
    else if (*h->csrf)
        session_load(x, on_session);
    else
        begin(x);
}

/* --- callback --- */

static struct view csrf_of(const struct exchange *x)
{
    struct view value = cookie_get(x->request->fields, csrf_cookie);
    return value.len == CSRF_LEN ? value : (struct view){0};
}

/* Several tabs share one cookie. */
static char *csrf_begin(struct exchange *x)
{
    struct view known = csrf_of(x);
    uint8_t bytes[CSRF_BYTES];
    AUTO(buf_fini) struct buf text;
    buf_init(&text, CSRF_LEN);
    if (known.ptr) {
        IGNORE(buf_append(&text, known), "of that length");
    } else {
        rng_fill(daemon_rng(x->server->daemon), bytes, sizeof bytes);
        IGNORE(text_base64url(view_of(bytes, sizeof bytes), &text), "22 bytes");
    }
    AUTO_FREE char *value = buf_to_str(&text);
    exchange_set_host_cookie(x, csrf_cookie, value, LOGIN_MS / 1000);
    return challenge_of(buf_view(&text));
}

static void send_to_sign_in(struct exchange *x, struct view redirect_uri)
{
    AUTO_FREE char *csrf = csrf_begin(x);
    const struct sign_in_url u = {.redirect_uri = redirect_uri, .csrf = view_str(csrf)};
    AUTO(buf_fini) struct buf location;
    buf_init(&location, LOCATION_MAX);
    enum err e = sign_in_url_write(x, &u, SIGNED_URL_VALID_MS, &location);
    handover_redirect(x, e, &location);
}

static bool is_same_browser(const struct exchange *x, const struct ticket *t)
{
    struct view cookie = csrf_of(x);
    AUTO_FREE char *hash = challenge_of(cookie);
    return cookie.ptr && secret_equal(view_str(hash), view_str(t->csrf));
}

/* There is nothing to see on a tunnel's host but this. */
static enum err write_target(const struct ticket *t, const char *origin, struct buf *out)
{
    struct view path = view_skip(view_str(t->redirect_uri), strlen(origin));
    return path.len <= 1 ? buf_printf(out, "%s/.pomerium/", origin)
                         : buf_append_str(out, t->redirect_uri);
}

static void accept_ticket(struct exchange *x, const struct ticket *t, const char *origin)
{
    uint64_t now = loop_wall_ms();
    uint64_t left = t->expires_ms > now ? (t->expires_ms - now) / 1000 : 0;
    AUTO(buf_fini) struct buf location;
    buf_init(&location, LOCATION_MAX);
    exchange_set_host_cookie(x, x->server->config->cookie_name, t->token, (int64_t)left);
    log_info("signed in at a route", LOG_STR("request-id", x->request_id),
             LOG_STR("host", exchange_host(x)), LOG_STR("ip", x->address));
    handover_redirect(x, write_target(t, origin, &location), &location);
}

static void use_ticket(struct exchange *x, struct view text, const char *origin)
{
    const struct config *config = x->server->config;
    AUTO(ticket_fini) struct ticket t = {0};
    AUTO(buf_fini) struct buf target;
    buf_init(&target, URL_MAX);
    enum err e = ticket_open(text, &config->shared_secret, &config->shared_secret_previous,
                             view_str(origin), loop_wall_ms(), &t);
    if (e != OK)
        refuse(x, e, e == ERR_EXPIRED ? MESSAGE_SIGNED_LINK_EXPIRED : MESSAGE_SIGNED_LINK_INVALID);
    else if (!is_same_browser(x, &t))
        refuse(x, ERR_DENIED, MESSAGE_IDP_STATE_MISMATCH);
    else if (redirect_uri_origin(view_str(t.redirect_uri), &target) != OK ||
             !view_eq_str(buf_view(&target), origin))
        refuse(x, ERR_MISMATCH, MESSAGE_REDIRECT_INVALID);
    else if (!rate_take(&x->server->tickets, view_take(text, NONCE_LEN),
                        loop_now_ms(x->server->loop)))
        refuse(x, ERR_EXISTS, MESSAGE_SIGNED_LINK_EXPIRED);
    else
        accept_ticket(x, &t, origin);
}

void handle_route_callback(struct exchange *x)
{
    AUTO_FREE char *origin = request_origin(x);
    struct view ticket = form_get(&x->query, "pomerium_session_encrypted");
    if (!signed_request_check(x, origin))
        return;
    if (ticket.ptr)
        use_ticket(x, ticket, origin);
    else
        send_to_sign_in(x, form_get(&x->query, "pomerium_redirect_uri"));
}
