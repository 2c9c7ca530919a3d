#include "authenticate/keeper.h"

#include "authenticate/convert.h"
#include "authenticate/refresher.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "common/rpc/syncer.h"

enum { SWEEP_MS = 60 * 1000, SOON_MS = 1000, WRITES_MAX = 500 };

enum kind { KIND_SESSION, KIND_BINDING, KIND_TOKENS, KIND_COUNT };

struct kept {
    char *id;
    char *session_id; /* that it hangs on; NULL of a session */
    uint64_t version;
    uint64_t expires_ms;
    bool refresh_disabled;
};

struct keeper {
    struct server *server;
    struct broker *broker;
    struct syncer *syncer;
    struct refresher *refresher;
    struct map kept[KIND_COUNT]; /* by id */
    uint64_t until;
    struct timer timer;
    uint64_t call; /* deletions under way */
};

/* --- the copy --- */

static void kept_free(struct kept *k)
{
    if (!k)
        return;
    mem_free(k->id);
    mem_free(k->session_id);
    mem_free(k);
}

static enum err read_session(const struct record *r, struct kept *out)
{
    AUTO(session_fini) struct session s = {0};
    TRY(convert_read_session(r, &s));
    out->expires_ms = s.expires_ms;
    out->refresh_disabled = s.refresh_disabled;
    return OK;
}

static enum err read_binding(const struct record *r, struct kept *out)
{
    AUTO(binding_fini) struct binding b = {0};
    TRY(convert_read_binding(r, &b));
    out->expires_ms = b.expires_ms;
    out->session_id = mem_strdup(b.session_id);
    return OK;
}

static enum err read_tokens(const struct record *r, struct kept *out)
{
    AUTO(sealed_tokens_fini) struct sealed_tokens t = {0};
    TRY(convert_read_tokens(r, &t));
    out->expires_ms = t.expires_ms;
    out->session_id = mem_strdup(r->id);
    return OK;
}

static const struct kind_row {
    const ProtobufCMessageDescriptor *const *type;
    enum err (*read)(const struct record *r, struct kept *out);
} kind_rows[KIND_COUNT] = {
    [KIND_SESSION] = {&convert_session, read_session},
    [KIND_BINDING] = {&convert_binding, read_binding},
    [KIND_TOKENS] = {&convert_tokens, read_tokens},
};

static enum kind kind_of(const struct record *r)
{
    enum kind k = KIND_SESSION;
    while (k < KIND_COUNT && !record_is(r, *kind_rows[k].type))
        k++;
    return k;
}

static void forget(struct keeper *k, enum kind kind, const char *id)
{
    kept_free(map_remove(&k->kept[kind], view_str(id)));
    if (kind == KIND_TOKENS)
        refresher_remove(k->refresher, id);
}

static void on_record(void *ctx, const struct record *r)
{
    struct keeper *k = ctx;
    enum kind kind = kind_of(r);
    if (kind == KIND_COUNT)
        return;
    struct kept *kept = mem_zalloc(sizeof *kept);
    kept->id = mem_strdup(r->id);
    kept->version = r->version;
    if (r->deleted || kind_rows[kind].read(r, kept) != OK) {
        kept_free(kept);
        forget(k, kind, r->id);
        /* What hung on a session that is gone goes soon. */
        if (kind == KIND_SESSION && timer_at(&k->timer) != TIMER_NEVER)
            timer_after(&k->timer, SOON_MS);
        return;
    }
    kept_free(map_put(&k->kept[kind], view_str(r->id), kept));
    if (kind == KIND_TOKENS)
        refresher_put(k->refresher, r);
}

static void on_clear(void *ctx)
{
    struct keeper *k = ctx;
    refresher_clear(k->refresher);
    for (enum kind kind = KIND_SESSION; kind < KIND_COUNT; kind++) {
        for (struct map_iter i = map_iter(&k->kept[kind]); map_next(&i);)
            kept_free(i.value);
        map_fini(&k->kept[kind]);
    }
}

static bool is_leading(const struct keeper *k)
{
    return syncer_is_synced(k->syncer) && loop_now_ms(k->server->loop) < k->until;
}

static bool may_refresh(void *ctx, const char *session_id)
{
    const struct keeper *k = ctx;
    const struct kept *session = map_get(&k->kept[KIND_SESSION], view_str(session_id));
    return is_leading(k) && session && !session->refresh_disabled &&
           session->expires_ms > loop_wall_ms();
}

/* --- deletion of what is over --- */

static void on_deleted(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    (void)versions;
    struct keeper *k = ctx;
    k->call = 0;
    if (e == OK)
        metrics_add(METRIC_EXPIRED_DELETED, count);
    if (e == OK)
        log_info("expired records deleted", LOG_U64("count", count));
    else if (e == ERR_PRECONDITION)
        log_debug("expired records were changed meanwhile");
    else
        log_warn("expired records are not deleted", LOG_STR("error", *text ? text : err_text(e)));
    timer_after(&k->timer, e == OK && count == WRITES_MAX ? SOON_MS : SWEEP_MS);
}

static bool is_over(const struct keeper *k, const struct kept *kept, uint64_t now)
{
    return kept->expires_ms <= now ||
           (kept->session_id && !map_get(&k->kept[KIND_SESSION], view_str(kept->session_id)));
}

static void on_sweep(void *ctx)
{
    struct keeper *k = ctx;
    uint64_t now = loop_wall_ms();
    size_t count = 0;
    if (k->call)
        return;
    AUTO_FREE struct record_write *writes = mem_zalloc_array(WRITES_MAX, sizeof *writes);
    for (enum kind kind = KIND_SESSION; kind < KIND_COUNT && is_leading(k); kind++) {
        for (struct map_iter i = map_iter(&k->kept[kind]); map_next(&i) && count < WRITES_MAX;) {
            const struct kept *kept = i.value;
            if (is_over(k, kept, now))
                writes[count++] =
                    (struct record_write){*kind_rows[kind].type, kept->id, NULL, kept->version};
        }
    }
    if (count)
        k->call = records_put(&k->broker->records, writes, count, on_deleted, k);
    else
        timer_after(&k->timer, SWEEP_MS);
}

/* The first look, when the picture is complete. */
static void on_synced(void *ctx)
{
    struct keeper *k = ctx;
    if (!k->call && timer_at(&k->timer) == TIMER_NEVER)
        timer_after(&k->timer, SOON_MS);
}

/* --- life --- */

struct keeper *keeper_new(struct server *s, struct broker *b)
{
    static const struct syncer_events events = {
        .on_clear = on_clear, .on_record = on_record, .on_synced = on_synced};
    struct keeper *k = mem_zalloc(sizeof *k);
    k->server = s;
    k->broker = broker_ref(b);
    k->refresher = refresher_new(s, b, may_refresh, k);
    timer_init(&k->timer, s->loop, on_sweep, k);
    k->syncer = syncer_open(b->records.channel, s->loop, NULL, &events, k);
    return k;
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    syncer_close(k->syncer);
    if (k->call)
        records_cancel(&k->broker->records, k->call);
    timer_fini(&k->timer);
    on_clear(k);
    refresher_free(k->refresher);
    broker_unref(k->broker);
    mem_free(k);
}

void keeper_extend(struct keeper *k, uint64_t until_ms)
{
    k->until = until_ms;
}
