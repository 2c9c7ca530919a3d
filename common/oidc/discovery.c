#include "common/oidc/discovery.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/http/url.h"
#include "common/json/json.h"

enum { DISCOVERY_SHOWN_MAX = 300 };

void discovery_fini(struct discovery *d)
{
    mem_free(d->issuer);
    mem_free(d->authorization_endpoint);
    mem_free(d->token_endpoint);
    mem_free(d->jwks_uri);
    mem_free(d->userinfo_endpoint);
    mem_free(d->end_session_endpoint);
    mem_free(d->revocation_endpoint);
    *d = (struct discovery){0};
}

/* OIDC Discovery §4.1: a terminating "/" goes first. */
char *discovery_url(const char *issuer)
{
    struct view base = view_str(issuer);
    if (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    return mem_printf("%.*s/.well-known/openid-configuration", VIEW_FMT(base));
}

/* What a provider wrote, fit for a log line. */
static char *shown(struct view text)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, DISCOVERY_SHOWN_MAX);
    IGNORE(text_printable(view_take(text, DISCOVERY_SHOWN_MAX), &out), "a cut text is fine");
    return buf_to_str(&out);
}

static const struct {
    const char *name;
    size_t offset;
    bool required;
} endpoints[] = {
    {"authorization_endpoint", offsetof(struct discovery, authorization_endpoint), true},
    {"token_endpoint", offsetof(struct discovery, token_endpoint), true},
    {"jwks_uri", offsetof(struct discovery, jwks_uri), true},
    {"userinfo_endpoint", offsetof(struct discovery, userinfo_endpoint), false},
    {"end_session_endpoint", offsetof(struct discovery, end_session_endpoint), false},
    {"revocation_endpoint", offsetof(struct discovery, revocation_endpoint), false},
};

static enum err read_endpoints(const struct json *root, bool http_is_fine, struct discovery *d,
                               char **out_why)
{
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        struct view text = json_str(json_member(root, view_str(endpoints[i].name)));
        struct url u;
        if (!text.len && !endpoints[i].required)
            continue;
        if (!text.len || url_parse(text, &u) != OK || u.has_fragment || u.has_userinfo) {
            *out_why = mem_printf("the provider's document has no valid %s", endpoints[i].name);
            return ERR_SYNTAX;
        }
        bool http =
            url_is_scheme(&u, "http") && (http_is_fine || authority_is_loopback(&u.authority));
        if (!http && !url_is_scheme(&u, "https")) {
            AUTO_FREE char *seen = shown(text);
            *out_why = mem_printf("the provider's %s is not https: %s", endpoints[i].name, seen);
            return ERR_MISMATCH;
        }
        *(char **)((char *)d + endpoints[i].offset) = mem_strndup(text.ptr, text.len);
    }
    return OK;
}

static bool lists(const struct json *root, const char *name, const char *value)
{
    const struct json *list = json_member(root, view_str(name));
    for (size_t i = 0; i < json_len(list); i++) {
        if (view_eq_str(json_str(json_at(list, i)), value))
            return true;
    }
    return false;
}

static void read_features(const struct json *root, struct discovery *d)
{
    const char *methods = "token_endpoint_auth_methods_supported";
    const char *pkce = "code_challenge_methods_supported";
    d->pkce_s256 = !json_member(root, view_str(pkce)) || lists(root, pkce, "S256");
    /* OIDC Discovery §3: without a list it is client_secret_basic. */
    d->auth_basic =
        !json_member(root, view_str(methods)) || lists(root, methods, "client_secret_basic");
    d->auth_post = lists(root, methods, "client_secret_post");
    d->iss_in_response =
        json_bool(json_member(root, VIEW("authorization_response_iss_parameter_supported")), false);
}

static enum err read_document(const struct json *root, const char *provider_url,
                              struct discovery *d, char **out_why)
{
    struct url provider;
    struct view issuer = json_str(json_member(root, VIEW("issuer")));
    if (!issuer.len) {
        *out_why = mem_strdup("the provider's document has no issuer");
        return ERR_SYNTAX;
    }
    /* OIDC Discovery §4.3 */
    if (!view_eq_str(issuer, provider_url)) {
        AUTO_FREE char *seen = shown(issuer);
        *out_why = mem_printf("the provider calls itself %s, idp_provider_url is %s; they have to "
                              "be the same",
                              seen, provider_url);
        return ERR_MISMATCH;
    }
    d->issuer = mem_strndup(issuer.ptr, issuer.len);
    bool http = url_parse(issuer, &provider) == OK && url_is_scheme(&provider, "http");
    TRY(read_endpoints(root, http, d, out_why));
    read_features(root, d);
    return OK;
}

enum err discovery_parse(struct view text, const char *provider_url, struct discovery *out,
                         char **out_why)
{
    AUTO(json_free_ptr) struct json *root = NULL;
    AUTO(discovery_fini) struct discovery d = {0};
    enum err e = text.len > DISCOVERY_MAX ? ERR_LIMIT : json_parse(text, &root);
    if (e != OK) {
        *out_why = mem_strdup(e == ERR_LIMIT ? "the provider's document is too large"
                                             : "the provider's document is no JSON");
        return e;
    }
    TRY(read_document(root, provider_url, &d, out_why));
    discovery_fini(out);
    *out = d;
    d = (struct discovery){0};
    return OK;
}
