#include "authenticate/refresher.h"

#include "authenticate/convert.h"
#include "authenticate/refresh.h"
#include "authenticate/tokens.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum {
    TURN_MS = 1000,      /* the least time between two looks at everything */
    NEXT_MS = 100,       /* but after one has ended */
    LOOK_MS = 60 * 1000, /* the longest: the wall clock may jump */
    LATER_MS = 60 * 1000,
    RETRY_MS = 10 * 1000, /* after a failure, doubled up to */
    RETRY_MAX_MS = 5 * 60 * 1000,
    DOUBLINGS_MAX = 5,
};

struct due {
    struct refresher *refresher;
    char *session_id;
    uint64_t at; /* wall clock, TOKENS_NEVER */
    unsigned failures;
    struct refresh *running;
};

struct refresher {
    struct server *server;
    struct broker *broker;
    refresher_may_fn may;
    void *ctx;
    struct map dues; /* by session id */
    size_t running;
    struct timer timer;
};

static void due_free(struct due *d)
{
    if (!d)
        return;
    if (d->running)
        d->refresher->running--;
    refresh_cancel(d->running);
    mem_free(d->session_id);
    mem_free(d);
}

static void look_after(struct refresher *r, uint64_t delay_ms)
{
    uint64_t at = loop_now_ms(r->server->loop) + delay_ms;
    if (at < timer_at(&r->timer))
        timer_set(&r->timer, at);
}

/* Not sooner than the least time, so that a burst of records is one look. */
static void look_at(struct refresher *r, uint64_t wall_ms)
{
    uint64_t now = loop_wall_ms();
    uint64_t delay = wall_ms > now ? wall_ms - now : 0;
    if (delay < TURN_MS)
        delay = TURN_MS;
    look_after(r, delay < LOOK_MS ? delay : LOOK_MS);
}

static uint64_t retry_delay(unsigned failures)
{
    unsigned doublings = failures < DOUBLINGS_MAX ? failures : DOUBLINGS_MAX;
    uint64_t delay = (uint64_t)RETRY_MS << doublings;
    return delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS;
}

static void count(enum err e, uint64_t now)
{
    metrics_add(METRIC_REFRESHES, 1,
                e == OK                ? "refreshed"
                : e == ERR_DENIED      ? "ended"
                : e == ERR_UNSUPPORTED ? "skipped"
                                       : "failed");
    if (e == OK)
        metrics_set(METRIC_REFRESH_SUCCESS_AT, (int64_t)now);
    else if (e != ERR_DENIED && e != ERR_UNSUPPORTED)
        metrics_set(METRIC_REFRESH_ERROR_AT, (int64_t)now);
}

static void on_refreshed(void *ctx, enum err e)
{
    struct due *d = ctx;
    struct refresher *r = d->refresher;
    uint64_t now = loop_wall_ms();
    d->running = NULL;
    r->running--;
    count(e, now);
    if (e == OK || e == ERR_DENIED || e == ERR_UNSUPPORTED) {
        /* The record's news says when next, and may have come already. */
        d->failures = 0;
        if (d->at <= now)
            d->at = now + LATER_MS;
    } else {
        d->at = now + retry_delay(d->failures++);
    }
    look_after(r, NEXT_MS);
}

static void try_due(struct refresher *r, struct due *d, uint64_t now)
{
    if (!r->may(r->ctx, d->session_id)) {
        d->at = now + LATER_MS;
        return;
    }
    r->running++;
    d->running = refresh_start(r->server, r->broker, d->session_id, on_refreshed, d);
}

static void on_look(void *ctx)
{
    struct refresher *r = ctx;
    uint64_t now = loop_wall_ms(), next = TOKENS_NEVER;
    for (struct map_iter i = map_iter(&r->dues); map_next(&i);) {
        struct due *d = i.value;
        if (!d->running && d->at <= now && r->running < REFRESHER_MAX)
            try_due(r, d, now);
        if (!d->running && d->at < next)
            next = d->at;
    }
    /* With all places taken the next one begins when one ends. */
    if (next != TOKENS_NEVER && r->running < REFRESHER_MAX)
        look_at(r, next);
}

struct refresher *refresher_new(struct server *s, struct broker *b, refresher_may_fn may, void *ctx)
{
    struct refresher *r = mem_zalloc(sizeof *r);
    *r = (struct refresher){.server = s, .broker = broker_ref(b), .may = may, .ctx = ctx};
    timer_init(&r->timer, s->loop, on_look, r);
    metrics_add(METRIC_REFRESH_SUCCESS_AT, 0);
    metrics_add(METRIC_REFRESH_ERROR_AT, 0);
    return r;
}

void refresher_clear(struct refresher *r)
{
    for (struct map_iter i = map_iter(&r->dues); map_next(&i);)
        due_free(i.value);
    map_fini(&r->dues);
}

void refresher_free(struct refresher *r)
{
    if (!r)
        return;
    refresher_clear(r);
    timer_fini(&r->timer);
    broker_unref(r->broker);
    mem_free(r);
}

static uint64_t due_at(struct refresher *r, const struct record *record)
{
    AUTO(sealed_tokens_fini) struct sealed_tokens sealed = {0};
    AUTO(tokens_fini) struct tokens tokens = {0};
    enum err e = convert_read_tokens(record, &sealed);
    if (e == OK)
        e = tokens_unseal(buf_view(&sealed.sealed), &r->server->keys.tokens, record->id, &tokens);
    if (e == OK)
        return tokens_refresh_at(&tokens, record->modified_ms);
    /* Another cookie_secret was in force. */
    log_warn("tokens cannot be opened", LOG_STR("session-id", record->id), LOG_ERR(e));
    return TOKENS_NEVER;
}

void refresher_put(struct refresher *r, const struct record *record)
{
    struct due *d = map_get(&r->dues, view_str(record->id));
    if (!d) {
        d = mem_zalloc(sizeof *d);
        d->refresher = r;
        d->session_id = mem_strdup(record->id);
        (void)map_put(&r->dues, view_str(record->id), d);
    }
    d->at = due_at(r, record);
    if (d->at != TOKENS_NEVER)
        look_at(r, d->at);
}

void refresher_remove(struct refresher *r, const char *session_id)
{
    due_free(map_remove(&r->dues, view_str(session_id)));
}
