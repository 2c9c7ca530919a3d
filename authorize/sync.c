#include "authorize/sync.h"

#include "authorize/convert_records.h"
#include "authorize/cut.h"
#include "authorize/presence.h"
#include "authorize/proof.h"
#include "authorize/reconsider.h"
#include "authorize/signin.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"

/* --- durable records --- */

static void on_durable_clear(void *ctx)
{
    struct authorize *a = ctx;
    state_clear(&a->state);
}

static void on_durable_record(void *ctx, const struct record *r)
{
    struct authorize *a = ctx;
    if (!convert_durable(&a->state, r))
        log_error("record cannot be read and counts as deleted", LOG_STR("type", r->type),
                  LOG_STR("id", r->id));
}

static void on_durable_synced(void *ctx)
{
    struct authorize *a = ctx;
    state_complete(&a->state);
    reconsider_synced(a);
    proof_synced(a);
    authorize_update_health(a);
}

static void on_durable_state(void *ctx, bool connected, const char *text)
{
    struct authorize *a = ctx;
    if (connected)
        log_info("databroker connected");
    else
        log_warn("databroker lost", LOG_STR("error", text));
    authorize_update_health(a);
}

static const struct syncer_events durable_events = {
    .on_clear = on_durable_clear,
    .on_record = on_durable_record,
    .on_synced = on_durable_synced,
    .on_state = on_durable_state,
};

/* --- sign-ins in flight --- */

static void on_request_clear(void *ctx)
{
    struct authorize *a = ctx;
    requests_clear(&a->requests);
}

static void on_request_record(void *ctx, const struct record *r)
{
    struct authorize *a = ctx;
    struct request *request = convert_request(r);
    bool renewing = a->requests.renewing;
    requests_put(&a->requests, r->id, request);
    if (!renewing)
        signin_changed(a, r->id, request);
}

static void on_request_synced(void *ctx)
{
    struct authorize *a = ctx;
    bool renewed = a->requests.renewing;
    uint64_t version = syncer_versions(a->request_sync).server_version;
    requests_complete(&a->requests);
    if (renewed)
        signin_synced(a, true);
    if (a->memory_version && a->memory_version != version) {
        log_info("the databroker has forgotten what it kept in memory, it is written again");
        presence_rewrite(a);
    }
    a->memory_version = version;
    authorize_update_health(a);
}

static const struct syncer_events request_events = {
    .on_clear = on_request_clear,
    .on_record = on_request_record,
    .on_synced = on_request_synced,
};

/* --- cut requests --- */

static void on_cut_clear(void *ctx)
{
    cut_clear(ctx);
}

static void on_cut_record(void *ctx, const struct record *r)
{
    struct cut_request *request = convert_cut_request(r);
    if (request)
        cut_changed(ctx, request);
    else
        cut_forget(ctx, r->id);
}

static const struct syncer_events cut_events = {
    .on_clear = on_cut_clear,
    .on_record = on_cut_record,
};

void sync_open(struct authorize *a)
{
    AUTO_FREE char *request_type = convert_type_request();
    AUTO_FREE char *cut_type = convert_type_cut_request();
    a->durable_sync = syncer_open(a->databroker, a->loop, NULL, &durable_events, a);
    a->request_sync = syncer_open(a->databroker, a->loop, request_type, &request_events, a);
    a->cut_sync = syncer_open(a->databroker, a->loop, cut_type, &cut_events, a);
}

void sync_close(struct authorize *a)
{
    syncer_close(a->durable_sync);
    syncer_close(a->request_sync);
    syncer_close(a->cut_sync);
}
