#include "authorize/proof.h"

#include "authorize/op.h"
#include "authorize/worker.h"
#include "common/daemon/log.h"

enum {
    EVERY_MS = 1000,
    TIMEOUT_MS = 2000, /* of one question */
};

static void ask(struct authorize *a);

/* Those whose time has come are decided; the order is that of their coming. */
static void release(struct authorize *a)
{
    uint64_t now = loop_clock_ms();
    struct connection *c;
    while ((c = a->checks_first) &&
           currency_of(&a->currency, c->check_needs, now) != CURRENCY_WAIT) {
        proof_leave(a, c);
        connection_decide(a, c);
    }
    /* What failed is tried again at the next tick, not at once. */
    if (a->checks_first && currency_may_ask(&a->currency) && !a->currency.has_failed)
        ask(a);
}

/* Said once per change; the workers hear of it at once. */
static void tell(struct authorize *a)
{
    bool lags = currency_lags(&a->currency, loop_clock_ms());
    if (lags == a->lags)
        return;
    a->lags = lags;
    if (lags)
        log_warn("the copy of the database may be old", LOG_BOOL("behind", a->currency.is_behind),
                 LOG_U64("record-version", syncer_versions(a->durable_sync).record_version));
    else
        log_info("the copy of the database is current again");
    workers_tell(a);
}

static void on_info(void *ctx, enum err e, const char *text, const struct records_info *info)
{
    struct op *op = ctx;
    struct authorize *a = op->authorize;
    (void)text;
    op_free(op);
    (void)proof_pauses(a);
    if (e != OK) {
        currency_failed(&a->currency);
        release(a);
        return;
    }
    currency_answered(&a->currency,
                      (struct currency_version){info->server_version, info->record_version},
                      loop_clock_ms());
    a->behind_at = loop_clock_ms();
    proof_synced(a);
}

static void ask(struct authorize *a)
{
    struct records quick = {a->databroker, TIMEOUT_MS};
    if (a->stopping)
        return;
    currency_asked(&a->currency, loop_clock_ms());
    (void)records_info(&quick, on_info, op_new(a, "", NULL, NULL));
}

void proof_synced(struct authorize *a)
{
    struct syncer_versions v = syncer_versions(a->durable_sync);
    if (!syncer_is_synced(a->durable_sync))
        return;
    if (!currency_reached(&a->currency,
                          (struct currency_version){v.server_version, v.record_version}))
        return;
    tell(a);
    release(a);
}

void proof_wait(struct authorize *a, struct connection *c)
{
    (void)proof_pauses(a);
    c->phase = CONNECTION_CHECKING;
    c->check_needs = currency_needs(&a->currency);
    if (currency_of(&a->currency, c->check_needs, loop_clock_ms()) == CURRENCY_NONE) {
        connection_decide(a, c);
        return;
    }
    c->check_prev = a->checks_last;
    if (c->check_prev)
        c->check_prev->check_next = c;
    else
        a->checks_first = c;
    a->checks_last = c;
    if (currency_may_ask(&a->currency))
        ask(a);
}

void proof_leave(struct authorize *a, struct connection *c)
{
    if (!c->check_prev && a->checks_first != c)
        return;
    if (c->check_prev)
        c->check_prev->check_next = c->check_next;
    else
        a->checks_first = c->check_next;
    if (c->check_next)
        c->check_next->check_prev = c->check_prev;
    else
        a->checks_last = c->check_prev;
    c->check_prev = NULL;
    c->check_next = NULL;
}

void proof_tick(struct authorize *a)
{
    (void)proof_pauses(a);
    uint64_t now = loop_clock_ms();
    struct currency *c = &a->currency;
    a->seen_at = now;
    if (currency_may_ask(c) && (c->has_failed || now - c->asked_at >= EVERY_MS))
        ask(a);
    /* There is more, and the stream does not bring it: perhaps another one does. */
    if (c->is_behind && now - a->behind_at >= CURRENCY_LAG_MS) {
        a->behind_at = now;
        syncer_restart(a->durable_sync);
    }
    tell(a);
    release(a);
}

bool proof_pauses(struct authorize *a)
{
    uint64_t now = loop_clock_ms();
    if (a->seen_at && now > a->seen_at + AUTHORIZE_SILENCE_MS) {
        log_warn("authorize was paused, its workers are sent elsewhere",
                 LOG_U64("ms", now - a->seen_at));
        a->seen_at = now;
        currency_paused(&a->currency, now);
        a->pause_needs = currency_needs(&a->currency);
        workers_end(a, "authorize was paused");
        daemon_look(a->daemon); /* the policy may have changed meanwhile too */
    }
    if (a->pause_needs && currency_of(&a->currency, a->pause_needs, now) != CURRENCY_WAIT)
        a->pause_needs = 0;
    return a->pause_needs != 0;
}
