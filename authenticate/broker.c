#include "authenticate/broker.h"

#include "common/base/mem.h"

static char *blob_text(const struct config_blob *b)
{
    struct view v = secret_view(&b->text);
    return mem_strndup(v.ptr, v.len);
}

static enum err open_channel(struct rpc *rpc, const struct config *c, struct rpc_channel **out)
{
    size_t count = c->databroker_service_urls.count;
    AUTO_FREE const char **targets = mem_zalloc_array(count, sizeof *targets);
    for (size_t i = 0; i < count; i++)
        targets[i] = c->databroker_service_urls.items[i].text;
    AUTO_FREE char *ca = blob_text(&c->service_certificate_authority);
    AUTO_FREE char *cert = blob_text(&c->service_certificate);
    char *key = blob_text(&c->service_certificate_key);
    const struct rpc_channel_config spec = {
        .targets = targets, .count = count, .identity = {ca, cert, key}, .service = "databroker"};
    enum err e = rpc_channel_open(rpc, &spec, out);
    mem_wipe(key, strlen(key));
    mem_free(key);
    return e;
}

enum err broker_open(struct rpc *rpc, const struct config *config, struct diag *diag,
                     struct broker **out)
{
    struct rpc_channel *channel;
    enum err e = open_channel(rpc, config, &channel);
    if (e != OK) {
        diag_error(diag, (struct diag_place){.file = config->file}, "databroker_service_url", "%s",
                   err_text(e));
        return ERR_CONFIG;
    }
    struct broker *b = mem_zalloc(sizeof *b);
    *b = (struct broker){.records = {.channel = channel, .timeout_ms = config->grpc_client_timeout},
                         .refs = 1};
    *out = b;
    return OK;
}

struct broker *broker_ref(struct broker *b)
{
    b->refs++;
    return b;
}

void broker_unref(struct broker *b)
{
    if (!b || --b->refs > 0)
        return;
    rpc_channel_close(b->records.channel, NULL, NULL);
    mem_free(b);
}

static bool same_blob(const struct config_blob *a, const struct config_blob *b)
{
    return secret_equal(secret_view(&a->text), secret_view(&b->text));
}

bool broker_differs(const struct config *now, const struct config *next)
{
    const struct config_urls *a = &now->databroker_service_urls;
    const struct config_urls *b = &next->databroker_service_urls;
    bool same =
        a->count == b->count && now->grpc_client_timeout == next->grpc_client_timeout &&
        same_blob(&now->service_certificate_authority, &next->service_certificate_authority) &&
        same_blob(&now->service_certificate, &next->service_certificate) &&
        same_blob(&now->service_certificate_key, &next->service_certificate_key);
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i].text, b->items[i].text) == 0;
    return !same;
}
