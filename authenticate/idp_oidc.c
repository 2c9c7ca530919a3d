/* Sign-in at an OpenID Connect provider: the two steps of common/oidc. */
#include "authenticate/handlers.h"
#include "authenticate/login.h"
#include "authenticate/oidc_run.h"
#include "authenticate/person.h"
#include "authenticate/provider.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum { SCOPES_MAX = 4096 };

/* One step and the exchange that waits for it. */
struct flow {
    struct exchange *exchange;
    struct oidc_run *run;
    char *return_to;
};

static void flow_free(void *state)
{
    struct flow *f = state;
    oidc_run_cancel(f->run);
    mem_free(f->return_to);
    mem_free(f);
}

static void fail(struct flow *f, const struct oidc_effect *effect)
{
    struct exchange *x = f->exchange;
    struct server *s = x->server;
    metrics_add(METRIC_SIGN_INS, 1, "oidc", effect->err == ERR_DENIED ? "refused" : "failed");
    log_warn("identity provider failed", LOG_STR("request-id", x->request_id),
             LOG_STR("event", oidc_run_purpose(effect)), LOG_STR("error", effect->text),
             LOG_STR("ip", x->address));
    const struct exchange_link again = {f->return_to, "Try again"};
    switch (err_class(effect->err)) {
    case ERR_CLASS_BUSY:
        health_set(daemon_health(s->daemon), "identity-provider.oidc", HEALTH_RUNNING,
                   effect->text);
        exchange_message(x, 503, "Identity provider not reachable",
                         message_text(MESSAGE_IDP_UNREACHABLE), again);
        return;
    case ERR_CLASS_DENIED:
        if (effect->err == ERR_DENIED) {
            exchange_message(x, 401, "Access denied", message_text(MESSAGE_IDP_ACCESS_DENIED),
                             again);
            return;
        }
        break;
    case ERR_CLASS_NONE:
    case ERR_CLASS_MORE:
    case ERR_CLASS_PEER:
    case ERR_CLASS_LOCAL:
    case ERR_CLASS_BUG:
        break;
    }
    exchange_message(x, 502, "Sign in failed", message_text(MESSAGE_IDP_FAILED), again);
}

static enum err finish(struct flow *f, const struct oidc_result *r)
{
    struct exchange *x = f->exchange;
    AUTO(claims_fini) struct claims claims = {0};
    AUTO(tokens_fini) struct tokens tokens = {0};
    TRY(person_claims(r, NULL, &claims));
    tokens_of_result(r, NULL, &tokens);
    const struct session_identity who = {.user_id = r->subject,
                                         .email = r->email,
                                         .name = r->name,
                                         .idp_id = idp_oidc.name,
                                         .claims = &claims,
                                         .tokens = &tokens};
    AUTO_FREE char *return_to = mem_strdup(f->return_to);
    if (claims_get(&claims, "email_verified") && !r->email_verified)
        log_warn("the provider has not verified this email", LOG_STR("request-id", x->request_id),
                 LOG_STR("email", r->email));
    health_set(daemon_health(x->server->daemon), "identity-provider.oidc", HEALTH_RUNNING, NULL);
    session_create(x, &who, return_to); /* frees f */
    return OK;
}

static void on_effect(void *ctx, const struct oidc_effect *effect)
{
    struct flow *f = ctx;
    f->run = NULL;
    switch (effect->type) {
    case OIDC_REDIRECT:
        exchange_redirect(f->exchange, effect->url);
        return;
    case OIDC_DONE:
        if (finish(f, effect->result) != OK)
            exchange_error(f->exchange, 502, "Sign in failed", MESSAGE_IDP_FAILED);
        return;
    case OIDC_FAILED:
        fail(f, effect);
        return;
    case OIDC_FETCH: /* oidc_run does these */
        return;
    }
}

/* x->state is free to be replaced: what is needed of the login was copied. */
static void run(struct exchange *x, const struct login *login, struct oidc_flow *flow)
{
    struct flow *f = mem_zalloc(sizeof *f);
    f->exchange = x;
    f->return_to = mem_strdup(login->return_to);
    f->run = oidc_run_new(x->server->fetcher, x->server->provider, flow, on_effect, f);
    exchange_set_state(x, f, flow_free);
    oidc_run_start(f->run);
}

static void begin(struct exchange *x, struct login *login)
{
    run(x, login, oidc_begin(&x->server->provider->oidc, &login->oidc));
}

void handle_callback(struct exchange *x)
{
    if (x->server->provider->idp != &idp_oidc) {
        exchange_error(x, 404, "Not found", MESSAGE_PAGE_NOT_FOUND);
        return;
    }
    AUTO(login_fini) struct login login = {0};
    struct oidc_callback callback;
    enum err e = oidc_callback_parse(&x->query, &callback);
    if (e == OK)
        e = login_load(x, callback.state, &login);
    if (e != OK) {
        const struct exchange_link again = {"/.pomerium/", "Sign in again"};
        log_warn("sign-in state refused", LOG_STR("request-id", x->request_id), LOG_ERR(e),
                 LOG_STR("ip", x->address));
        exchange_message(x, 400, "Sign in again", message_text(MESSAGE_IDP_STATE_MISMATCH), again);
        return;
    }
    login_forget(x, callback.state);
    run(x, &login, oidc_finish(&x->server->provider->oidc, &login.oidc, &callback));
}

/* --- the provider itself --- */

static char *join_scopes(const struct config_list *scopes)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, SCOPES_MAX);
    for (size_t i = 0; i < scopes->count; i++)
        IGNORE(buf_printf(&b, "%s%s", i ? " " : "", scopes->items[i].text), "cut");
    return buf_to_str(&b);
}

static enum err init(struct provider *p, const struct config *config, struct diag *diag)
{
    AUTO(buf_fini) struct buf redirect;
    buf_init(&redirect, URL_MAX);
    AUTO_FREE char *scopes = join_scopes(&config->idp_scopes);
    size_t count = config->idp_request_params.count;
    AUTO_FREE struct oidc_param *params = mem_zalloc_array(count, sizeof *params);
    for (size_t i = 0; i < count; i++) {
        params[i].name = config->idp_request_params.items[i].name;
        params[i].value = config->idp_request_params.items[i].value;
    }
    enum err e = config_callback_url(config, &redirect);
    AUTO_FREE char *redirect_uri = buf_to_str(&redirect);
    const struct oidc_config spec = {.provider_url = config->idp_provider_url.text,
                                     .client_id = config->idp_client_id,
                                     .client_secret = secret_view(&config->idp_client_secret),
                                     .redirect_uri = redirect_uri,
                                     .scopes = scopes,
                                     .params = params,
                                     .param_count = count};
    if (e == OK)
        e = oidc_provider_init(&p->oidc, &spec);
    if (e != OK) {
        diag_error(diag, config->idp_provider_url.at, "idp_provider_url",
                   "it, authenticate_service_url or idp_request_params cannot be used");
        return ERR_CONFIG;
    }
    p->has_oidc = true;
    if (config->idp_ca.file)
        p->ca_file = mem_strdup(config->idp_ca.file);
    return OK;
}

const struct idp idp_oidc = {.name = "oidc", .begin = begin, .init = init};
