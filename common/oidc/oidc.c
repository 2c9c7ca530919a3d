#include "common/oidc/oidc.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/http/url.h"
#include "common/oidc/oidc_flow.h"

enum { OIDC_RANDOM_LEN = 32 };

static const char default_scopes[] = "openid profile email offline_access";

/* What oidc_authorization_url sets itself. */
static bool is_own_param(const char *name)
{
    static const char *const names[] = {
        "response_type", "client_id",      "redirect_uri",          "scope",        "state",
        "nonce",         "code_challenge", "code_challenge_method", "client_secret"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool is_web_url(const char *text)
{
    struct url u;
    return url_parse(view_str(text), &u) == OK && !u.has_fragment && !u.has_userinfo &&
           (url_is_scheme(&u, "https") || url_is_scheme(&u, "http"));
}

static bool has_scope(const char *scopes, const char *scope)
{
    struct view rest = view_str(scopes);
    struct view part;
    while (view_next(&rest, ' ', &part)) {
        if (view_eq_str(part, scope))
            return true;
    }
    return false;
}

enum err oidc_provider_init(struct oidc_provider *p, const struct oidc_config *config)
{
    const char *scopes = config->scopes && config->scopes[0] ? config->scopes : default_scopes;
    if (!is_web_url(config->provider_url) || !is_web_url(config->redirect_uri))
        return ERR_CONFIG;
    for (size_t i = 0; i < config->param_count; i++) {
        if (is_own_param(config->params[i].name))
            return ERR_CONFIG;
    }
    *p = (struct oidc_provider){
        .provider_url = mem_strdup(config->provider_url),
        .client_id = mem_strdup(config->client_id),
        .redirect_uri = mem_strdup(config->redirect_uri),
        .scopes =
            has_scope(scopes, "openid") ? mem_strdup(scopes) : mem_printf("openid %s", scopes),
        .params = mem_zalloc_array(config->param_count, sizeof *config->params),
        .param_count = config->param_count,
    };
    secret_set(&p->client_secret, config->client_secret);
    for (size_t i = 0; i < config->param_count; i++)
        p->params[i] = (struct oidc_param){.name = mem_strdup(config->params[i].name),
                                           .value = mem_strdup(config->params[i].value)};
    return OK;
}

void oidc_provider_fini(struct oidc_provider *p)
{
    for (size_t i = 0; i < p->param_count; i++) {
        mem_free((void *)p->params[i].name);
        mem_free((void *)p->params[i].value);
    }
    mem_free(p->params);
    mem_free(p->provider_url);
    mem_free(p->client_id);
    mem_free(p->redirect_uri);
    mem_free(p->scopes);
    secret_fini(&p->client_secret);
    discovery_fini(&p->discovery);
    jwk_set_fini(&p->keys);
    *p = (struct oidc_provider){0};
}

static void draw(const struct rng *rng, char out[OIDC_LOGIN_TEXT_MAX + 1])
{
    uint8_t bytes[OIDC_RANDOM_LEN];
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, OIDC_LOGIN_TEXT_MAX);
    rng_fill(rng, bytes, sizeof bytes);
    IGNORE(text_base64url(view_of(bytes, sizeof bytes), &text), "43 bytes fit");
    memset(out, 0, OIDC_LOGIN_TEXT_MAX + 1);
    memcpy(out, buf_ptr(&text), text.len);
    mem_wipe(bytes, sizeof bytes);
}

void oidc_login_init(struct oidc_login *login, const struct rng *rng)
{
    draw(rng, login->state);
    draw(rng, login->nonce);
    draw(rng, login->verifier);
}

enum err oidc_callback_parse(const struct form *form, struct oidc_callback *out)
{
    /* RFC 6749 §3.1: parameters are not given twice. */
    static const char *const names[] = {"code", "state", "error", "error_description", "iss"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (form_count(form, names[i]) > 1)
            return ERR_SYNTAX;
    }
    struct oidc_callback c = {
        .code = form_get(form, "code"),
        .state = form_get(form, "state"),
        .error = form_get(form, "error"),
        .error_description = form_get(form, "error_description"),
        .iss = form_get(form, "iss"),
    };
    if (!c.code.len && !c.error.len)
        return ERR_SYNTAX;
    *out = c;
    return OK;
}

/* RFC 7636 §4.2 */
static enum err write_challenge(const char *verifier, struct buf *url)
{
    uint8_t hash[DIGEST_MAX];
    AUTO(buf_fini) struct buf text;
    buf_init(&text, OIDC_LOGIN_TEXT_MAX);
    digest(DIGEST_SHA256, view_str(verifier), hash);
    TRY(text_base64url(view_of(hash, DIGEST_SHA256_LEN), &text));
    TRY(url_add_query(url, "code_challenge", buf_view(&text)));
    return url_add_query(url, "code_challenge_method", VIEW("S256"));
}

enum err oidc_authorization_url(const struct oidc_provider *p, const struct oidc_login *login,
                                struct buf *out)
{
    TRY(buf_append_str(out, p->discovery.authorization_endpoint));
    TRY(url_add_query(out, "response_type", VIEW("code")));
    TRY(url_add_query(out, "client_id", view_str(p->client_id)));
    TRY(url_add_query(out, "redirect_uri", view_str(p->redirect_uri)));
    TRY(url_add_query(out, "scope", view_str(p->scopes)));
    TRY(url_add_query(out, "state", view_str(login->state)));
    TRY(url_add_query(out, "nonce", view_str(login->nonce)));
    if (p->discovery.pkce_s256)
        TRY(write_challenge(login->verifier, out));
    for (size_t i = 0; i < p->param_count; i++)
        TRY(url_add_query(out, p->params[i].name, view_str(p->params[i].value)));
    return OK;
}

static enum err write_logout(const struct oidc_provider *p, const char *id_token,
                             const char *return_to, struct buf *out)
{
    TRY(buf_append_str(out, p->discovery.end_session_endpoint));
    if (id_token && id_token[0])
        TRY(url_add_query(out, "id_token_hint", view_str(id_token)));
    TRY(url_add_query(out, "client_id", view_str(p->client_id)));
    if (return_to)
        TRY(url_add_query(out, "post_logout_redirect_uri", view_str(return_to)));
    return OK;
}

char *oidc_logout_url(const struct oidc_provider *p, const char *id_token, const char *return_to)
{
    AUTO(buf_wipe) struct buf url;
    buf_init(&url, OIDC_RESPONSE_MAX);
    if (!p->discovery.end_session_endpoint || write_logout(p, id_token, return_to, &url) != OK)
        return NULL;
    return buf_to_str(&url);
}
