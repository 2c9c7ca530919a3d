#include "cli/client.h"

#include <string.h>
#include <unistd.h>

#include "cli/convert.h"
#include "cli/files.h"
#include "common/base/mem.h"
#include "common/crypto/x509.h"
#include "common/daemon/config_file.h"
#include "common/daemon/daemon.h"
#include "common/io/timer.h"
#include "common/rpc/identity.h"

enum { PAGE = 500 };

struct client {
    struct loop loop;
    struct rpc *rpc;
    struct records records;
    char *name;
    char *target;
    /* Of the call that runs. */
    enum err result;
    struct json *array;
    struct json *object;
    const ProtobufCMessageDescriptor *type;
    ProtobufCMessage *message;
    uint64_t total;
};

struct pem_parts {
    char *key;
    char *cert;
    char *ca;
};

static void pem_parts_fini(struct pem_parts *p)
{
    if (p->key)
        mem_wipe(p->key, strlen(p->key));
    mem_free(p->key);
    mem_free(p->cert);
    mem_free(p->ca);
}

/* Cuts the next "-----BEGIN …-----END …-----\n" off *rest. */
static bool next_pem(struct view *rest, struct view *out)
{
    ptrdiff_t begin = view_search(*rest, VIEW("-----BEGIN "));
    if (begin < 0)
        return false;
    struct view block = view_skip(*rest, (size_t)begin);
    ptrdiff_t end = view_search(block, VIEW("-----END "));
    if (end < 0)
        return false;
    struct view tail = view_skip(block, (size_t)end);
    ptrdiff_t newline = view_find(tail, '\n');
    size_t len = newline < 0 ? block.len : (size_t)(end + newline + 1);
    *out = view_take(block, len);
    *rest = view_skip(block, len);
    return true;
}

/* key, certificate, CA, in the order that keygen admin writes; any order of the key is fine. */
static enum err split_pem(struct view text, struct pem_parts *out)
{
    struct view block;
    while (next_pem(&text, &block)) {
        bool is_key = view_search(view_take(block, 64), VIEW("PRIVATE KEY")) >= 0;
        char **place = is_key ? &out->key : !out->cert ? &out->cert : &out->ca;
        if (*place)
            return ERR_SYNTAX;
        *place = mem_strndup(block.ptr, block.len);
    }
    return out->key && out->cert && out->ca ? OK : ERR_SYNTAX;
}

static enum err admin_name(const char *cert_pem, char **out)
{
    AUTO(x509_info_fini) struct x509_info info = {0};
    TRY(x509_info_parse(&info, view_str(cert_pem)));
    struct rpc_peer peer;
    if (info.uris_len != 1)
        return ERR_MISMATCH;
    TRY(rpc_peer_parse(view_str(info.uris[0]), &peer));
    if (peer.caller != RPC_CALLER_ADMIN)
        return ERR_MISMATCH;
    if (info.not_after_at < loop_wall_ms())
        return ERR_EXPIRED;
    *out = mem_strdup(peer.name);
    return OK;
}

static enum err connect_to(struct client *c, const struct config *config,
                           const struct pem_parts *pem)
{
    size_t count = config->databroker_service_urls.count;
    const char **targets = mem_zalloc_array(count, sizeof *targets);
    for (size_t i = 0; i < count; i++)
        targets[i] = config->databroker_service_urls.items[i].text;
    loop_init(&c->loop);
    c->rpc = rpc_open(&c->loop);
    const struct rpc_channel_config spec = {.targets = targets,
                                            .count = count,
                                            .identity = {pem->ca, pem->cert, pem->key},
                                            .service = "databroker"};
    enum err e = rpc_channel_open(c->rpc, &spec, &c->records.channel);
    mem_free(targets);
    c->records.timeout_ms = config->grpc_client_timeout;
    c->target = mem_strdup(config->databroker_service_urls.items[0].text);
    return e;
}

static enum err open_with(struct client *c, const struct cli *cli, const struct config *config)
{
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, FILES_MAX);
    TRY(files_read(cli->admin_file, &text));
    AUTO(pem_parts_fini) struct pem_parts pem = {0};
    enum err e = split_pem(buf_view(&text), &pem);
    if (e == OK)
        e = admin_name(pem.cert, &c->name);
    if (e != OK) {
        (void)cli_fail("%s is no usable administrator's certificate (%s); postern keygen admin "
                       "makes one",
                       cli->admin_file, err_text(e));
        return e;
    }
    e = connect_to(c, config, &pem);
    if (e != OK)
        (void)cli_fail("cannot reach the databroker: %s", err_text(e));
    return e;
}

struct client *client_open(const struct cli *cli)
{
    if (!cli->admin_file) {
        (void)cli_fail("this needs an administrator's certificate: --admin FILE.pem");
        return NULL;
    }
    AUTO(diag_fini) struct diag diag = {0};
    struct config *config = NULL;
    if (config_file_load_shallow(cli->config_file, CONFIG_CLI, &diag, &config) != OK) {
        config_file_print(&diag, STDERR_FILENO);
        return NULL;
    }
    struct client *c = mem_zalloc(sizeof *c);
    enum err e = open_with(c, cli, config);
    config_unref(config);
    if (e == OK)
        return c;
    client_close(c);
    return NULL;
}

static void on_stopped(void *ctx)
{
    struct client *c = ctx;
    loop_stop(&c->loop);
}

void client_close(struct client *c)
{
    if (!c)
        return;
    if (c->records.channel) {
        rpc_channel_close(c->records.channel, on_stopped, c);
        loop_run(&c->loop);
    }
    if (c->rpc) {
        rpc_close(c->rpc, on_stopped, c);
        loop_run(&c->loop);
        loop_fini(&c->loop);
    }
    mem_free(c->name);
    mem_free(c->target);
    mem_free(c);
}

void client_close_ptr(struct client **c)
{
    client_close(*c);
}

const char *client_name(const struct client *c)
{
    return c->name;
}

/* Ends the call that runs. */
static void finish(struct client *c, enum err e, const char *text)
{
    c->result = e;
    if (err_class(e) == ERR_CLASS_BUSY)
        (void)cli_fail("the databroker at %s does not answer (%s)", c->target, err_text(e));
    else if (e != OK && e != ERR_NOT_FOUND && e != ERR_PRECONDITION)
        (void)cli_fail("the databroker says: %s", *text ? text : err_text(e));
    loop_stop(&c->loop);
}

static void on_list(void *ctx, enum err e, const char *text, const struct record_list *list)
{
    struct client *c = ctx;
    for (size_t i = 0; list && i < list->count; i++)
        IGNORE(json_add(c->array, convert_record(&list->items[i])), "an array grows");
    c->total = list ? list->total : 0;
    finish(c, e, text);
}

enum err client_list(struct client *c, const ProtobufCMessageDescriptor *type, const char *field,
                     const char *value, struct json **out)
{
    AUTO_FREE char *url = record_type(type);
    c->array = json_new_array();
    do {
        const struct record_search search = {.type = url,
                                             .field = field,
                                             .value = value,
                                             .offset = json_len(c->array),
                                             .limit = PAGE};
        size_t before = json_len(c->array);
        (void)records_query(&c->records, &search, on_list, c);
        loop_run(&c->loop);
        if (json_len(c->array) == before)
            break;
    } while (c->result == OK && json_len(c->array) < c->total);
    if (c->result != OK) {
        json_free(c->array);
        return c->result;
    }
    *out = c->array;
    return OK;
}

static void on_get(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct client *c = ctx;
    if (found) {
        c->object = convert_record(found);
        c->message = record_unpack(found, c->type);
    }
    finish(c, e, text);
}

enum err client_get(struct client *c, const ProtobufCMessageDescriptor *type, const char *id,
                    struct json **out, ProtobufCMessage **out_message)
{
    c->type = type;
    (void)records_get(&c->records, type, id, on_get, c);
    loop_run(&c->loop);
    TRY(c->result);
    *out = c->object;
    if (out_message)
        *out_message = c->message;
    else
        protobuf_c_message_free_unpacked(c->message, NULL);
    return OK;
}

static void on_put(void *ctx, enum err e, const char *text, const uint64_t *versions, size_t count)
{
    (void)versions;
    (void)count;
    finish(ctx, e, text);
}

enum err client_put(struct client *c, const struct record_write *writes, size_t count)
{
    (void)records_put(&c->records, writes, count, on_put, c);
    loop_run(&c->loop);
    return c->result;
}

static void on_types(void *ctx, enum err e, const char *text, char *const *types, size_t count)
{
    struct client *c = ctx;
    for (size_t i = 0; i < count; i++)
        IGNORE(json_add_str(c->array, view_str(types[i])), "ASCII");
    finish(c, e, text);
}

enum err client_types(struct client *c, struct json **out)
{
    c->array = json_new_array();
    (void)records_types(&c->records, on_types, c);
    loop_run(&c->loop);
    if (c->result != OK) {
        json_free(c->array);
        return c->result;
    }
    *out = c->array;
    return OK;
}

void client_sleep(struct client *c, uint64_t ms)
{
    AUTO(timer_fini) struct timer t;
    timer_init(&t, &c->loop, on_stopped, c);
    timer_after(&t, ms);
    loop_run(&c->loop);
}
