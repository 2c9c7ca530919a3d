/* Signing in with any browser anywhere: an address and a match code, and asking until it is done.
 */
#include <stdio.h>
#include <string.h>

#include "cli/login_parts.h"
#include "cli/tunnel/reply.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/daemon/daemon.h"
#include "common/http/form.h"
#include "common/http/url.h"
#include "common/json/json.h"

enum { FORM_MAX = 4096, POLL_MS = 2000, POLL_MAX_S = 60, HOST_MAX = 255 };

static void poll_again(struct login *n);

static void on_token(void *ctx, const struct ask_answer *a)
{
    struct login *n = ctx;
    n->ask = NULL;
    AUTO(json_free_ptr) struct json *v = NULL;
    bool is_json = a->err == OK && a->body.len && json_parse(a->body, &v) == OK;
    struct view token = json_get_str(v, "jwt");
    uint64_t ends_ms;
    if (a->err != OK || a->status == 202 || a->status == 503 || a->status == 429) {
        poll_again(n); /* a gateway that is away for a moment comes back */
    } else if (a->status == 200 && is_json && token_expiry(token, &ends_ms) == OK) {
        login_take(n, (const char *)token.ptr);
    } else if (a->status == 403) {
        login_fail(n, "it was denied");
    } else if (a->status == 410) {
        login_fail(n, "the address has expired");
    } else {
        AUTO_FREE char *why = mem_printf("HTTP status %u", a->status);
        login_fail(n, why);
    }
}

static void ask_token(void *ctx)
{
    struct login *n = ctx;
    AUTO(buf_wipe) struct buf form;
    buf_init(&form, FORM_MAX);
    IGNORE(form_add(&form, "code", view_str(n->code)), "a longer one is refused before");
    IGNORE(form_add(&form, "verifier", view_str(n->verifier)), "fits");
    const struct ask_spec spec = {
        .method = "POST", .path = "/.pomerium/api/v1/device_token", .body = buf_view(&form)};
    n->ask = ask_open(n->gateway, &spec, on_token, n);
}

static void poll_again(struct login *n)
{
    timer_fini(&n->step);
    timer_init(&n->step, n->gateway->loop, ask_token, n);
    timer_after(&n->step, n->interval_ms);
}

static bool show(struct login *n, const struct json *v)
{
    struct view url = json_get_str(v, "url"), match = json_get_str(v, "match_code");
    struct view code = json_get_str(v, "code");
    struct url parsed;
    int64_t interval = 0;
    if (!code.len || code.len > FORM_MAX / 8 || url_parse(url, &parsed) != OK ||
        !(url_is_scheme(&parsed, "https") || url_is_scheme(&parsed, "http")))
        return false;
    if (json_get_i64(v, "interval", &interval) != OK || interval < 1 || interval > POLL_MAX_S)
        interval = POLL_MS / 1000;
    n->interval_ms = (uint64_t)interval * 1000;
    n->code = mem_strndup(code.ptr, code.len);
    AUTO(buf_fini) struct buf shown;
    buf_init(&shown, FORM_MAX);
    IGNORE(text_printable(match, &shown), "a longer one is cut");
    (void)fprintf(stderr,
                  "To sign in, open this address in any browser:\n\n%.*s\n\nMatch code: %.*s\n",
                  VIEW_FMT(url), VIEW_FMT(buf_view(&shown)));
    (void)fflush(stderr);
    return true;
}

static void on_code(void *ctx, const struct ask_answer *a)
{
    struct login *n = ctx;
    n->ask = NULL;
    AUTO(json_free_ptr) struct json *v = NULL;
    if (a->err != OK) {
        login_fail(n, a->why);
    } else if (a->status == 404) {
        login_fail(n, "this gateway has no sign-in for machines without a browser");
    } else if (a->status != 200 || json_parse(a->body, &v) != OK || !show(n, v)) {
        AUTO_FREE char *why = mem_printf("HTTP status %u", a->status);
        login_fail(n, why);
    } else {
        poll_again(n);
    }
}

void login_headless(struct login *n)
{
    uint8_t hash[DIGEST_SHA256_LEN];
    char host[HOST_MAX + 1] = "";
    n->verifier = login_random();
    digest(DIGEST_SHA256, view_str(n->verifier), hash);
    AUTO(buf_fini) struct buf challenge, form;
    buf_init(&challenge, FORM_MAX);
    buf_init(&form, FORM_MAX);
    IGNORE(text_base64url(view_of(hash, sizeof hash), &challenge), "fits");
    size_t len = sizeof host - 1;
    if (uv_os_gethostname(host, &len) != 0)
        host[0] = '\0';
    /* What the page shows about who asks. */
    AUTO_FREE char *client =
        mem_printf("postern %s%s%.100s", daemon_version(), *host ? " on " : "", host);
    IGNORE(form_add(&form, "challenge", buf_view(&challenge)), "fits");
    IGNORE(form_add(&form, "client", view_str(client)), "fits");
    const struct ask_spec spec = {
        .method = "POST", .path = "/.pomerium/api/v1/device_login", .body = buf_view(&form)};
    n->ask = ask_open(n->gateway, &spec, on_code, n);
}
