#include "authenticate/exchange.h"

#include <stdio.h>

#include "authenticate/csrf.h"
#include "authenticate/handlers.h"
#include "authenticate/pages/pages.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum { HEADER_MAX = 1024, JSON_BODY_MAX = 256 << 10 };

enum {
    GET = 1,
    POST = 2,
    METHODS = GET | POST,
    ANY_HOST = 4, /* on the hosts of routes too; other pages live on one host */
    JSON = 8,     /* for programs: errors are JSON whatever Accept says */
};

static const struct page_row {
    const char *path;
    unsigned flags;
    void (*handler)(struct exchange *x);
} page_rows[] = {
    {"/", GET, handle_home},
    {"/robots.txt", GET, handle_robots},
    {"/oauth2/callback", GET, handle_callback},
    {"/.pomerium", GET, handle_home},
    {"/.pomerium/", GET, handle_account},
    {PAGES_STYLE, GET, handle_style},
    {PAGES_SCRIPT, GET, handle_script},
    {"/.pomerium/sign_in", GET | POST, handle_sign_in},
    {"/.pomerium/login", GET | POST, handle_local_login},
    {"/.pomerium/sign_out", GET | POST | ANY_HOST, handle_sign_out},
    {"/.pomerium/signed_out", GET, handle_signed_out},
    {"/.pomerium/session_binding_info", GET, handle_bindings},
    {"/.pomerium/session_binding/revoke", POST, handle_binding_revoke},
    {"/.pomerium/identity_binding/revoke", POST, handle_identity_revoke},
    {"/.pomerium/callback", GET | ANY_HOST, handle_route_callback},
    {"/.pomerium/callback/", GET | ANY_HOST, handle_route_callback},
    {"/.pomerium/user", GET | ANY_HOST, handle_user},
    {"/.pomerium/api/v1/login", GET | ANY_HOST, handle_api_login},
    {"/.pomerium/api/v1/logout", POST | ANY_HOST | JSON, handle_api_logout},
    {"/.pomerium/api/v1/device_login", POST | ANY_HOST | JSON, handle_device_login},
    {"/.pomerium/api/v1/device_token", POST | ANY_HOST | JSON, handle_device_token},
    {"/.well-known/pomerium", GET, handle_well_known},
};

static void exchange_free(struct exchange *x)
{
    if (x->call)
        records_cancel(&x->broker->records, x->call);
    if (x->free_state)
        x->free_state(x->state);
    if (x->prev)
        x->prev->next = x->next;
    else
        x->server->exchanges = x->next;
    if (x->next)
        x->next->prev = x->prev;
    broker_unref(x->broker);
    session_fini(&x->session);
    form_fini(&x->query);
    form_fini(&x->form);
    fields_fini(&x->out);
    buf_wipe(&x->token);
    mem_free(x->path);
    mem_free(x->request_id);
    mem_free(x->address);
    mem_free(x);
}

void exchange_set_state(struct exchange *x, void *state, void (*free_state)(void *state))
{
    if (x->free_state)
        x->free_state(x->state);
    x->state = state;
    x->free_state = free_state;
}

void exchange_forget_state(struct exchange *x)
{
    x->state = NULL;
    x->free_state = NULL;
}

bool exchange_is_post(const struct exchange *x)
{
    return view_eq_str(x->request->method, "POST");
}

/* --- answers --- */

static void send_reply(struct exchange *x, unsigned status, struct view body)
{
    static const char *const always[][2] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        /* With no-referrer browsers would send our own forms with "Origin: null" (Fetch §3.1). */
        {"Referrer-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Content-Security-Policy", pages_csp},
    };
    for (size_t i = 0; i < ARRAY_LEN(always); i++) {
        if (!fields_get(&x->out, always[i][0]).ptr)
            IGNORE(fields_add_str(&x->out, always[i][0], always[i][1]), "constants");
    }
    /* Of a name that other programs on the machine use too, browsers would remember it for them. */
    if (!x->server->config->authenticate_service_url.loopback)
        IGNORE(fields_add_str(&x->out, "Strict-Transport-Security", "max-age=31536000"), "room");
    log_debug("http-request", LOG_STR("request-id", x->request_id), LOG_STR("path", x->path),
              LOG_VIEW("method", x->request->method), LOG_STR("ip", x->address),
              LOG_U64("response-code", status));
    char code[16];
    (void)snprintf(code, sizeof code, "%u", status);
    metrics_add(METRIC_HTTP_REQUESTS, 1, code);
    httpd_reply_send(x->reply, status, &x->out, body);
    exchange_free(x);
}

static void send_body(struct exchange *x, unsigned status, const char *type, struct buf *body)
{
    IGNORE(fields_add_str(&x->out, "Content-Type", type), "a constant");
    struct buf taken = *body;
    *body = (struct buf){0};
    send_reply(x, status, buf_view(&taken));
    buf_wipe(&taken);
}

void exchange_page(struct exchange *x, unsigned status, struct buf *page)
{
    send_body(x, status, "text/html; charset=utf-8", page);
}

void exchange_asset(struct exchange *x, const char *type, struct buf *body)
{
    send_body(x, 200, type, body);
}

void exchange_json(struct exchange *x, unsigned status, struct json *value)
{
    struct buf body;
    buf_init(&body, JSON_BODY_MAX);
    enum err e = json_write(value, JSON_ORDER_INSERTED, &body);
    json_free(value);
    send_body(x, e == OK ? status : 500, "application/json", &body);
}

void exchange_redirect(struct exchange *x, const char *location)
{
    if (fields_add_str(&x->out, "Location", location) != OK) {
        exchange_error(x, 500, "Not available", MESSAGE_BROWSER_UNAVAILABLE);
        return;
    }
    send_reply(x, exchange_is_post(x) ? 303 : 302, VIEW(""));
}

static const struct page_row *find_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(page_rows); i++) {
        if (strcmp(page_rows[i].path, path) == 0)
            return &page_rows[i];
    }
    return NULL;
}

/* As Pomerium's handlers: JSON for exactly this Accept, and where nobody but programs asks. */
static bool wants_json(const struct exchange *x)
{
    const struct page_row *route = find_route(x->path);
    return (route && (route->flags & JSON)) ||
           view_eq_str(fields_get(x->request->fields, "Accept"), "application/json");
}

static void send_json_error(struct exchange *x, unsigned status, const char *sentence)
{
    struct json *value = json_new_object();
    IGNORE(json_set_i64(value, "Status", status), "a number");
    IGNORE(json_set_str(value, "StatusText", view_str(http1_reason((uint16_t)status))),
           "a constant");
    IGNORE(json_set_str(value, "description", view_str(sentence)), "UTF-8");
    IGNORE(json_set_str(value, "RequestID", view_str(x->request_id)), "printable");
    exchange_json(x, status, value);
}

void exchange_message(struct exchange *x, unsigned status, const char *heading,
                      const char *sentence, struct exchange_link link)
{
    if (status >= 400 && wants_json(x)) {
        send_json_error(x, status, sentence);
        return;
    }
    struct buf page;
    buf_init(&page, PAGE_MAX);
    const struct page_message p = {.heading = heading,
                                   .sentence = sentence,
                                   .link = link.href,
                                   .link_text = link.text,
                                   .request_id = status >= 400 ? x->request_id : NULL};
    IGNORE(page_message(&p, &page), "small");
    exchange_page(x, status, &page);
}

void exchange_error(struct exchange *x, unsigned status, const char *heading, enum message m)
{
    exchange_message(x, status, heading, message_text(m), (struct exchange_link){0});
}

void exchange_unavailable(struct exchange *x, enum err e, const char *text)
{
    metrics_add(METRIC_DATABROKER_ERRORS, 1);
    log_warn("databroker call failed", LOG_STR("request-id", x->request_id),
             LOG_STR("path", x->path), LOG_STR("error", *text ? text : err_text(e)));
    exchange_error(x, 503, "Not available", MESSAGE_BROWSER_UNAVAILABLE);
}

/* --- help --- */

/*
 * cookie_same_site is about the session. The state of a sign-in has to come back with the
 * provider's redirect, which Strict would stop.
 */
static enum cookie_same_site same_site(const struct config *config, const char *name)
{
    if (strcmp(name, config->cookie_name) != 0)
        return COOKIE_SAME_SITE_LAX;
    switch ((enum same_site)config->cookie_same_site) {
    case SAME_SITE_DEFAULT:
    case SAME_SITE_LAX:
        return COOKIE_SAME_SITE_LAX;
    case SAME_SITE_STRICT:
        return COOKIE_SAME_SITE_STRICT;
    case SAME_SITE_NONE:
        return COOKIE_SAME_SITE_NONE;
    }
    return COOKIE_SAME_SITE_LAX;
}

static void set_cookie(struct exchange *x, const char *name, const char *value, int64_t max_age,
                       const char *domain)
{
    const struct config *config = x->server->config;
    const struct cookie cookie = {.name = view_str(name),
                                  .value = view_str(value),
                                  .path = "/",
                                  .domain = domain,
                                  .max_age = max_age,
                                  .secure = true,
                                  .http_only = true,
                                  .same_site = same_site(config, name)};
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, COOKIE_MAX + 1024);
    enum err e = cookie_write(&cookie, &text);
    if (e == OK)
        e = fields_add(&x->out, VIEW("Set-Cookie"), buf_view(&text));
    if (e != OK)
        log_error("cookie cannot be set", LOG_STR("name", name), LOG_ERR(e));
}

void exchange_set_cookie(struct exchange *x, const char *name, const char *value, int64_t max_age)
{
    const struct config *config = x->server->config;
    bool is_session = strcmp(name, config->cookie_name) == 0;
    bool has_domain = is_session && config->cookie_domain && *config->cookie_domain;
    set_cookie(x, name, value, max_age, has_domain ? config->cookie_domain : NULL);
}

void exchange_set_host_cookie(struct exchange *x, const char *name, const char *value,
                              int64_t max_age)
{
    set_cookie(x, name, value, max_age, NULL);
}

char *exchange_csrf_token(const struct exchange *x, const char *bound_to, const char *path)
{
    return csrf_token(&x->server->keys.csrf, bound_to, path);
}

bool exchange_check_csrf(struct exchange *x, const char *bound_to)
{
    struct view given = form_get(&x->form, "csrf_token");
    if (csrf_is_own_origin(&x->server->origin, x->request->fields) &&
        form_count(&x->form, "csrf_token") == 1 &&
        csrf_is_token(&x->server->keys.csrf, bound_to, x->path, given))
        return true;
    metrics_add(METRIC_FORMS_REFUSED, 1);
    log_warn("forged form refused", LOG_STR("request-id", x->request_id), LOG_STR("path", x->path),
             LOG_STR("ip", x->address));
    exchange_error(x, 403, "Not accepted", MESSAGE_FORM_FORGED);
    return false;
}

/* --- dispatch --- */

static char *header_copy(const struct httpd_request *request, const char *name)
{
    struct view v = fields_get(request->fields, name);
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, HEADER_MAX);
    if (text_printable(v, &clean) != OK)
        return mem_strdup("");
    return buf_to_str(&clean);
}

const char *exchange_host(const struct exchange *x)
{
    struct view host = fields_get(x->request->fields, "Host");
    return host.ptr ? (const char *)host.ptr : "";
}

bool exchange_is_own_host(const struct exchange *x)
{
    return view_eq_case(view_str(exchange_host(x)),
                        view_str(x->server->config->authenticate_service_url.authority));
}

/* Our pages live on one host; a request for another host's page is sent there. */
static void send_home(struct exchange *x)
{
    AUTO_FREE char *url = mem_printf("%s%.*s", x->server->config->authenticate_service_url.text,
                                     VIEW_FMT(x->request->target));
    exchange_redirect(x, url);
}

static void dispatch(struct exchange *x)
{
    const struct page_row *route = find_route(x->path);
    bool is_get = view_eq_str(x->request->method, "GET") || view_eq_str(x->request->method, "HEAD");
    unsigned method = is_get ? GET : exchange_is_post(x) ? POST : 0;
    if (!route) {
        exchange_error(x, 404, "Not found", MESSAGE_PAGE_NOT_FOUND);
    } else if (!(route->flags & method)) {
        static const char *const allow[] = {
            [GET] = "GET, HEAD", [POST] = "POST", [GET | POST] = "GET, HEAD, POST"};
        IGNORE(fields_add_str(&x->out, "Allow", allow[route->flags & METHODS]), "a constant");
        exchange_error(x, 405, "Not allowed", MESSAGE_METHOD_NOT_ALLOWED);
    } else if (!(route->flags & ANY_HOST) && !exchange_is_own_host(x)) {
        if (is_get)
            send_home(x);
        else
            exchange_error(x, 421, "Wrong host", MESSAGE_PAGE_NOT_FOUND);
    } else {
        route->handler(x);
    }
}

void exchange_begin(struct server *s, const struct httpd_request *request,
                    struct httpd_reply *reply)
{
    struct exchange *x = mem_zalloc(sizeof *x);
    x->server = s;
    x->broker = broker_ref(s->broker);
    x->request = request;
    x->reply = reply;
    x->next = s->exchanges;
    if (x->next)
        x->next->prev = x;
    s->exchanges = x;
    struct view query = request->target, path = {0};
    (void)view_next(&query, '?', &path);
    x->path = mem_strndup(path.ptr, path.len);
    x->request_id = header_copy(request, "X-Request-Id");
    x->address = header_copy(request, "X-Forwarded-For");
    enum err e = form_parse(query, &x->query);
    if (e == OK && exchange_is_post(x))
        e = form_parse(request->body, &x->form);
    if (e != OK)
        exchange_error(x, 400, "Bad request", MESSAGE_REQUEST_MALFORMED);
    else
        dispatch(x);
}
