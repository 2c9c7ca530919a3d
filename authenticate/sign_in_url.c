#include "authenticate/sign_in_url.h"

#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/jose/signed_url.h"

struct sign_in_url sign_in_url_of(const struct exchange *x)
{
    return (struct sign_in_url){
        .redirect_uri = form_get(&x->query, "pomerium_redirect_uri"),
        .callback_uri = form_get(&x->query, "pomerium_callback_uri"),
        .csrf = form_get(&x->query, "pomerium_csrf"),
        .programmatic = view_eq_str(form_get(&x->query, "pomerium_programmatic"), "true"),
    };
}

static enum err add(struct buf *url, const char *name, struct view value)
{
    return value.len ? url_add_query(url, name, value) : OK;
}

enum err sign_in_url_write(const struct exchange *x, const struct sign_in_url *u, uint64_t valid_ms,
                           struct buf *out)
{
    const struct config *config = x->server->config;
    uint64_t now = loop_wall_ms();
    AUTO(buf_fini) struct buf url;
    buf_init(&url, SIGNED_URL_MAX);
    TRY(buf_printf(&url, "%s/.pomerium/sign_in", config->authenticate_service_url.text));
    TRY(add(&url, "pomerium_redirect_uri", u->redirect_uri));
    TRY(add(&url, "pomerium_callback_uri", u->callback_uri));
    TRY(add(&url, "pomerium_csrf", u->csrf));
    TRY(add(&url, "pomerium_programmatic", u->programmatic ? VIEW("true") : VIEW("")));
    return signed_url_sign(secret_view(&config->shared_secret), buf_view(&url), now, now + valid_ms,
                           out);
}

char *sign_in_url_again(const struct exchange *x, const struct sign_in_url *u)
{
    size_t origin = strlen(x->server->config->authenticate_service_url.text);
    AUTO(buf_fini) struct buf url;
    buf_init(&url, origin + LOGIN_RETURN_MAX);
    if (sign_in_url_write(x, u, LOGIN_MS, &url) != OK)
        return NULL;
    struct view path = view_skip(buf_view(&url), origin);
    return mem_strndup(path.ptr, path.len);
}

bool signed_request_check(struct exchange *x, const char *origin)
{
    const struct config *config = x->server->config;
    AUTO_FREE char *url = mem_printf("%s%.*s", origin, VIEW_FMT(x->request->target));
    struct view signed_part;
    enum err e = signed_url_verify(secret_view(&config->shared_secret),
                                   secret_view(&config->shared_secret_previous), view_str(url),
                                   loop_wall_ms(), &signed_part);
    if (e == OK)
        return true;
    log_warn("signed link refused", LOG_STR("request-id", x->request_id), LOG_STR("path", x->path),
             LOG_ERR(e), LOG_STR("ip", x->address));
    exchange_error(x, 400, e == ERR_EXPIRED ? "Expired" : "Link not valid",
                   e == ERR_EXPIRED ? MESSAGE_SIGNED_LINK_EXPIRED : MESSAGE_SIGNED_LINK_INVALID);
    return false;
}

void handover_redirect(struct exchange *x, enum err e, const struct buf *location)
{
    if (e != OK) {
        exchange_error(x, 400, "Bad request", MESSAGE_REDIRECT_INVALID);
        return;
    }
    char *text = buf_to_str(location);
    IGNORE(fields_add_str(&x->out, "Referrer-Policy", "no-referrer"), "a constant");
    exchange_redirect(x, text);
    mem_wipe(text, strlen(text));
    mem_free(text);
}

char *request_origin(const struct exchange *x)
{
    /* Where TLS ends before us the proxy says so. */
    bool plain = view_eq_str(fields_get(x->request->fields, "X-Forwarded-Proto"), "http");
    AUTO_FREE char *text = mem_printf("%s://%.*s", plain ? "http" : "https",
                                      VIEW_FMT(fields_get(x->request->fields, "Host")));
    AUTO(buf_fini) struct buf origin;
    struct url u;
    buf_init(&origin, URL_MAX);
    if (url_parse(view_str(text), &u) == OK && !u.has_userinfo && u.path.len == 0 && !u.has_query)
        IGNORE(url_write_origin(&u, &origin), "not longer than the text");
    return buf_to_str(&origin);
}
