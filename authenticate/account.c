/* The person's own page, sign-out, and the small fixed ones. */
#include "authenticate/handlers.h"
#include "authenticate/login.h"
#include "authenticate/pages/html.h"
#include "authenticate/pages/pages.h"
#include "common/base/mem.h"

enum { CLAIMS_SHOWN_MAX = 200, VALUE_MAX = 1024 };

/* --- fixed --- */

static void send_asset(struct exchange *x, const char *type, const char *text)
{
    struct buf body;
    buf_init(&body, PAGE_MAX);
    IGNORE(buf_append_str(&body, text), "small");
    IGNORE(fields_add_str(&x->out, "Cache-Control", "public, max-age=3600"), "a constant");
    exchange_asset(x, type, &body);
}

void handle_style(struct exchange *x)
{
    send_asset(x, "text/css; charset=utf-8", pages_style);
}

void handle_script(struct exchange *x)
{
    send_asset(x, "text/javascript; charset=utf-8", pages_script);
}

void handle_robots(struct exchange *x)
{
    send_asset(x, "text/plain; charset=utf-8", "User-agent: *\nDisallow: /\n");
}

void handle_home(struct exchange *x)
{
    exchange_redirect(x, "/.pomerium/");
}

void handle_signed_out(struct exchange *x)
{
    const struct exchange_link link = {"/.pomerium/", "Sign in"};
    exchange_message(x, 200, "Signed out", message_text(MESSAGE_SIGNED_OUT), link);
}

/* --- account --- */

static char *join(const struct claim *c)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, VALUE_MAX);
    for (size_t i = 0; i < c->count; i++)
        IGNORE(buf_printf(&b, "%s%s", i ? ", " : "", c->values[i]), "cut");
    return buf_to_str(&b);
}

static void show_account(struct exchange *x)
{
    if (!login_has_session(x, x->path))
        return;
    const struct session *s = &x->session;
    size_t count = s->claims.count < CLAIMS_SHOWN_MAX ? s->claims.count : CLAIMS_SHOWN_MAX;
    struct page_claim *claims = mem_zalloc_array(count, sizeof *claims);
    char **values = mem_zalloc_array(count, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = join(&s->claims.items[i]);
        claims[i] = (struct page_claim){s->claims.items[i].name, values[i]};
    }
    AUTO_FREE char *expires = html_time(s->expires_ms);
    const struct page_account p = {.email = s->email,
                                   .name = s->name,
                                   .user_id = s->user_id,
                                   .session_id = s->id,
                                   .expires_at = expires,
                                   .claims = claims,
                                   .claim_count = count};
    struct buf page;
    buf_init(&page, PAGE_MAX);
    enum err e = page_account(&p, &page);
    for (size_t i = 0; i < count; i++)
        mem_free(values[i]);
    mem_free(values);
    mem_free(claims);
    exchange_page(x, e == OK ? 200 : 500, &page);
}

void handle_account(struct exchange *x)
{
    session_load(x, show_account);
}

/* --- sign-out --- */

static void on_signed_out(struct exchange *x)
{
    exchange_redirect(x, "/.pomerium/signed_out");
}

static void on_sign_out_session(struct exchange *x)
{
    if (!x->session.valid) {
        exchange_redirect(x, "/.pomerium/signed_out");
        return;
    }
    if (exchange_is_post(x)) {
        if (exchange_check_csrf(x, x->session.id))
            session_delete(x, on_signed_out);
        return;
    }
    AUTO_FREE char *token = exchange_csrf_token(x, x->session.id, x->path);
    const struct page_sign_out p = {
        .action = x->path, .csrf_token = token, .who = session_label(&x->session)};
    struct buf page;
    buf_init(&page, PAGE_MAX);
    IGNORE(page_sign_out(&p, &page), "small");
    exchange_page(x, 200, &page);
}

/* The session is ended where its own cookie is; here is only the one that the callback has set. */
static void sign_out_of_route(struct exchange *x)
{
    AUTO_FREE char *url =
        mem_printf("%s%s", x->server->config->authenticate_service_url.text, x->path);
    exchange_set_host_cookie(x, x->server->config->cookie_name, "", 0);
    exchange_redirect(x, url);
}

void handle_sign_out(struct exchange *x)
{
    if (exchange_is_own_host(x))
        session_load(x, on_sign_out_session);
    else
        sign_out_of_route(x);
}
