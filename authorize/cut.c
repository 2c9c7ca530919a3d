#include "authorize/cut.h"

#include "authorize/op.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

static bool is_same(const char *wanted, const char *id)
{
    return id && strcmp(wanted, id) == 0;
}

static bool is_selected(const struct cut_request *r, const struct connection *c)
{
    if (*r->connection_id)
        return strcmp(r->connection_id, connection_id(c)) == 0;
    if (*r->session_id)
        return is_same(r->session_id, c->session_id) || is_same(r->session_id, c->account_id);
    if (*r->user)
        return (c->user_id && strcmp(r->user, c->user_id) == 0) ||
               (c->email && view_eq_case(view_str(r->user), view_str(c->email)));
    return *r->route && c->route_name && view_eq_case(view_str(r->route), view_str(c->route_name));
}

static void cut(struct authorize *a, const struct cut_request *r, struct connection *c)
{
    AUTO(buf_fini) struct buf reason;
    buf_init(&reason, 1024);
    /* What an administrator typed ends up in a terminal. */
    if (text_printable(view_take(view_str(r->reason), 300), &reason) != OK)
        buf_clear(&reason);
    AUTO_FREE char *text = buf_to_str(&reason);
    AUTO_FREE char *sentence = *text ? message_format(MESSAGE_CUT_ADMIN_WHY, text, NULL)
                                     : message_format(MESSAGE_CUT_ADMIN, NULL);
    metrics_add(METRIC_CUTS, 1, "admin");
    connection_cut(a, c, sentence);
}

static void on_done(void *ctx, enum err e, const char *text, const uint64_t *versions, size_t count)
{
    (void)versions;
    (void)count;
    /* When another replica was faster, its version comes by sync and is answered then. */
    if (e != OK && e != ERR_PRECONDITION)
        log_warn("cut request not marked as done", LOG_STR("error", text));
    op_free(ctx);
}

static bool is_done(const struct authorize *a, const struct cut_request *r)
{
    for (size_t i = 0; i < r->done_count; i++) {
        if (strcmp(r->done[i], a->instance) == 0)
            return true;
    }
    return false;
}

void cut_changed(struct authorize *a, struct cut_request *r)
{
    struct cut_request *old = map_put(&a->cut_requests, view_str(r->id), r);
    bool first = old == NULL;
    cut_request_free(old);
    if (is_done(a, r))
        return;
    if (first)
        log_info("cut requested", LOG_STR("by", r->by), LOG_STR("connection-id", r->connection_id),
                 LOG_STR("session-id", r->session_id), LOG_STR("user", r->user),
                 LOG_STR("route", r->route), LOG_STR("reason", r->reason));
    for (struct map_iter i = live_iter(&a->live); first && map_next(&i);) {
        struct connection *c = connection_of(i.value);
        if (c->phase == CONNECTION_LIVE && is_selected(r, c))
            cut(a, r, c);
    }
    convert_put_cut_request(&a->records, r, a->instance, on_done, op_new(a, r->id, NULL, NULL));
}

void cut_forget(struct authorize *a, const char *id)
{
    cut_request_free(map_remove(&a->cut_requests, view_str(id)));
}

void cut_clear(struct authorize *a)
{
    for (struct map_iter i = map_iter(&a->cut_requests); map_next(&i);) {
        struct cut_request *r = i.value;
        map_remove(&a->cut_requests, i.key);
        cut_request_free(r);
    }
}

void cut_check(struct authorize *a, struct connection *c)
{
    for (struct map_iter i = map_iter(&a->cut_requests);
         c->phase == CONNECTION_LIVE && map_next(&i);) {
        const struct cut_request *r = i.value;
        if (c->since_ms <= r->created_ms && is_selected(r, c))
            cut(a, r, c);
    }
}

void cut_fini(struct authorize *a)
{
    cut_clear(a);
    map_fini(&a->cut_requests);
}
