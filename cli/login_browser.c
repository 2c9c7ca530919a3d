/* Signing in with a browser on this machine: it is sent to a listener of ours with the token. */
#include <stdio.h>
#include <string.h>

#include "cli/browser.h"
#include "cli/login_parts.h"
#include "cli/tunnel/reply.h"
#include "common/base/mem.h"
#include "common/http/fields.h"
#include "common/http/form.h"
#include "common/http/url.h"
#include "common/io/listen.h"

static void answer(struct httpd_reply *reply, unsigned status, struct view text)
{
    AUTO(fields_fini) struct fields fields = {0};
    IGNORE(fields_add_str(&fields, "Content-Type", "text/plain; charset=utf-8"), "fits");
    IGNORE(fields_add_str(&fields, "Cache-Control", "no-store"), "fits");
    IGNORE(fields_add_str(&fields, "Referrer-Policy", "no-referrer"), "fits");
    httpd_reply_send(reply, status, &fields, text);
}

/*
 * Any page and any user of this machine can send requests here. The path was told to the gateway
 * alone, so whoever knows it comes from our sign-in.
 */
static void on_request(void *ctx, const struct httpd_request *request, struct httpd_reply *reply)
{
    struct login *n = ctx;
    ptrdiff_t mark = view_find(request->target, '?');
    struct view path = mark < 0 ? request->target : view_take(request->target, (size_t)mark);
    AUTO(form_fini) struct form query = {0};
    uint64_t ends_ms = 0;
    bool ok = !n->done && view_eq_str(request->method, "GET") && mark >= 0 &&
              view_eq_str(path, n->path) &&
              form_parse(view_skip(request->target, (size_t)mark + 1), &query) == OK &&
              form_count(&query, "pomerium_jwt") == 1 &&
              token_expiry(form_get(&query, "pomerium_jwt"), &ends_ms) == OK;
    if (!ok) {
        answer(reply, 404, VIEW("not found\n"));
        return;
    }
    struct view value = form_get(&query, "pomerium_jwt");
    char *token = mem_strndup(value.ptr, value.len);
    answer(reply, 200, VIEW("login complete, you may close this page"));
    login_take(n, token);
    mem_wipe(token, strlen(token));
    mem_free(token);
}

/* What is shown and handed to a program is a URL and nothing else. */
static bool is_page(struct view text)
{
    struct url u;
    return url_parse(text, &u) == OK && (url_is_scheme(&u, "https") || url_is_scheme(&u, "http"));
}

static void on_page(void *ctx, const struct ask_answer *a)
{
    struct login *n = ctx;
    n->ask = NULL;
    if (a->err != OK || a->status != 200) {
        AUTO_FREE char *said = a->err == OK ? reply_said(a->body) : mem_strdup(a->why);
        AUTO_FREE char *why =
            a->err == OK && !*said ? mem_printf("HTTP status %u", a->status) : mem_strdup(said);
        login_fail(n, why);
        return;
    }
    AUTO_FREE char *page = mem_strndup(a->body.ptr, a->body.len);
    page[strcspn(page, "\r\n")] = '\0';
    if (!is_page(view_str(page))) {
        login_fail(n, "the gateway named no page to sign in at");
        return;
    }
    if (browser_open(n->gateway->flags->browser_cmd, page) == OK)
        (void)fprintf(stderr, "Your browser has been opened to visit:\n\n%s\n\n", page);
    else
        (void)fprintf(stderr,
                      "No browser could be opened. On this machine, open:\n\n%s\n\n"
                      "With --headless any other machine will do.\n",
                      page);
    (void)fflush(stderr);
}

void login_browser(struct login *n)
{
    int fd = -1;
    AUTO_FREE char *why = NULL;
    if (listen_bind("127.0.0.1:0", &fd, &why) != OK) {
        login_fail(n, why);
        return;
    }
    struct address at = listen_address(fd);
    const struct httpd_spec spec = {
        .loop = n->gateway->loop, .on_request = on_request, .ctx = n, .connections_max = 16};
    n->httpd = httpd_open(&spec, fd);
    AUTO_FREE char *random = login_random();
    n->path = mem_printf("/%s", random);
    AUTO_FREE char *redirect = mem_printf("http://127.0.0.1:%u%s", (unsigned)at.port, n->path);
    AUTO(buf_fini) struct buf path;
    buf_init(&path, URL_MAX);
    IGNORE(buf_append_str(&path, "/.pomerium/api/v1/login"), "fits");
    IGNORE(url_add_query(&path, "pomerium_redirect_uri", view_str(redirect)), "fits");
    AUTO_FREE char *text = buf_to_str(&path);
    const struct ask_spec ask = {.method = "GET", .path = text};
    n->ask = ask_open(n->gateway, &ask, on_page, n);
}
