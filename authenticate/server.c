#include "authenticate/server.h"

#include "authenticate/exchange.h"
#include "authenticate/janitor.h"
#include "authenticate/ticket.h"
#include "common/base/mem.h"
#include "common/crypto/scrypt.h"
#include "common/crypto/seal.h"
#include "common/daemon/log.h"
#include "common/io/listen.h"
#include "common/rpc/instance.h"

static const char check_broker[] = "databroker.connection";

enum {
    DRAIN_MS = 1000, /* of a stop: what is under way may end by itself; */
    GRACE_MS = 2000, /* so long an answer may take to be read */
    PROBE_MS = 5000,
    /* The login form: so many tries at once, then one per. One address alone cannot use up what a
       user has, so nobody locks a colleague out. */
    ADDRESS_TRIES = 10,
    ADDRESS_TRY_MS = 6000,
    USER_TRIES = 30,
    USER_TRY_MS = 2000,
    /* Sign-ins of programs without a browser: 150 in flight per address, 9,000 of all. */
    DEVICE_TRIES = 10,
    DEVICE_TRY_MS = 6000,
    DEVICES_TRIES = 100,
    DEVICES_TRY_MS = 100,
    POLL_TRIES = 60,
    POLL_TRY_MS = 200,
};

void server_validate(void *ctx, const struct config *config, struct diag *diag)
{
    (void)ctx;
    struct url origin;
    if (url_parse(view_str(config->authenticate_service_url.text), &origin) != OK)
        diag_error(diag, config->authenticate_service_url.at, "authenticate_service_url",
                   "no URL that a browser could be sent to");
    provider_unref(provider_new(config, diag));
    for (size_t i = 0; i < config->idp_local_user_count; i++) {
        const struct config_user *u = &config->idp_local_users[i];
        if (scrypt_check(view_str(u->password_hash)) != OK)
            diag_error(diag, u->at, "idp_local_users",
                       "password_hash of %s is not what \"postern password\" prints", u->email);
    }
}

static void derive_keys(struct server *s)
{
    const struct secret *master = &s->config->cookie_secret;
    seal_derive_key(master, VIEW("postern session cookie 1"), &s->keys.session);
    seal_derive_key(master, VIEW("postern sign-in state 1"), &s->keys.state);
    seal_derive_key(master, VIEW("postern csrf token 1"), &s->keys.csrf);
    seal_derive_key(master, VIEW("postern sealed tokens 1"), &s->keys.tokens);
}

static void wipe_keys(struct server *s)
{
    secret_fini(&s->keys.session);
    secret_fini(&s->keys.state);
    secret_fini(&s->keys.csrf);
    secret_fini(&s->keys.tokens);
}

static void on_request(void *ctx, const struct httpd_request *request, struct httpd_reply *reply)
{
    exchange_begin(ctx, request, reply);
}

static char *blob_text(const struct config_blob *b)
{
    struct view v = secret_view(&b->text);
    return mem_strndup(v.ptr, v.len);
}

/* ERR_CONFIG with a sentence in `diag`. */
static enum err make_tls(const struct config *config, struct diag *diag, struct tls_context **out)
{
    AUTO_FREE char *ca = blob_text(&config->service_certificate_authority);
    AUTO_FREE char *cert = blob_text(&config->service_certificate);
    AUTO_FREE char *why = NULL;
    char *key = blob_text(&config->service_certificate_key);
    const struct tls_chain chain = {cert, key};
    const struct tls_server_spec spec = {.chains = &chain,
                                         .chain_count = 1,
                                         .client_ca_pem = ca,
                                         .client_uri = "postern://service/proxy",
                                         .alpn_http1 = true};
    enum err e = tls_server_new(&spec, out, &why);
    mem_wipe(key, strlen(key));
    mem_free(key);
    if (e != OK)
        diag_error(diag, config->service_certificate.at, "service_certificate_file", "%s",
                   why ? why : err_text(e));
    return e == OK ? OK : ERR_CONFIG;
}

static enum err open_http(struct server *s, struct diag *diag)
{
    struct tls_context *tls;
    AUTO_FREE char *why = NULL;
    int fd = -1;
    TRY(make_tls(s->config, diag, &tls));
    enum err e = listen_bind(s->config->internal_listen, &fd, &why);
    if (e == OK) {
        const struct httpd_spec spec = {
            .loop = s->loop, .tls = tls, .on_request = on_request, .ctx = s};
        s->httpd = httpd_open(&spec, fd);
        log_info("listening", LOG_STR("address", s->config->internal_listen));
    } else {
        diag_error(diag, (struct diag_place){.file = s->config->file},
                   "authenticate_internal_service_url", "%s: %s", s->config->internal_listen,
                   why ? why : err_text(e));
    }
    tls_unref(tls);
    return e;
}

/* --- the databroker's health --- */

/* The version handshake, and whether the databroker can be reached. */
static void on_info(void *ctx, enum err e, const char *text, const struct records_info *info)
{
    struct server *s = ctx;
    struct health *health = daemon_health(s->daemon);
    s->probe = 0;
    health_set(health, check_broker, HEALTH_RUNNING, e == OK ? NULL : *text ? text : err_text(e));
    if (e == OK && !s->version_seen && strcmp(info->build, daemon_version()) != 0)
        log_warn("the databroker is of another version", LOG_STR("build", info->build));
    s->version_seen = s->version_seen || e == OK;
    timer_after(&s->prober, PROBE_MS);
}

static void on_probe(void *ctx)
{
    struct server *s = ctx;
    s->probe = records_info(&s->broker->records, on_info, s);
}

static void stop_probe(struct server *s)
{
    if (s->probe)
        records_cancel(&s->broker->records, s->probe);
    s->probe = 0;
    timer_clear(&s->prober);
}

/* Any thread. */
static void on_rpc_log(bool is_error, const char *text)
{
    if (is_error)
        log_warn("grpc", LOG_STR("error", text));
    else
        log_debug("grpc", LOG_STR("reason", text));
}

/* --- our Instance record --- */

static void list_self(void *ctx, struct instances *w)
{
    const struct server *s = ctx;
    AUTO(buf_fini) struct buf problem;
    buf_init(&problem, INSTANCE_TEXT_MAX);
    health_problem(daemon_health(s->daemon), &problem);
    AUTO_FREE char *text = buf_to_str(&problem);
    const struct instance self = {.id = daemon_instance_id(s->daemon),
                                  .service = "authenticate",
                                  .build = daemon_version(),
                                  .config_hash = s->config->hash,
                                  .address = s->config->internal_listen,
                                  .problem = text,
                                  .started_ms = s->started_ms};
    instances_add(w, &self);
}

static void open_instances(struct server *s)
{
    s->instances =
        instances_open(s->loop, &s->broker->records, daemon_instance_id(s->daemon), list_self, s);
}

/* --- start and reload --- */

/* What `config` says is in force from now on; nothing here can fail. */
static void use_config(struct server *s, const struct config *config, struct provider *provider)
{
    const struct config *old = s->config;
    s->config = config_ref(config);
    provider_unref(s->provider);
    s->provider = provider;
    IGNORE(url_parse(view_str(s->config->authenticate_service_url.text), &s->origin), "validated");
    config_unref(old);
    derive_keys(s);
}

enum err server_start(void *ctx, struct daemon *daemon, struct diag *diag)
{
    struct server *s = ctx;
    const struct config *config = daemon_config(daemon);
    struct provider *provider = provider_new(config, diag);
    if (!provider)
        return ERR_CONFIG;
    s->daemon = daemon;
    s->loop = daemon_loop(daemon);
    s->fetcher = fetcher_new(s->loop);
    rate_init(&s->rate_address, ADDRESS_TRIES, ADDRESS_TRY_MS);
    rate_init(&s->rate_user, USER_TRIES, USER_TRY_MS);
    rate_init(&s->rate_device, DEVICE_TRIES, DEVICE_TRY_MS);
    rate_init(&s->rate_devices, DEVICES_TRIES, DEVICES_TRY_MS);
    rate_init(&s->rate_poll, POLL_TRIES, POLL_TRY_MS);
    rate_init(&s->tickets, 1, TICKET_MS + 2 * TICKET_SKEW_MS);
    timer_init(&s->prober, s->loop, on_probe, s);
    health_require(daemon_health(daemon), check_broker);
    use_config(s, config, provider);
    TRY(open_http(s, diag));
    rpc_set_log(on_rpc_log);
    s->rpc = rpc_open(s->loop);
    TRY(broker_open(s->rpc, config, diag, &s->broker));
    s->janitor = janitor_new(s);
    s->started_ms = loop_wall_ms();
    open_instances(s);
    timer_after(&s->prober, 0);
    return OK;
}

enum err server_reload(void *ctx, const struct config *config, struct diag *diag)
{
    struct server *s = ctx;
    struct tls_context *tls;
    struct broker *broker = NULL;
    struct provider *provider = provider_new(config, diag);
    if (!provider)
        return ERR_CONFIG;
    enum err e = make_tls(config, diag, &tls);
    if (e == OK && broker_differs(s->config, config)) {
        e = broker_open(s->rpc, config, diag, &broker);
        if (e != OK)
            tls_unref(tls);
    }
    if (e != OK) {
        provider_unref(provider);
        return e;
    }
    if (strcmp(s->config->internal_listen, config->internal_listen) != 0)
        diag_warn(diag, (struct diag_place){.file = config->file},
                  "authenticate_internal_service_url",
                  "another address to listen on takes a restart");
    httpd_set_tls(s->httpd, tls);
    tls_unref(tls);
    use_config(s, config, provider);
    if (broker) {
        stop_probe(s);
        instances_close(s->instances);
        broker_unref(s->broker);
        s->broker = broker;
        open_instances(s);
        timer_after(&s->prober, 0);
    }
    janitor_reload(s->janitor);
    return OK;
}

/* --- the end --- */

static void on_rpc_closed(void *ctx)
{
    struct server *s = ctx;
    daemon_stopped(s->daemon);
}

static void end_exchanges(struct server *s)
{
    while (s->exchanges)
        exchange_error(s->exchanges, 503, "Not available", MESSAGE_BROWSER_UNAVAILABLE);
}

static void on_drained(void *ctx)
{
    end_exchanges(ctx);
}

static void finish(void *ctx)
{
    struct server *s = ctx;
    timer_fini(&s->drainer);
    end_exchanges(s);
    instances_close(s->instances);
    s->instances = NULL;
    broker_unref(s->broker);
    s->broker = NULL;
    rpc_close(s->rpc, on_rpc_closed, s);
}

static void on_part_ended(void *ctx)
{
    struct server *s = ctx;
    /* Posted: the answers of end_exchanges would end the server that calls back here. */
    if (--s->ending == 0)
        loop_post(s->loop, finish, s);
}

void server_stop(void *ctx)
{
    struct server *s = ctx;
    stop_probe(s);
    timer_fini(&s->prober);
    janitor_free(s->janitor);
    s->janitor = NULL;
    s->ending = 2;
    instances_end(s->instances, on_part_ended, s);
    timer_init(&s->drainer, s->loop, on_drained, s);
    timer_after(&s->drainer, DRAIN_MS);
    httpd_close(s->httpd, GRACE_MS, on_part_ended, s);
    s->httpd = NULL;
}

void server_fini(void *ctx)
{
    struct server *s = ctx;
    fetcher_free(s->fetcher);
    provider_unref(s->provider);
    rate_fini(&s->rate_address);
    rate_fini(&s->rate_user);
    rate_fini(&s->rate_device);
    rate_fini(&s->rate_devices);
    rate_fini(&s->rate_poll);
    rate_fini(&s->tickets);
    wipe_keys(s);
    config_unref(s->config);
}
