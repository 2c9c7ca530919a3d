#include "common/base/mem.h"
#include "common/daemon/metrics.h"
#include "proxy/tunnel_internal.h"

struct access {
    struct tunnels *tunnels;
    uint64_t slot;
    struct decide_link link;
    access_fn done;
    void *ctx;
};

static void free_access(struct access *a)
{
    decide_link_close(&a->link, 0, 0, "answered");
    (void)slots_remove(&a->tunnels->accesses, a->slot);
    mem_free(a);
}

static void finish(struct access *a, const struct access_answer *answer)
{
    access_fn done = a->done;
    void *ctx = a->ctx;
    free_access(a);
    done(ctx, answer);
}

static void on_decision(void *ctx, const struct decide_decision *d)
{
    struct access_answer answer = {.allowed = d->verdict == DECIDE_ALLOW, .body = d->body};
    if (!answer.allowed)
        answer.refusal = tunnel_refusal_of(d);
    finish(ctx, &answer);
}

static const struct decide_events events = {.on_decision = on_decision};

struct access *access_open(struct tunnels *t, const struct tunnel_ask *ask, access_fn done,
                           void *ctx)
{
    struct access *a = mem_zalloc(sizeof *a);
    char source[ADDRESS_TEXT_MAX];
    char id[DECIDE_ID_LEN + 1];
    a->tunnels = t;
    a->done = done;
    a->ctx = ctx;
    a->slot = slots_add(&t->accesses, a);
    tunnels_new_id(t, id);
    address_ip_text(ask->peer, source);
    decide_link_open(t->decide, &a->link, id, &events, a);
    const struct decide_tunnel facts = tunnel_facts(ask);
    const struct decide_check check = {.protocol = DECIDE_HTTP, .source = source, .tunnel = &facts};
    decide_ask(&a->link, &check);
    return a;
}

void access_cancel(struct access *a)
{
    free_access(a);
}

void access_answer_all(struct tunnels *t)
{
    const struct access_answer answer = {
        .refusal = {TUNNEL_BUSY, message_text(MESSAGE_SHUTDOWN), ""}};
    size_t cursor = 0;
    struct access *a;
    while ((a = slots_next(&t->accesses, &cursor)))
        finish(a, &answer);
}
