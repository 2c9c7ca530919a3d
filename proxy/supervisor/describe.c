#include "proxy/supervisor/describe.h"

#include "common/base/mem.h"

static char *blob_text(const struct config_blob *b)
{
    return mem_strndup(b->text.data ? (const void *)b->text.data : "", b->text.len);
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
    return c;
}

void describe_check(const struct config *config, struct diag *d)
{
    if (config->authenticate_internal_service_url.text &&
        !config->authenticate_internal_service_url.https)
        diag_error(d, config->authenticate_internal_service_url.at,
                   "authenticate_internal_service_url", "has to be an https URL");
}
