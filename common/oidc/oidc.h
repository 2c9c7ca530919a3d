/*
 * Sign-in with an OpenID Connect provider: authorization code with PKCE (OIDC Core 1.0, RFC 6749,
 * 7636, 9207). Pure: a flow says what to fetch, the owner fetches it and feeds the answer.
 *
 *   struct oidc_provider p;                 one per configured provider, shared by its flows
 *   struct oidc_flow *f;                    one per step of one person's sign-in
 *   f = oidc_begin(&p, &login)              or oidc_finish(&p, &login, &callback), …
 *   while (oidc_next(f, now_ms, &effect))
 *     OIDC_FETCH     send it; later oidc_fetched(f, status, body, now_ms) or
 *                    oidc_fetch_failed(f, why, now_ms), then oidc_next again
 *     OIDC_REDIRECT  the end: send the browser to effect.url
 *     OIDC_DONE      the end: effect.result
 *     OIDC_FAILED    the end: effect.err, effect.text
 *   oidc_flow_free(f)
 */
#ifndef COMMON_OIDC_OIDC_H
#define COMMON_OIDC_OIDC_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/secret.h"
#include "common/base/view.h"
#include "common/crypto/rng.h"
#include "common/http/fields.h"
#include "common/http/form.h"
#include "common/jose/jwk.h"
#include "common/json/json.h"
#include "common/oidc/claims.h"
#include "common/oidc/discovery.h"

enum {
    OIDC_RESPONSE_MAX = 1 << 20,      /* the largest answer that is looked at */
    OIDC_LEEWAY_MS = 60 * 1000,       /* clocks may differ by this much */
    OIDC_REFRESH_MS = 60 * 60 * 1000, /* metadata and keys are fetched again after this */
    OIDC_KEY_RETRY_MS = 10 * 1000,    /* an unknown kid fetches keys at most this often */
    OIDC_LOGIN_TEXT_MAX = 128,
};

struct oidc_param {
    const char *name;
    const char *value;
};

/* Strings are copied by oidc_provider_init. */
struct oidc_config {
    const char *provider_url; /* the issuer */
    const char *client_id;
    struct view client_secret; /* empty: a public client, no authentication */
    const char *redirect_uri;
    const char *scopes;              /* blank separated; NULL or "": openid profile email
                                        offline_access. openid is always asked for */
    const struct oidc_param *params; /* more parameters of the authorization request */
    size_t param_count;
};

struct oidc_provider {
    char *provider_url;
    char *client_id;
    struct secret client_secret;
    char *redirect_uri;
    char *scopes;
    struct oidc_param *params;
    size_t param_count;
    bool has_discovery;
    struct discovery discovery;
    uint64_t discovery_at;
    bool has_keys;
    struct jwk_set keys;
    uint64_t keys_at;
    uint64_t keys_asked_at; /* when the last fetch ended, well or not */
};

/* ERR_CONFIG when provider_url or redirect_uri is no absolute http(s) URL, or a parameter is one
 * that the flow itself sets. */
enum err oidc_provider_init(struct oidc_provider *p, const struct oidc_config *config);
void oidc_provider_fini(struct oidc_provider *p);

/*
 * What ties the callback to the browser that began: three random texts, drawn by oidc_login_init,
 * kept by the owner (sealed) until the callback. Any text of up to OIDC_LOGIN_TEXT_MAX may be put
 * in place of `state`.
 */
struct oidc_login {
    char state[OIDC_LOGIN_TEXT_MAX + 1];
    char nonce[OIDC_LOGIN_TEXT_MAX + 1];
    char verifier[OIDC_LOGIN_TEXT_MAX + 1]; /* PKCE */
};
void oidc_login_init(struct oidc_login *login, const struct rng *rng);

/* The parameters of the callback; the views live as the form. */
struct oidc_callback {
    struct view code;
    struct view state;
    struct view error;
    struct view error_description;
    struct view iss;
};

/* ERR_SYNTAX when one of them is there twice, or neither code nor error is. */
enum err oidc_callback_parse(const struct form *form, struct oidc_callback *out);

enum oidc_purpose {
    OIDC_PURPOSE_DISCOVERY,
    OIDC_PURPOSE_KEYS,
    OIDC_PURPOSE_TOKEN,
    OIDC_PURPOSE_USERINFO,
};

/* What is known about the person. */
struct oidc_result {
    const char *subject;
    const char *email; /* email, else mail; "" when there is none */
    const char *name;
    bool email_verified;         /* also a string "true" */
    const struct claims *claims; /* id_token and userinfo, flattened */
    const struct json *tree;     /* the same as they came */
    bool partial;                /* of a refresh: without userinfo, which was not reachable */
    const char *access_token;
    const char *refresh_token; /* "" when there is none */
    const char *id_token;
    const char *token_type;
    uint64_t access_expires_at; /* ms since 1970; 0 = not said */
    uint64_t id_expires_at;
};

enum oidc_effect_type {
    OIDC_FETCH,
    OIDC_REDIRECT,
    OIDC_DONE,
    OIDC_FAILED,
};

/* Everything lives until the next call with the flow. */
struct oidc_effect {
    enum oidc_effect_type type;
    enum oidc_purpose purpose; /* FETCH; FAILED: what it was about */
    const char *method;        /* FETCH: "GET" or "POST" */
    const char *url;           /* FETCH, REDIRECT */
    const struct fields *headers;
    struct view body; /* holds secrets: not for logs, as the headers */
    const struct oidc_result *result;
    enum err err;
    const char *text; /* FAILED: for logs, printable, no secrets */
};

struct oidc_flow;

/* Towards the provider: ends with OIDC_REDIRECT. */
struct oidc_flow *oidc_begin(struct oidc_provider *p, const struct oidc_login *login);

/*
 * Back from it: ends with OIDC_DONE. `callback` is copied. The err of a failure:
 *   ERR_DENIED       the provider or the person said no (access_denied)
 *   ERR_UNAVAILABLE  not reachable, or it says that it is not well
 *   ERR_MISMATCH     state, nonce, issuer, audience or subject is not ours
 *   ERR_EXPIRED, ERR_VERIFY, ERR_SYNTAX, ERR_UNSUPPORTED   the token
 *   ERR_PROTOCOL     any other error of the provider (invalid_grant, invalid_client, …)
 */
struct oidc_flow *oidc_finish(struct oidc_provider *p, const struct oidc_login *login,
                              const struct oidc_callback *callback);

/*
 * A new access token for a refresh token of `subject`: ends with OIDC_DONE, whose id_token is ""
 * when the provider sent none. ERR_DENIED: the provider takes the refresh token no more, or
 * refuses to tell about the person.
 */
struct oidc_flow *oidc_refresh(struct oidc_provider *p, const char *refresh_token,
                               const char *subject);

/* NULL is fine. The provider has to outlive its flows. */
void oidc_flow_free(struct oidc_flow *f);

/* False while a fetch is under way, and after the end. */
bool oidc_next(struct oidc_flow *f, uint64_t now_ms, struct oidc_effect *out_effect);

/* The answer to the fetch. `status` is HTTP's. */
void oidc_fetched(struct oidc_flow *f, unsigned status, struct view body, uint64_t now_ms);

/* There was none. `why` is for the log. */
void oidc_fetch_failed(struct oidc_flow *f, const char *why, uint64_t now_ms);

/*
 * Where to send the browser for RP-initiated logout, fresh memory; NULL when the provider has no
 * such endpoint or was not asked yet. `id_token` and `return_to` may be NULL.
 */
char *oidc_logout_url(const struct oidc_provider *p, const char *id_token, const char *return_to);

#endif
