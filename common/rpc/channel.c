#include "common/rpc/channel.h"

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/codec.h"

/* --- who the server must be --- */

struct verifier {
    grpc_tls_certificate_verifier_external external;
    char *uri;
};

static int on_verify(void *data, grpc_tls_custom_verification_check_request *request,
                     grpc_tls_on_custom_verification_check_done_cb callback, void *callback_arg,
                     grpc_status_code *status, char **details)
{
    const struct verifier *v = data;
    (void)callback;
    (void)callback_arg;
    bool ok = request->peer_info.san_names.uri_names_size == 1 &&
              strcmp(request->peer_info.san_names.uri_names[0], v->uri) == 0;
    *status = ok ? GRPC_STATUS_OK : GRPC_STATUS_UNAUTHENTICATED;
    if (!ok) {
        AUTO_FREE char *text = mem_printf("the server's certificate is not that of %s", v->uri);
        *details = gpr_strdup(text);
    }
    return 1;
}

/* The answer is given at once, so there is nothing to cancel. */
static void on_verify_cancel(void *data, grpc_tls_custom_verification_check_request *request)
{
    (void)data;
    (void)request;
}

static void on_verify_destroy(void *data)
{
    struct verifier *v = data;
    mem_free(v->uri);
    mem_free(v);
}

static grpc_channel_credentials *make_credentials(const struct rpc_channel_config *config)
{
    struct verifier *v = mem_zalloc(sizeof(*v));
    v->uri = rpc_service_uri(config->service);
    v->external = (grpc_tls_certificate_verifier_external){.user_data = v,
                                                           .verify = on_verify,
                                                           .cancel = on_verify_cancel,
                                                           .destruct = on_verify_destroy};
    grpc_tls_identity_pairs *pairs = NULL;
    if (config->identity.cert_pem) {
        pairs = grpc_tls_identity_pairs_create();
        grpc_tls_identity_pairs_add_pair(pairs, config->identity.key_pem,
                                         config->identity.cert_pem);
    }
    grpc_tls_certificate_provider *provider =
        grpc_tls_certificate_provider_static_data_create(config->identity.ca_pem, pairs);
    grpc_tls_certificate_verifier *verifier =
        grpc_tls_certificate_verifier_external_create(&v->external);
    if (!provider) {
        grpc_tls_certificate_verifier_release(verifier);
        return NULL;
    }
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    grpc_tls_credentials_options_watch_root_certs(options);
    if (pairs)
        grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    grpc_tls_credentials_options_set_certificate_verifier(options, verifier);
    grpc_tls_credentials_options_set_check_call_host(options, 0);
    grpc_tls_certificate_verifier_release(verifier);
    grpc_tls_certificate_provider_release(provider);
    return grpc_tls_credentials_create(options);
}

/* --- targets --- */

/* "https://host:port/" -> what gRPC calls it. NULL when it has no host. */
static char *parse_target(const char *target)
{
    struct view v = view_str(target);
    struct view https = VIEW("https://");
    if (view_starts_with(v, https))
        v = view_skip(v, https.len);
    else if (view_search(v, VIEW("://")) >= 0)
        return NULL;
    ptrdiff_t slash = view_find(v, '/');
    if (slash >= 0 && (size_t)slash + 1 != v.len)
        return NULL;
    v = view_take(v, slash >= 0 ? (size_t)slash : v.len);
    bool literal6 = v.len && v.ptr[0] == '[';
    ptrdiff_t colon = view_rfind(v, ':');
    bool has_port = colon >= 0 && (!literal6 || view_rfind(v, ']') < colon);
    struct view host = has_port ? view_take(v, (size_t)colon) : v;
    if (host.len == 0 || view_find(v, '@') >= 0 || (has_port && (size_t)colon + 1 == v.len))
        return NULL;
    const char *port = has_port ? "" : ":443";
    if (literal6)
        return mem_printf("ipv6:%.*s%s", VIEW_FMT(v), port);
    bool literal4 = true;
    for (size_t i = 0; i < host.len; i++)
        literal4 = literal4 && (host.ptr[i] == '.' || (host.ptr[i] >= '0' && host.ptr[i] <= '9'));
    return mem_printf("%s%.*s%s", literal4 ? "ipv4:" : "dns:///", VIEW_FMT(v), port);
}

static grpc_channel *make_channel(const char *target, grpc_channel_credentials *creds)
{
    struct rpc_args args = {0};
    rpc_args_common(&args);
    rpc_args_int(&args, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    rpc_args_int(&args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    rpc_args_int(&args, GRPC_ARG_ENABLE_RETRIES, 0);
    rpc_args_int(&args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
    rpc_args_int(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
    rpc_args_int(&args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
    rpc_args_int(&args, GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
    /* Containers of one name share the calls, and a stream that ends comes back elsewhere. */
    rpc_args_str(&args, GRPC_ARG_LB_POLICY_NAME, "round_robin");
    grpc_channel_args list = rpc_args_get(&args);
    return grpc_channel_create(target, creds, &list);
}

static void destroy_channels(struct rpc_channel *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->grpc[i])
            grpc_channel_destroy(c->grpc[i]);
    mem_free(c->grpc);
    slots_fini(&c->unary);
    slots_fini(&c->streams);
}

enum err rpc_channel_open(struct rpc *rpc, const struct rpc_channel_config *config,
                          struct rpc_channel **out)
{
    if (config->count == 0)
        return ERR_CONFIG;
    grpc_channel_credentials *creds = make_credentials(config);
    if (!creds)
        return ERR_CONFIG;
    struct rpc_channel *c = mem_zalloc(sizeof(*c));
    *c = (struct rpc_channel){.rpc = rpc, .count = config->count};
    c->grpc = mem_zalloc_array(c->count, sizeof(grpc_channel *));
    bool ok = true;
    for (size_t i = 0; ok && i < c->count; i++) {
        AUTO_FREE char *target = parse_target(config->targets[i]);
        ok = target != NULL;
        if (ok)
            c->grpc[i] = make_channel(target, creds);
    }
    grpc_channel_credentials_release(creds);
    if (!ok) {
        destroy_channels(c);
        mem_free(c);
        return ERR_CONFIG;
    }
    rpc->owners++;
    *out = c;
    return OK;
}

static void settle(void *ctx)
{
    struct rpc_channel *c = ctx;
    rpc_closed_fn closed = c->closed;
    void *closed_ctx = c->closed_ctx;
    rpc_drop_owner(c->rpc);
    destroy_channels(c);
    mem_free(c);
    if (closed)
        closed(closed_ctx);
}

void channel_drop(struct rpc_channel *c)
{
    if (--c->live == 0 && c->closing)
        loop_post(c->rpc->loop, settle, c);
}

void rpc_channel_close(struct rpc_channel *c, rpc_closed_fn closed, void *ctx)
{
    CHECK(!c->closing);
    c->closing = true;
    c->closed = closed;
    c->closed_ctx = ctx;
    c->live++;
    size_t cursor = 0;
    struct rpc_stream *stream;
    while ((stream = slots_next(&c->streams, &cursor)))
        stream_abandon(stream);
    unary_abandon_all(c);
    channel_drop(c);
}

void rpc_channel_rotate(struct rpc_channel *channel)
{
    channel->current = (channel->current + 1) % channel->count;
}

void channel_result(struct rpc_channel *c, size_t target, enum rpc_status status)
{
    if (status == RPC_UNAVAILABLE && target == c->current)
        rpc_channel_rotate(c);
}

grpc_call *channel_call(struct rpc_channel *c, size_t target, struct rpc_method_name method,
                        uint64_t timeout_ms)
{
    AUTO_FREE char *path = codec_path(method.service, method.name);
    gpr_timespec deadline =
        timeout_ms ? gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                  gpr_time_from_millis((int64_t)timeout_ms, GPR_TIMESPAN))
                   : gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_slice slice = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(c->grpc[target], NULL, GRPC_PROPAGATE_DEFAULTS,
                                               c->rpc->queue, slice, NULL, deadline, NULL);
    grpc_slice_unref(slice);
    return call;
}

char *channel_text(enum rpc_status status, grpc_slice details)
{
    char *text = GRPC_SLICE_LENGTH(details)
                     ? mem_strndup(GRPC_SLICE_START_PTR(details), GRPC_SLICE_LENGTH(details))
                     : mem_strdup(status == RPC_OK ? "" : rpc_status_name(status));
    grpc_slice_unref(details);
    return text;
}
