#include "proxy/supervisor/describe.h"

#include "common/base/mem.h"
#include "common/crypto/x509.h"
#include "common/io/tls.h"

static char *blob_text(const struct config_blob *b)
{
    return mem_strndup(b->text.data ? (const void *)b->text.data : "", b->text.len);
}

static void describe_mtls(const struct config_mtls *mtls, struct worker_config *c)
{
    if (!mtls->given)
        return;
    c->downstream_mtls.ca = blob_text(&mtls->ca);
    c->downstream_mtls.crl = blob_text(&mtls->crl);
    c->downstream_mtls.reject_connection = mtls->enforcement == MTLS_REJECT_CONNECTION;
    c->downstream_mtls.max_verify_depth = mtls->max_verify_depth;
    for (size_t i = 0; i < mtls->match_count; i++)
        worker_config_add_san_match(c, mtls->matches[i].kind, mtls->matches[i].pattern);
}

struct worker_config *describe_config(const struct config *config)
{
    struct worker_config *c = worker_config_new();
    c->config_hash = mem_strdup(config->hash);
    c->log_level = config->log_level;
    c->shutdown_grace = config->shutdown_grace;
    c->grpc_client_timeout = config->grpc_client_timeout;
    c->service_ca = blob_text(&config->service_certificate_authority);
    c->service_certificate = blob_text(&config->service_certificate);
    c->service_key = blob_text(&config->service_certificate_key);
    c->authenticate_host = mem_strdup(config->authenticate_service_url.host);
    c->authenticate_target = mem_strdup(config->authenticate_internal_service_url.target);
    for (size_t i = 0; i < config->authorize_service_urls.count; i++)
        worker_texts_add(&c->authorize_targets, config->authorize_service_urls.items[i].target);
    c->ssh_profile = config->ssh_profile;
    c->ssh_login_grace_time = config->ssh_login_grace_time;
    c->ssh_max_startups_start = config->ssh_max_startups.start;
    c->ssh_max_startups_rate = config->ssh_max_startups.rate;
    c->ssh_max_startups_full = config->ssh_max_startups.full;
    c->ssh_sign_in_timeout = config->ssh_sign_in_timeout;
    c->ssh_reveal_routes = config->ssh_reveal_routes;
    c->revocation_grace = config->revocation_grace;
    c->authorize_max_staleness = config->authorize_max_staleness;
    for (size_t i = 0; i < config->access_log_fields.count; i++)
        worker_texts_add(&c->access_log_fields, config->access_log_fields.items[i].text);
    c->access_log_interval = config->access_log_interval;
    c->use_proxy_protocol = config->use_proxy_protocol;
    c->ssh_use_proxy_protocol = config->ssh_use_proxy_protocol;
    for (size_t i = 0; i < config->proxy_protocol_trusted.count; i++)
        worker_texts_add(&c->proxy_protocol_trusted, config->proxy_protocol_trusted.items[i].text);
    c->cookie_name = mem_strdup(config->cookie_name);
    c->insecure_server = config->insecure_server;
    c->https_port = config->authenticate_service_url.port;
    c->timeout_read = config->timeout_read;
    c->timeout_idle = config->timeout_idle;
    describe_mtls(&config->downstream_mtls, c);
    return c;
}

/* As the worker will: a listener with a certificate of no name, and these rules. */
static void check_mtls(const struct config_mtls *mtls, struct diag *d)
{
    AUTO(x509_pair_fini) struct x509_pair own = {0};
    AUTO_FREE char *why = NULL;
    AUTO_FREE char *ca = blob_text(&mtls->ca);
    AUTO_FREE char *crl = blob_text(&mtls->crl);
    const struct x509_leaf leaf = {
        .common_name = "Postern", .not_after_at = 1, .server_auth = true};
    if (x509_make_self_signed(&leaf, &own) != OK)
        return;
    const struct tls_chain chain = {.chain_pem = own.cert_pem, .key_pem = own.key_pem};
    const struct tls_client_rules rules = {.ca_pem = ca, .crl_pem = *crl ? crl : NULL};
    const struct tls_server_spec spec = {
        .chains = &chain, .chain_count = 1, .client_rules = &rules, .alpn_http1 = true};
    struct tls_context *made = NULL;
    if (tls_server_new(&spec, &made, &why) != OK)
        diag_error(d, mtls->ca.at, "downstream_mtls", "%s", why ? why : "cannot be used");
    tls_unref(made);
}

void describe_check(const struct config *config, struct diag *d)
{
    if (config->authenticate_internal_service_url.text &&
        !config->authenticate_internal_service_url.https)
        diag_error(d, config->authenticate_internal_service_url.at,
                   "authenticate_internal_service_url", "has to be an https URL");
    /* Files may not have been opened. */
    if (config->downstream_mtls.ca.text.len)
        check_mtls(&config->downstream_mtls, d);
}
