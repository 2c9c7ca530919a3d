#include "common/oidc/oidc_flow.h"

#include "common/base/mem.h"
#include "common/base/text.h"

enum { OIDC_TEXT_MAX = 1000, OIDC_REQUEST_MAX = 1 << 18 };

static void wipe_str(char *s)
{
    if (s)
        mem_wipe(s, strlen(s));
    mem_free(s);
}

static struct oidc_flow *flow_new(struct oidc_provider *p, enum oidc_flow_kind kind)
{
    struct oidc_flow *f = mem_zalloc(sizeof *f);
    f->kind = kind;
    f->provider = p;
    buf_init(&f->url, OIDC_REQUEST_MAX);
    buf_init(&f->body, OIDC_REQUEST_MAX);
    return f;
}

void oidc_flow_free(struct oidc_flow *f)
{
    if (!f)
        return;
    wipe_str(f->code);
    wipe_str(f->refresh_token);
    mem_free(f->state);
    mem_free(f->error);
    mem_free(f->error_description);
    mem_free(f->iss);
    mem_free(f->subject);
    buf_wipe(&f->url);
    buf_wipe(&f->body);
    fields_fini(&f->headers);
    json_free(f->token);
    json_free(f->claims);
    json_free(f->userinfo);
    json_free(f->tree);
    claims_fini(&f->flat);
    mem_free(f->text);
    mem_wipe(f, sizeof *f);
    mem_free(f);
}

static char *copy_view(struct view v)
{
    return mem_strndup(v.ptr, v.len);
}

struct oidc_flow *oidc_begin(struct oidc_provider *p, const struct oidc_login *login)
{
    struct oidc_flow *f = flow_new(p, OIDC_FLOW_BEGIN);
    f->login = *login;
    return f;
}

struct oidc_flow *oidc_finish(struct oidc_provider *p, const struct oidc_login *login,
                              const struct oidc_callback *callback)
{
    struct oidc_flow *f = flow_new(p, OIDC_FLOW_FINISH);
    f->login = *login;
    f->code = copy_view(callback->code);
    f->state = copy_view(callback->state);
    f->error = copy_view(callback->error);
    f->error_description = copy_view(callback->error_description);
    f->iss = callback->iss.ptr ? copy_view(callback->iss) : NULL;
    return f;
}

struct oidc_flow *oidc_refresh(struct oidc_provider *p, const char *refresh_token,
                               const char *subject)
{
    struct oidc_flow *f = flow_new(p, OIDC_FLOW_REFRESH);
    f->refresh_token = mem_strdup(refresh_token);
    f->subject = mem_strdup(subject);
    return f;
}

void oidc_fail(struct oidc_flow *f, enum err e, const char *format, ...)
{
    AUTO(buf_fini) struct buf text;
    AUTO(buf_fini) struct buf clean;
    buf_init(&text, OIDC_RESPONSE_MAX);
    buf_init(&clean, OIDC_TEXT_MAX);
    va_list args;
    va_start(args, format);
    IGNORE(buf_vprintf(&text, format, args), "a cut text is fine");
    va_end(args);
    IGNORE(text_printable(view_take(buf_view(&text), OIDC_TEXT_MAX), &clean), "as above");
    mem_free(f->text);
    f->text = buf_to_str(&clean);
    f->err = e;
}

static void emit_failure(struct oidc_flow *f, struct oidc_effect *e)
{
    f->ended = true;
    *e = (struct oidc_effect){
        .type = OIDC_FAILED, .purpose = f->purpose, .err = f->err, .text = f->text};
}

static void emit_fetch(struct oidc_flow *f, const char *method, struct oidc_effect *e)
{
    f->fetching = true;
    *e = (struct oidc_effect){.type = OIDC_FETCH,
                              .purpose = f->purpose,
                              .method = method,
                              .url = (const char *)buf_ptr(&f->url),
                              .headers = &f->headers,
                              .body = buf_view(&f->body)};
}

static void clear_request(struct oidc_flow *f, enum oidc_purpose purpose)
{
    f->purpose = purpose;
    buf_wipe(&f->url);
    buf_wipe(&f->body);
    fields_clear(&f->headers);
}

static void fetch_json(struct oidc_flow *f, enum oidc_purpose purpose, const char *url,
                       struct oidc_effect *e)
{
    clear_request(f, purpose);
    if (buf_append_str(&f->url, url) != OK || buf_append_u8(&f->url, 0) != OK ||
        fields_add_str(&f->headers, "Accept", "application/json") != OK) {
        oidc_fail(f, ERR_LIMIT, "the request is too large");
        emit_failure(f, e);
        return;
    }
    emit_fetch(f, "GET", e);
}

/* RFC 9207 §2.4 */
static bool is_issuer_wrong(const struct oidc_flow *f)
{
    const struct discovery *d = &f->provider->discovery;
    return f->iss ? strcmp(f->iss, d->issuer) != 0 : d->iss_in_response;
}

/* What the callback itself says; before anything is sent anywhere. */
static void check_callback(struct oidc_flow *f)
{
    if (!secret_equal(view_str(f->state), view_str(f->login.state)) || !f->state[0])
        oidc_fail(f, ERR_MISMATCH, "the callback's state is another one");
    else if (f->error[0])
        oidc_provider_error(f, view_str(f->error), view_str(f->error_description));
    else if (!f->code[0])
        oidc_fail(f, ERR_SYNTAX, "the callback has no code");
}

/* True when an effect was made, or the flow has failed. */
static bool want_discovery(struct oidc_flow *f, uint64_t now_ms, struct oidc_effect *e)
{
    struct oidc_provider *p = f->provider;
    bool fresh = p->has_discovery && now_ms < p->discovery_at + OIDC_REFRESH_MS;
    if (fresh || f->asked_discovery)
        return false;
    f->asked_discovery = true;
    AUTO_FREE char *url = discovery_url(p->provider_url);
    fetch_json(f, OIDC_PURPOSE_DISCOVERY, url, e);
    return true;
}

static bool want_keys(struct oidc_flow *f, struct oidc_effect *e)
{
    f->asked_keys = true;
    fetch_json(f, OIDC_PURPOSE_KEYS, f->provider->discovery.jwks_uri, e);
    return true;
}

static bool want_id_token(struct oidc_flow *f, uint64_t now_ms, struct oidc_effect *e)
{
    struct oidc_provider *p = f->provider;
    const char *why = NULL;
    if (f->claims || (f->kind == OIDC_FLOW_REFRESH && !json_get_str(f->token, "id_token").len))
        return false;
    bool fresh = p->has_keys && now_ms < p->keys_at + OIDC_REFRESH_MS;
    if (!fresh && !f->asked_keys)
        return want_keys(f, e);
    f->purpose = OIDC_PURPOSE_TOKEN;
    enum err err = oidc_check_id_token(f, now_ms, &why);
    bool may_ask = !f->asked_keys && now_ms >= p->keys_asked_at + OIDC_KEY_RETRY_MS;
    if ((err == ERR_NOT_FOUND || err == ERR_VERIFY) && may_ask)
        return want_keys(f, e);
    if (err != OK)
        oidc_fail(f, err == ERR_NOT_FOUND ? ERR_VERIFY : err, "id_token: %s", why);
    return false;
}

static bool want_request(struct oidc_flow *f, enum oidc_purpose purpose, struct oidc_effect *e)
{
    bool is_token = purpose == OIDC_PURPOSE_TOKEN;
    clear_request(f, purpose);
    enum err err = is_token ? oidc_token_request(f) : oidc_userinfo_request(f);
    if (err != OK && f->err == OK)
        oidc_fail(f, err, "the request cannot be written: %s", err_text(err));
    if (f->err != OK)
        return false;
    emit_fetch(f, is_token ? "POST" : "GET", e);
    return true;
}

static bool want_userinfo(struct oidc_flow *f, struct oidc_effect *e)
{
    if (f->userinfo || f->asked_userinfo || !f->provider->discovery.userinfo_endpoint)
        return false;
    f->asked_userinfo = true;
    return want_request(f, OIDC_PURPOSE_USERINFO, e);
}

static void emit_redirect(struct oidc_flow *f, struct oidc_effect *e)
{
    clear_request(f, OIDC_PURPOSE_DISCOVERY);
    if (oidc_authorization_url(f->provider, &f->login, &f->url) != OK ||
        buf_append_u8(&f->url, 0) != OK) {
        oidc_fail(f, ERR_LIMIT, "the authorization request is too large");
        return;
    }
    f->ended = true;
    *e = (struct oidc_effect){.type = OIDC_REDIRECT, .url = (const char *)buf_ptr(&f->url)};
}

static void emit_result(struct oidc_flow *f, struct oidc_effect *e)
{
    enum err err = oidc_finish_result(f);
    if (err != OK) {
        oidc_fail(f, err, "the claims cannot be used: %s", err_text(err));
        return;
    }
    f->ended = true;
    *e = (struct oidc_effect){.type = OIDC_DONE, .result = &f->result};
}

/* Makes one effect, or fails the flow. */
static void advance(struct oidc_flow *f, uint64_t now_ms, struct oidc_effect *e)
{
    if (f->kind == OIDC_FLOW_FINISH && !f->token)
        check_callback(f);
    if (f->err != OK || want_discovery(f, now_ms, e) || f->err != OK)
        return;
    if (f->kind == OIDC_FLOW_BEGIN) {
        emit_redirect(f, e);
        return;
    }
    if (f->kind == OIDC_FLOW_FINISH && is_issuer_wrong(f)) {
        oidc_fail(f, ERR_MISMATCH, "the callback's iss is %s, not %s", f->iss ? f->iss : "missing",
                  f->provider->discovery.issuer);
        return;
    }
    if (!f->token) {
        (void)want_request(f, OIDC_PURPOSE_TOKEN, e);
        return;
    }
    if (want_id_token(f, now_ms, e) || f->err != OK)
        return;
    if (want_userinfo(f, e) || f->err != OK)
        return;
    emit_result(f, e);
}

bool oidc_next(struct oidc_flow *f, uint64_t now_ms, struct oidc_effect *out_effect)
{
    if (f->fetching || f->ended)
        return false;
    if (f->err == OK)
        advance(f, now_ms, out_effect);
    if (f->err != OK)
        emit_failure(f, out_effect);
    return true;
}

static void discovery_answer(struct oidc_flow *f, unsigned status, struct view body,
                             uint64_t now_ms)
{
    struct oidc_provider *p = f->provider;
    AUTO_FREE char *why = NULL;
    if (status != 200)
        oidc_fail(f, ERR_UNAVAILABLE, "%s answered %u", (const char *)buf_ptr(&f->url), status);
    else if (discovery_parse(body, p->provider_url, &p->discovery, &why) != OK)
        oidc_fail(f, ERR_MISMATCH, "%s", why);
    if (f->err == OK) {
        p->has_discovery = true;
        p->discovery_at = now_ms;
    }
}

static void keys_answer(struct oidc_flow *f, unsigned status, struct view body, uint64_t now_ms)
{
    struct oidc_provider *p = f->provider;
    p->keys_asked_at = now_ms;
    if (status != 200)
        oidc_fail(f, ERR_UNAVAILABLE, "%s answered %u", (const char *)buf_ptr(&f->url), status);
    else if (jwk_set_parse(body, &p->keys) != OK)
        oidc_fail(f, ERR_SYNTAX, "%s is no set of keys", (const char *)buf_ptr(&f->url));
    if (f->err == OK) {
        p->has_keys = true;
        p->keys_at = now_ms;
    }
}

/* What was fetched earlier is used on when it cannot be fetched again. */
static void keep_old(struct oidc_flow *f)
{
    bool old = f->purpose == OIDC_PURPOSE_DISCOVERY
                   ? f->provider->has_discovery
                   : f->purpose == OIDC_PURPOSE_KEYS && f->provider->has_keys;
    /* A refresh token that was used is worth nothing any more: the new one must not be lost. */
    f->partial = f->err == ERR_UNAVAILABLE && f->kind == OIDC_FLOW_REFRESH &&
                 f->purpose == OIDC_PURPOSE_USERINFO;
    if (f->err == ERR_UNAVAILABLE && (old || f->partial))
        f->err = OK;
}

void oidc_fetched(struct oidc_flow *f, unsigned status, struct view body, uint64_t now_ms)
{
    if (!f->fetching)
        return;
    f->fetching = false;
    if (body.len > OIDC_RESPONSE_MAX) {
        oidc_fail(f, ERR_LIMIT, "the provider's answer is too large");
        return;
    }
    switch (f->purpose) {
    case OIDC_PURPOSE_DISCOVERY:
        discovery_answer(f, status, body, now_ms);
        break;
    case OIDC_PURPOSE_KEYS:
        keys_answer(f, status, body, now_ms);
        break;
    case OIDC_PURPOSE_TOKEN:
        oidc_token_answer(f, status, body, now_ms);
        break;
    case OIDC_PURPOSE_USERINFO:
        oidc_userinfo_answer(f, status, body);
        break;
    }
    keep_old(f);
}

void oidc_fetch_failed(struct oidc_flow *f, const char *why, uint64_t now_ms)
{
    if (!f->fetching)
        return;
    f->fetching = false;
    if (f->purpose == OIDC_PURPOSE_KEYS)
        f->provider->keys_asked_at = now_ms;
    oidc_fail(f, ERR_UNAVAILABLE, "%s: %s", (const char *)buf_ptr(&f->url), why);
    keep_old(f);
}
