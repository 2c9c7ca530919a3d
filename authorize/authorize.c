#include "authorize/authorize.h"

#include "authorize/certify.h"
#include "authorize/connection.h"
#include "authorize/cut.h"
#include "authorize/instances.h"
#include "authorize/op.h"
#include "authorize/presence.h"
#include "authorize/probe.h"
#include "authorize/proof.h"
#include "authorize/reconsider.h"
#include "authorize/signin.h"
#include "authorize/sync.h"
#include "authorize/worker.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics_rpc.h"
#include "common/daemon/zone_file.h"
#include "common/rpc/instance.h"

static const char sync_check[] = "databroker.sync.initial";

uint64_t authorize_now(void)
{
    return loop_wall_ms();
}

struct state_version authorize_version(const struct authorize *a)
{
    struct syncer_versions v = syncer_versions(a->durable_sync);
    return (struct state_version){
        .server_version = v.server_version,
        .record_version = v.record_version,
        .config_hash = view_str(a->snapshot->config->hash),
    };
}

uint64_t authorize_fresh_at(const struct authorize *a)
{
    if (!syncer_is_synced(a->durable_sync))
        return 0;
    return a->currency.proved ? a->currency.proved_at : syncer_fresh_at(a->durable_sync);
}

bool authorize_is_fresh(const struct authorize *a)
{
    uint64_t fresh = authorize_fresh_at(a);
    uint64_t now = loop_clock_ms();
    return fresh && (fresh >= now || now - fresh <= a->snapshot->config->authorize_max_staleness);
}

void authorize_update_health(struct authorize *a)
{
    struct health *h = daemon_health(a->daemon);
    bool synced = syncer_is_synced(a->durable_sync) && syncer_is_synced(a->request_sync);
    bool was = a->synced;
    a->synced = a->synced || synced;
    if (!a->synced)
        health_set(h, sync_check, HEALTH_STARTING, "no copy of the database yet");
    else
        health_set(h, sync_check, HEALTH_RUNNING,
                   authorize_is_fresh(a) ? NULL : "the copy of the database is too old");
    if (a->synced && !was)
        log_info("database copied",
                 LOG_U64("record-version", syncer_versions(a->durable_sync).record_version));
}

static void on_tick(void *ctx)
{
    struct authorize *a = ctx;
    if (a->stopping)
        return;
    timer_after(&a->tick, AUTHORIZE_HEARTBEAT_MS);
    proof_tick(a);
    workers_tick(a);
    certify_tick(a);
    signin_tick(a);
    presence_flush(a);
    probes_tick(a);
    reconsider_arm(a);
    authorize_update_health(a);
}

/* --- configuration --- */

void authorize_validate(void *ctx, const struct config *config, struct diag *diag)
{
    (void)ctx;
    snapshot_unref(snapshot_new(config, zone_file_read, diag));
}

static bool is_same_blob(const struct config_blob *a, const struct config_blob *b)
{
    return secret_equal(secret_view(&a->text), secret_view(&b->text));
}

static bool is_same_urls(const struct config_urls *a, const struct config_urls *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i].text, b->items[i].text) != 0)
            return false;
    }
    return true;
}

static void warn_restart(struct diag *d, bool changed, const char *key)
{
    if (changed)
        diag_warn(d, (struct diag_place){0}, key, "takes effect at the next start");
}

/* Longer than the worker waits for an answer would be of no use to anybody. */
static uint64_t records_timeout(const struct config *config)
{
    return config->grpc_client_timeout * 4 / 5;
}

enum err authorize_reload(void *ctx, const struct config *config, struct diag *diag)
{
    struct authorize *a = ctx;
    const struct config *old = a->snapshot->config;
    struct snapshot *made = snapshot_new(config, zone_file_read, diag);
    if (!made)
        return ERR_CONFIG;
    warn_restart(diag, strcmp(old->internal_listen, config->internal_listen) != 0,
                 "authorize_service_url");
    warn_restart(diag,
                 !is_same_urls(&old->databroker_service_urls, &config->databroker_service_urls),
                 "databroker_service_url");
    warn_restart(diag,
                 !config->identity_derived && !is_same_blob(&old->service_certificate_authority,
                                                            &config->service_certificate_authority),
                 "service_certificate_authority_file");
    warn_restart(diag,
                 !config->identity_derived &&
                     !is_same_blob(&old->service_certificate, &config->service_certificate),
                 "service_certificate_file");
    snapshot_unref(a->snapshot);
    a->snapshot = made;
    a->records.timeout_ms = records_timeout(config);
    workers_send_routes(a);
    reconsider_reloaded(a);
    return OK;
}

/* --- start --- */

static void on_denied(const struct rpc_peer *peer, const char *address, const char *method,
                      void *ctx)
{
    (void)ctx;
    log_warn("call refused", LOG_STR("peer", peer->name), LOG_STR("ip", address),
             LOG_STR("method", method));
}

static char *pem(const struct config_blob *blob)
{
    struct view text = secret_view(&blob->text);
    return mem_strndup(text.ptr ? (const void *)text.ptr : "", text.len);
}

static void free_pem(char *text)
{
    mem_wipe(text, strlen(text));
    mem_free(text);
}

static enum err open_channel(struct authorize *a, const struct rpc_identity *identity)
{
    const struct config_urls *urls = &a->snapshot->config->databroker_service_urls;
    AUTO_FREE const char **targets = mem_zalloc_array(urls->count, sizeof(char *));
    for (size_t i = 0; i < urls->count; i++)
        targets[i] = urls->items[i].target;
    struct rpc_channel_config config = {
        .targets = targets,
        .count = urls->count,
        .identity = *identity,
        .service = "databroker",
    };
    return rpc_channel_open(a->rpc, &config, &a->databroker);
}

static enum err open_server(struct authorize *a, const struct rpc_identity *identity,
                            struct diag *diag)
{
    const char *listen = a->snapshot->config->internal_listen;
    AUTO_FREE char *address = mem_printf("%s%s", *listen == ':' ? "[::]" : "", listen);
    size_t count;
    const struct rpc_method *methods = worker_methods(&count);
    struct rpc_server_config config = {
        .address = address,
        .identity = *identity,
        .methods = methods,
        .count = count,
        .ctx = a,
        .on_denied = on_denied,
        .on_done = metrics_rpc_done,
    };
    enum err e = rpc_server_open(a->rpc, &config, &a->server);
    if (e != OK)
        diag_error(diag, (struct diag_place){0}, "authorize_service_url", "cannot listen on %s: %s",
                   listen, err_text(e));
    return e;
}

static enum err open_rpc(struct authorize *a, struct diag *diag)
{
    const struct config *c = a->snapshot->config;
    char *ca = pem(&c->service_certificate_authority);
    char *cert = pem(&c->service_certificate);
    char *key = pem(&c->service_certificate_key);
    struct rpc_identity identity = {ca, cert, key};
    a->rpc = rpc_open(a->loop);
    enum err e = open_channel(a, &identity);
    if (e != OK)
        diag_error(diag, (struct diag_place){0}, "service_certificate_file",
                   "the service's certificate, key or authority cannot be used: %s", err_text(e));
    else
        e = open_server(a, &identity, diag);
    free_pem(ca);
    free_pem(cert);
    free_pem(key);
    return e;
}

enum err authorize_start(void *ctx, struct daemon *daemon, struct diag *diag)
{
    struct authorize *a = ctx;
    struct health *h = daemon_health(daemon);
    a->daemon = daemon;
    a->loop = daemon_loop(daemon);
    a->rng = daemon_rng(daemon);
    a->instance = daemon_instance_id(daemon);
    health_require(h, sync_check);
    a->snapshot = snapshot_new(daemon_config(daemon), zone_file_read, diag);
    if (!a->snapshot)
        return ERR_CONFIG;
    timer_init(&a->tick, a->loop, on_tick, a);
    timer_init(&a->edge, a->loop, reconsider_edge, a);
    timer_init(&a->flush, a->loop, presence_flush, a);
    a->signers = crew_new(a->loop, "postern-sign", crew_size(), 0);
    TRY(open_rpc(a, diag));
    a->records = (struct records){a->databroker, records_timeout(a->snapshot->config)};
    sync_open(a);
    a->started_ms = authorize_now();
    a->probes = probes_open(a);
    a->instances = authorize_instances(a);
    timer_after(&a->tick, AUTHORIZE_HEARTBEAT_MS);
    log_info("listening", LOG_STR("address", a->snapshot->config->internal_listen),
             LOG_U64("routes", a->snapshot->route_count));
    return OK;
}

/* --- end --- */

static void on_instances_ended(void *ctx)
{
    const struct authorize *a = ctx;
    daemon_drained(a->daemon);
}

void authorize_drain(void *ctx)
{
    struct authorize *a = ctx;
    /* The workers go to another replica; their connections stay. */
    a->stopping = true;
    workers_end(a, "authorize is stopping");
    instances_end(a->instances, on_instances_ended, a);
}

static void on_rpc_closed(void *ctx)
{
    struct authorize *a = ctx;
    a->rpc = NULL;
    daemon_stopped(a->daemon);
}

void authorize_stop_step(struct authorize *a)
{
    if (!a->stopped || a->signing || a->closing || !a->rpc)
        return;
    a->stopped = false;
    rpc_close(a->rpc, on_rpc_closed, a);
}

static void on_part_closed(void *ctx)
{
    struct authorize *a = ctx;
    a->closing--;
    authorize_stop_step(a);
}

void authorize_stop(void *ctx)
{
    struct authorize *a = ctx;
    a->stopping = true;
    a->stopped = true;
    timer_fini(&a->tick);
    timer_fini(&a->edge);
    timer_fini(&a->flush);
    sync_close(a);
    probes_close(a->probes);
    instances_close(a->instances);
    a->closing = 2;
    workers_end(a, "authorize is stopping");
    rpc_server_close(a->server, on_part_closed, a);
    rpc_server_cancel(a->server);
    rpc_channel_close(a->databroker, on_part_closed, a);
}

void authorize_fini(void *ctx)
{
    struct authorize *a = ctx;
    for (struct map_iter i = live_iter(&a->live); map_next(&i);)
        connection_remove(a, connection_of(i.value), false);
    certify_fini(a);
    ops_fini(a);
    probes_free(a->probes);
    crew_free(a->signers);
    live_fini(&a->live);
    codes_fini(&a->codes);
    presence_fini(a);
    cut_fini(a);
    requests_fini(&a->requests);
    state_fini(&a->state);
    slots_fini(&a->workers);
    snapshot_unref(a->snapshot);
}
