#include "databroker/daemon.h"

#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "databroker/presence.h"

#define CHECK_STORAGE "storage.backend"

/* --- what the parts report --- */

static void on_changed(void *ctx, struct store_changed changed)
{
    struct databroker *d = ctx;
    watch_wake(&d->broker, changed);
}

static void on_storage(void *ctx, enum err e)
{
    struct databroker *d = ctx;
    health_set(daemon_health(d->daemon), CHECK_STORAGE, HEALTH_RUNNING,
               e == OK ? NULL : err_text(e));
    if (e == OK)
        log_info("storage works again");
    else
        log_error("storage failed", LOG_ERR(e));
}

static void on_grpc_log(bool is_error, const char *text)
{
    if (is_error)
        log_warn("grpc", LOG_STR("reason", text));
    else
        log_debug("grpc", LOG_STR("reason", text));
}

/* --- start --- */

static uint64_t draw(struct daemon *daemon)
{
    uint64_t v;
    rng_fill(daemon_rng(daemon), (uint8_t *)&v, sizeof(v));
    return v;
}

/* The one line of a failure that belongs to no place in the file. */
static enum err give_up(struct diag *diag, enum err e, const char *key, const char *why)
{
    diag_error(diag, (struct diag_place){0}, key, "%s", why);
    return e;
}

static enum err open_store(struct databroker *d, struct diag *diag)
{
    const struct config *c = d->config;
    struct store_config config = {.dir = c->databroker_storage_dir,
                                  .durable_version = draw(d->daemon),
                                  .memory_version = draw(d->daemon)};
    struct store *store;
    char *why = NULL;
    enum err e = store_open(&config, &store, &why);
    if (e != OK) {
        AUTO_FREE char *text = why;
        return give_up(diag, e, "databroker_storage_connection_string", text);
    }
    struct engine_config engine = {.loop = daemon_loop(d->daemon),
                                   .store = store,
                                   .ctx = d,
                                   .on_changed = on_changed,
                                   .on_storage = on_storage};
    d->broker.engine = engine_open(&engine);
    return OK;
}

static char *pem_of(const struct config_blob *blob)
{
    struct view v = secret_view(&blob->text);
    return mem_strndup(v.ptr, v.len);
}

static enum err serve(struct databroker *d, struct diag *diag)
{
    const struct config *c = d->config;
    AUTO_FREE char *ca = pem_of(&c->service_certificate_authority);
    AUTO_FREE char *cert = pem_of(&c->service_certificate);
    AUTO_FREE char *key = pem_of(&c->service_certificate_key);
    struct rpc_identity identity = {.ca_pem = ca, .cert_pem = cert, .key_pem = key};
    enum err e = broker_serve(&d->broker, d->rpc, c->internal_listen, &identity);
    mem_wipe(key, strlen(key));
    if (e == OK)
        return OK;
    AUTO_FREE char *why = mem_printf("cannot listen on %s: the address is in use or not of this "
                                     "machine, or the service certificate cannot be used",
                                     c->internal_listen);
    return give_up(diag, e, "grpc_address", why);
}

enum err databroker_start(void *ctx, struct daemon *daemon, struct diag *diag)
{
    struct databroker *d = ctx;
    d->daemon = daemon;
    d->config = config_ref(daemon_config(daemon));
    d->broker = (struct broker){.loop = daemon_loop(daemon), .build = daemon_version()};
    d->broker.leases.rng = daemon_rng(daemon);
    health_require(daemon_health(daemon), CHECK_STORAGE);
    TRY(open_store(d, diag));
    rpc_set_log(on_grpc_log);
    d->rpc = rpc_open(daemon_loop(daemon));
    TRY(serve(d, diag));
    health_set(daemon_health(daemon), CHECK_STORAGE, HEALTH_RUNNING, NULL);
    d->presence = presence_new(d);
    log_info("databroker listening", LOG_STR("address", d->config->internal_listen),
             LOG_STR("storage", d->config->databroker_storage_dir ? "file" : "memory"));
    return OK;
}

/* --- reload --- */

static bool same_text(const char *a, const char *b)
{
    return view_eq(view_str(a), view_str(b)) && !a == !b;
}

static bool same_blob(const struct config_blob *a, const struct config_blob *b)
{
    return secret_equal(secret_view(&a->text), secret_view(&b->text));
}

enum err databroker_reload(void *ctx, const struct config *config, struct diag *diag)
{
    struct databroker *d = ctx;
    const struct config *now = d->config;
    struct diag_place nowhere = {0};
    if (!same_text(now->databroker_storage_dir, config->databroker_storage_dir))
        diag_warn(diag, nowhere, "databroker_storage_connection_string",
                  "a change takes effect at the next start");
    if (!same_text(now->internal_listen, config->internal_listen))
        diag_warn(diag, nowhere, "grpc_address", "a change takes effect at the next start");
    if (!now->identity_derived &&
        (!same_blob(&now->service_certificate, &config->service_certificate) ||
         !same_blob(&now->service_certificate_key, &config->service_certificate_key) ||
         !same_blob(&now->service_certificate_authority, &config->service_certificate_authority)))
        diag_warn(diag, nowhere, "service_certificate_file",
                  "a change takes effect at the next start");
    return OK;
}

/* --- the end: calls, then the store, then gRPC --- */

static void on_rpc_closed(void *ctx)
{
    struct databroker *d = ctx;
    daemon_stopped(d->daemon);
}

static void on_engine_closed(void *ctx)
{
    struct databroker *d = ctx;
    d->broker.engine = NULL;
    rpc_close(d->rpc, on_rpc_closed, d);
    d->rpc = NULL;
}

static void on_server_closed(void *ctx)
{
    struct databroker *d = ctx;
    d->broker.server = NULL;
    if (d->stopping)
        engine_close(d->broker.engine, on_engine_closed, d);
    else
        daemon_drained(d->daemon);
}

void databroker_drain(void *ctx)
{
    struct databroker *d = ctx;
    d->draining = true;
    presence_free(d->presence);
    d->presence = NULL;
    rpc_server_close(d->broker.server, on_server_closed, d);
    watch_end_all(&d->broker);
}

void databroker_stop(void *ctx)
{
    struct databroker *d = ctx;
    d->stopping = true;
    if (!d->draining)
        databroker_drain(d);
    if (d->broker.server)
        rpc_server_cancel(d->broker.server);
    else
        engine_close(d->broker.engine, on_engine_closed, d);
}

void databroker_fini(void *ctx)
{
    struct databroker *d = ctx;
    leases_fini(&d->broker.leases);
    config_unref(d->config);
}
