#include "authenticate/oidc_run.h"

#include "common/base/mem.h"
#include "common/daemon/metrics.h"

enum { HEADERS_MAX = 16 };

struct oidc_run {
    struct fetcher *fetcher;
    struct provider *provider;
    struct oidc_flow *flow;
    struct fetch *fetch; /* under way */
    oidc_run_fn done;
    void *ctx;
    const char *purpose; /* of the fetch that is under way */
    uint64_t asked_us;
};

static void turn(struct oidc_run *r);

static void on_fetched(void *ctx, const struct fetch_result *result)
{
    struct oidc_run *r = ctx;
    uint64_t now = loop_wall_ms();
    r->fetch = NULL;
    metrics_observe(METRIC_IDP_DURATION, metrics_clock_us() - r->asked_us);
    metrics_add(METRIC_IDP_REQUESTS, 1, r->purpose,
                result->err != OK       ? "unreachable"
                : result->status >= 400 ? "error"
                                        : "success");
    if (result->err == OK)
        oidc_fetched(r->flow, result->status, result->body, now);
    else
        oidc_fetch_failed(r->flow, result->why, now);
    turn(r);
}

static void start_fetch(struct oidc_run *r, const struct oidc_effect *effect)
{
    char *lines[HEADERS_MAX] = {0};
    size_t count = 0;
    for (; count < effect->headers->count && count < HEADERS_MAX; count++) {
        const struct field *field = &effect->headers->items[count];
        lines[count] = mem_printf("%.*s: %.*s", VIEW_FMT(field->name), VIEW_FMT(field->value));
    }
    const struct fetch_request request = {.method = effect->method,
                                          .url = effect->url,
                                          .headers = (const char *const *)lines,
                                          .header_count = count,
                                          .body = effect->body,
                                          .ca_file = r->provider->ca_file,
                                          .body_max = OIDC_RESPONSE_MAX};
    r->purpose = oidc_run_purpose(effect);
    r->asked_us = metrics_clock_us();
    r->fetch = fetch_start(r->fetcher, &request, on_fetched, r);
    for (size_t i = 0; i < count; i++) {
        mem_wipe(lines[i], strlen(lines[i]));
        mem_free(lines[i]);
    }
}

static void turn(struct oidc_run *r)
{
    struct oidc_effect effect;
    if (!oidc_next(r->flow, loop_wall_ms(), &effect))
        return;
    if (effect.type == OIDC_FETCH) {
        start_fetch(r, &effect);
        return;
    }
    r->done(r->ctx, &effect);
    oidc_run_cancel(r);
}

struct oidc_run *oidc_run_new(struct fetcher *fetcher, struct provider *p, struct oidc_flow *flow,
                              oidc_run_fn done, void *ctx)
{
    struct oidc_run *r = mem_zalloc(sizeof *r);
    *r = (struct oidc_run){
        .fetcher = fetcher, .provider = provider_ref(p), .flow = flow, .done = done, .ctx = ctx};
    return r;
}

void oidc_run_start(struct oidc_run *r)
{
    turn(r);
}

void oidc_run_cancel(struct oidc_run *r)
{
    if (!r)
        return;
    fetch_cancel(r->fetch);
    oidc_flow_free(r->flow);
    provider_unref(r->provider);
    mem_free(r);
}

const char *oidc_run_purpose(const struct oidc_effect *effect)
{
    static const char *const names[] = {
        [OIDC_PURPOSE_DISCOVERY] = "discovery",
        [OIDC_PURPOSE_KEYS] = "keys",
        [OIDC_PURPOSE_TOKEN] = "token",
        [OIDC_PURPOSE_USERINFO] = "userinfo",
    };
    return names[effect->purpose];
}
