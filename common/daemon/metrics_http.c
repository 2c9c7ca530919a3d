#include "common/daemon/metrics_http.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/fields.h"
#include "common/io/httpd.h"
#include "common/io/listen.h"
#include "common/io/timer.h"

enum { PAGE_MAX = HTTPD_RESPONSE_MAX, CONNECTIONS_MAX = 64 };

struct metrics_http {
    struct metrics_http_spec spec;
    struct httpd *httpd;
    struct timer patience;
    struct httpd_reply *waiting[METRICS_HTTP_WAITING_MAX];
    size_t count;
    bool closing;
    loop_fn on_closed;
    void *ctx;
};

static void reply_text(struct httpd_reply *reply, unsigned status, struct view body)
{
    AUTO(fields_fini) struct fields fields = {0};
    const char *type =
        status == 200 ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8";
    IGNORE(fields_add_str(&fields, "Content-Type", type), "constant");
    IGNORE(fields_add_str(&fields, "Cache-Control", "no-store"), "constant");
    IGNORE(fields_add_str(&fields, "X-Content-Type-Options", "nosniff"), "constant");
    if (status == 405)
        IGNORE(fields_add_str(&fields, "Allow", "GET, HEAD"), "constant");
    httpd_reply_send(reply, status, &fields, body);
}

static void answer_all(struct metrics_http *h)
{
    timer_clear(&h->patience);
    if (!h->count)
        return;
    AUTO_FREE struct metrics_cells *cells = mem_zalloc(sizeof *cells);
    AUTO(buf_fini) struct buf page;
    buf_init(&page, PAGE_MAX);
    struct metrics_page p = {.services = (unsigned)h->spec.service,
                             .service = config_service_name(h->spec.service),
                             .version = h->spec.version};
    p.rows = metrics_rows(&p.count);
    metrics_collect(cells);
    if (h->spec.merge)
        h->spec.merge(h->spec.ctx, cells);
    bool ok = metrics_write(&p, cells, &page) == OK;
    size_t count = h->count;
    h->count = 0;
    for (size_t i = 0; i < count; i++)
        reply_text(h->waiting[i], ok ? 200 : 500, ok ? buf_view(&page) : VIEW("too large\n"));
}

static void on_patience(void *ctx)
{
    answer_all(ctx);
}

void metrics_http_collected(struct metrics_http *h)
{
    if (h)
        answer_all(h);
}

static void on_request(void *ctx, const struct httpd_request *request, struct httpd_reply *reply)
{
    struct metrics_http *h = ctx;
    ptrdiff_t query = view_find(request->target, '?');
    struct view path = query < 0 ? request->target : view_take(request->target, (size_t)query);
    if (!view_eq_str(request->method, "GET") && !view_eq_str(request->method, "HEAD")) {
        reply_text(reply, 405, VIEW("method not allowed\n"));
        return;
    }
    if (!view_eq_str(path, "/metrics")) {
        reply_text(reply, 404, VIEW("not found\n"));
        return;
    }
    if (h->closing || h->count == METRICS_HTTP_WAITING_MAX) {
        reply_text(reply, 503, VIEW("not now\n"));
        return;
    }
    h->waiting[h->count++] = reply;
    if (h->count > 1)
        return;
    timer_after(&h->patience, METRICS_HTTP_WAIT_MS);
    if (h->spec.collect(h->spec.ctx))
        answer_all(h);
}

enum err metrics_http_open(const struct metrics_http_spec *spec, const char *address,
                           struct metrics_http **out, char **out_why)
{
    int fd;
    TRY(listen_bind(address, &fd, out_why));
    struct metrics_http *h = mem_zalloc(sizeof *h);
    h->spec = *spec;
    timer_init(&h->patience, spec->loop, on_patience, h);
    const struct httpd_spec http = {
        .loop = spec->loop, .on_request = on_request, .ctx = h, .connections_max = CONNECTIONS_MAX};
    h->httpd = httpd_open(&http, fd);
    *out = h;
    return OK;
}

static void on_http_closed(void *ctx)
{
    struct metrics_http *h = ctx;
    loop_fn on_closed = h->on_closed;
    void *closed_ctx = h->ctx;
    mem_free(h);
    on_closed(closed_ctx);
}

void metrics_http_close(struct metrics_http *h, loop_fn on_closed, void *ctx)
{
    if (!h) {
        on_closed(ctx);
        return;
    }
    h->closing = true;
    h->on_closed = on_closed;
    h->ctx = ctx;
    answer_all(h);
    timer_fini(&h->patience);
    httpd_close(h->httpd, 0, on_http_closed, h);
}
