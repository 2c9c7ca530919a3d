#include "common/rpc/server.h"

#include <grpc/grpc_security.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/call.h"
#include "common/rpc/codec.h"

/* Posted requests of one row: more callers than that wait inside gRPC. */
enum { POSTED_UNARY = 32, POSTED_STREAM = 4, CONCURRENT_STREAMS = 2048 };

/* One posted request: for a row of the table, or for whatever has none. */
struct request {
    struct rpc_tag tag;
    struct rpc_server *server;
    size_t row;
    bool unknown;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    grpc_byte_buffer *payload;
};

static void on_request(struct rpc_tag *tag);

static void request_fini(struct request *r)
{
    grpc_metadata_array_destroy(&r->metadata);
    if (r->unknown)
        grpc_call_details_destroy(&r->details);
}

static void request_post(struct request *r)
{
    struct rpc_server *s = r->server;
    grpc_metadata_array_init(&r->metadata);
    r->call = NULL;
    r->payload = NULL;
    grpc_call_error e;
    if (r->unknown) {
        grpc_call_details_init(&r->details);
        e = grpc_server_request_call(s->grpc, &r->call, &r->details, &r->metadata, s->rpc->queue,
                                     s->rpc->queue, &r->tag);
    } else {
        bool first = s->methods[r->row].kind != RPC_BIDI;
        e = grpc_server_request_registered_call(
            s->grpc, s->registered[r->row], &r->call, &r->deadline, &r->metadata,
            first ? &r->payload : NULL, s->rpc->queue, s->rpc->queue, &r->tag);
    }
    CHECK(e == GRPC_CALL_OK);
}

static void request_new(struct rpc_server *s, size_t row, bool unknown)
{
    struct request *r = mem_zalloc(sizeof(*r));
    *r = (struct request){.tag.on_loop = on_request, .server = s, .row = row, .unknown = unknown};
    s->waiting++;
    request_post(r);
}

static void on_request(struct rpc_tag *tag)
{
    struct request *r = CONTAINER_OF(tag, struct request, tag);
    struct rpc_server *s = r->server;
    if (tag->ok) {
        const struct rpc_method *m = r->unknown ? NULL : &s->methods[r->row];
        AUTO_FREE char *path = m ? codec_path(m->service, m->name)
                                 : mem_strndup(GRPC_SLICE_START_PTR(r->details.method),
                                               GRPC_SLICE_LENGTH(r->details.method));
        struct rpc_call_start start = {
            .grpc = r->call, .method = m, .payload = r->payload, .path = path};
        call_start(s, &start);
    }
    request_fini(r);
    if (tag->ok && !s->closing) {
        request_post(r);
        return;
    }
    mem_free(r);
    s->waiting--;
    server_settle(s);
}

static void on_shutdown(struct rpc_tag *tag)
{
    struct rpc_server *s = CONTAINER_OF(tag, struct rpc_server, shutdown_tag);
    s->shut = true;
    server_settle(s);
}

static void server_free(struct rpc_server *s)
{
    if (s->grpc)
        grpc_server_destroy(s->grpc);
    slots_fini(&s->calls);
    mem_free(s->registered);
    mem_free(s);
}

void server_settle(struct rpc_server *s)
{
    if (!s->shut || s->waiting || s->live)
        return;
    rpc_closed_fn closed = s->closed;
    void *ctx = s->closed_ctx;
    rpc_drop_owner(s->rpc);
    server_free(s);
    if (closed)
        closed(ctx);
}

/* ":5443" is every address. */
static enum err bind_address(struct rpc_server *s, const struct rpc_server_config *c)
{
    grpc_ssl_pem_key_cert_pair pair = {.private_key = c->identity.key_pem,
                                       .cert_chain = c->identity.cert_pem};
    grpc_server_credentials *creds = grpc_ssl_server_credentials_create_ex(
        c->identity.ca_pem, &pair, 1, GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
        NULL);
    if (!creds)
        return ERR_CONFIG;
    AUTO_FREE char *address = mem_printf("%s%s", c->address[0] == ':' ? "[::]" : "", c->address);
    int port = grpc_server_add_http2_port(s->grpc, address, creds);
    grpc_server_credentials_release(creds);
    if (port <= 0)
        return ERR_IO;
    s->port = (uint16_t)port;
    return OK;
}

static void create(struct rpc_server *s)
{
    struct rpc_args args = {0};
    rpc_args_common(&args);
    rpc_args_int(&args, GRPC_ARG_ALLOW_REUSEPORT, 0);
    rpc_args_int(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS, CONCURRENT_STREAMS);
    grpc_channel_args list = rpc_args_get(&args);
    s->grpc = grpc_server_create(&list, NULL);
    grpc_server_register_completion_queue(s->grpc, s->rpc->queue, NULL);
    s->registered = mem_zalloc_array(s->count, sizeof(*s->registered));
    for (size_t i = 0; i < s->count; i++) {
        const struct rpc_method *m = &s->methods[i];
        CHECK(m->on_message &&
              protobuf_c_service_descriptor_get_method_by_name(m->service, m->name));
        AUTO_FREE char *path = codec_path(m->service, m->name);
        s->registered[i] = grpc_server_register_method(
            s->grpc, path, NULL,
            m->kind == RPC_BIDI ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER,
            0);
        CHECK(s->registered[i]);
    }
}

enum err rpc_server_open(struct rpc *rpc, const struct rpc_server_config *config,
                         struct rpc_server **out)
{
    struct rpc_server *s = mem_zalloc(sizeof(*s));
    *s = (struct rpc_server){.rpc = rpc,
                             .methods = config->methods,
                             .count = config->count,
                             .ctx = config->ctx,
                             .on_denied = config->on_denied,
                             .on_done = config->on_done,
                             .shutdown_tag.on_loop = on_shutdown};
    create(s);
    enum err e = bind_address(s, config);
    grpc_server_start(s->grpc);
    rpc->owners++;
    if (e != OK) {
        /* gRPC wants a server that was made to be shut down in its own time. */
        rpc_server_close(s, NULL, NULL);
        return e;
    }
    for (size_t i = 0; i < s->count; i++) {
        int posted = s->methods[i].kind == RPC_UNARY ? POSTED_UNARY : POSTED_STREAM;
        for (int k = 0; k < posted; k++)
            request_new(s, i, false);
    }
    for (int k = 0; k < POSTED_STREAM; k++)
        request_new(s, 0, true);
    *out = s;
    return OK;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

void rpc_server_close(struct rpc_server *server, rpc_closed_fn closed, void *ctx)
{
    CHECK(!server->closing);
    server->closing = true;
    server->closed = closed;
    server->closed_ctx = ctx;
    grpc_server_shutdown_and_notify(server->grpc, server->rpc->queue, &server->shutdown_tag);
}

void rpc_server_cancel(struct rpc_server *server)
{
    grpc_server_cancel_all_calls(server->grpc);
}
