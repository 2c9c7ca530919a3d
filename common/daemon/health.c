#include "common/daemon/health.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/json_text.h"
#include "common/http/fields.h"
#include "common/io/httpd.h"
#include "common/io/listen.h"

enum { STATUS_MAX = 1 << 20, ERROR_MAX = 4096, CONNECTIONS_MAX = 64 };

struct attribute {
    char *name;
    char *value;
};

struct check_row {
    char *name;
    enum health_state state;
    bool required;
    char *error; /* "" = none */
    struct attribute *attributes;
    size_t attribute_count;
};

struct health {
    struct check_row *checks;
    size_t count;
    bool started;
    bool terminating;
    struct httpd *httpd;
    uint16_t port;
};

static const char *const states[] = {
    [HEALTH_STARTING] = "starting",
    [HEALTH_RUNNING] = "running",
    [HEALTH_TERMINATING] = "terminating",
    [HEALTH_FAILED] = "failed",
};

struct health *health_new(void)
{
    return mem_zalloc(sizeof(struct health));
}

void health_free(struct health *h)
{
    for (size_t i = 0; h && i < h->count; i++) {
        struct check_row *c = &h->checks[i];
        for (size_t k = 0; k < c->attribute_count; k++) {
            mem_free(c->attributes[k].name);
            mem_free(c->attributes[k].value);
        }
        mem_free(c->attributes);
        mem_free(c->name);
        mem_free(c->error);
    }
    if (h)
        mem_free(h->checks);
    mem_free(h);
}

static struct check_row *get(struct health *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++) {
        if (strcmp(h->checks[i].name, name) == 0)
            return &h->checks[i];
    }
    h->checks = mem_realloc(h->checks, (h->count + 1) * sizeof *h->checks);
    struct check_row *c = &h->checks[h->count++];
    *c = (struct check_row){.name = mem_strdup(name), .error = mem_strdup("")};
    return c;
}

void health_require(struct health *h, const char *check)
{
    struct check_row *c = get(h, check);
    if (c->required)
        return;
    c->required = true;
    h->started = false;
}

void health_set(struct health *h, const char *check, enum health_state state, const char *error)
{
    struct check_row *c = get(h, check);
    c->state = h->terminating && state != HEALTH_FAILED ? HEALTH_TERMINATING : state;
    AUTO_FREE char *text = mem_strndup(error, error ? strnlen(error, ERROR_MAX) : 0);
    mem_set_str(&c->error, text);
    h->started = h->started || health_is_ready(h);
}

void health_attribute(struct health *h, const char *check, const char *name, const char *value)
{
    struct check_row *c = get(h, check);
    for (size_t i = 0; i < c->attribute_count; i++) {
        if (strcmp(c->attributes[i].name, name) == 0) {
            mem_set_str(&c->attributes[i].value, value);
            return;
        }
    }
    c->attributes = mem_realloc(c->attributes, (c->attribute_count + 1) * sizeof *c->attributes);
    c->attributes[c->attribute_count++] = (struct attribute){mem_strdup(name), mem_strdup(value)};
}

void health_terminate(struct health *h)
{
    h->terminating = true;
    for (size_t i = 0; i < h->count; i++) {
        if (h->checks[i].state != HEALTH_FAILED)
            h->checks[i].state = HEALTH_TERMINATING;
    }
}

static bool is_ok(const struct check_row *c)
{
    return c->state == HEALTH_RUNNING && !*c->error;
}

bool health_is_ready(const struct health *h)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h->checks[i].required && !is_ok(&h->checks[i]))
            return false;
    }
    return true;
}

void health_each(const struct health *h, health_each_fn fn, void *ctx)
{
    for (size_t i = 0; i < h->count; i++)
        fn(ctx, h->checks[i].name, is_ok(&h->checks[i]));
}

void health_problem(const struct health *h, struct buf *out)
{
    for (size_t i = 0; i < h->count; i++) {
        const struct check_row *c = &h->checks[i];
        if (*c->error)
            IGNORE(buf_printf(out, "%s: %s", c->name, c->error), "cut");
        else if (c->required && c->state != HEALTH_RUNNING)
            IGNORE(buf_printf(out, "%s: %s", c->name, states[c->state]), "cut");
        else
            continue;
        return;
    }
}

bool health_is_started(const struct health *h)
{
    return h->started;
}

bool health_is_alive(const struct health *h)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h->checks[i].required && h->checks[i].state == HEALTH_FAILED)
            return false;
    }
    return true;
}

/* --- JSON --- */

static enum err write_check(const struct check_row *c, struct buf *out)
{
    TRY(json_text_write(view_str(c->name), out));
    TRY(buf_printf(out, ":{\"status\":\"%s\",\"required\":%s", states[c->state],
                   c->required ? "true" : "false"));
    if (*c->error) {
        TRY(buf_append_str(out, ",\"error\":"));
        TRY(json_text_write(view_str(c->error), out));
    }
    TRY(buf_append_str(out, c->attribute_count ? ",\"attributes\":{" : ""));
    for (size_t i = 0; i < c->attribute_count; i++) {
        TRY(buf_append_str(out, i ? "," : ""));
        TRY(json_text_write(view_str(c->attributes[i].name), out));
        TRY(buf_append_u8(out, ':'));
        TRY(json_text_write(view_str(c->attributes[i].value), out));
    }
    return buf_append_str(out, c->attribute_count ? "}}" : "}");
}

enum err health_write(const struct health *h, struct buf *out)
{
    TRY(buf_append_u8(out, '{'));
    for (size_t i = 0; i < h->count; i++) {
        TRY(buf_append_str(out, i ? ",\n" : "\n"));
        TRY(write_check(&h->checks[i], out));
    }
    return buf_append_str(out, "\n}\n");
}

/* --- HTTP --- */

static void reply_text(struct httpd_reply *reply, unsigned status, const char *type,
                       struct view body)
{
    AUTO(fields_fini) struct fields fields = {0};
    IGNORE(fields_add_str(&fields, "Content-Type", type), "constant");
    IGNORE(fields_add_str(&fields, "Cache-Control", "no-store"), "constant");
    IGNORE(fields_add_str(&fields, "X-Content-Type-Options", "nosniff"), "constant");
    if (status == 405)
        IGNORE(fields_add_str(&fields, "Allow", "GET, HEAD"), "constant");
    httpd_reply_send(reply, status, &fields, body);
}

static void reply_status(const struct health *h, struct httpd_reply *reply)
{
    AUTO(buf_fini) struct buf body;
    buf_init(&body, STATUS_MAX);
    unsigned status = health_write(h, &body) == OK ? 200 : 500;
    reply_text(reply, status, "application/json", buf_view(&body));
}

static void on_request(void *ctx, const struct httpd_request *request, struct httpd_reply *reply)
{
    static const struct {
        const char *path;
        bool (*test)(const struct health *);
    } probes[] = {{"/startupz", health_is_started},
                  {"/readyz", health_is_ready},
                  {"/healthz", health_is_alive}};
    const struct health *h = ctx;
    ptrdiff_t query = view_find(request->target, '?');
    struct view path = query < 0 ? request->target : view_take(request->target, (size_t)query);
    if (!view_eq_str(request->method, "GET") && !view_eq_str(request->method, "HEAD")) {
        reply_text(reply, 405, "text/plain", VIEW("method not allowed\n"));
        return;
    }
    if (view_eq_str(path, "/status")) {
        reply_status(h, reply);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        if (!view_eq_str(path, probes[i].path))
            continue;
        bool ok = probes[i].test(h);
        reply_text(reply, ok ? 200 : 503, "text/plain", ok ? VIEW("OK\n") : VIEW("not OK\n"));
        return;
    }
    reply_text(reply, 404, "text/plain", VIEW("not found\n"));
}

enum err health_open(struct health *h, struct loop *loop, const char *address, char **out_why)
{
    int fd;
    TRY(listen_bind(address, &fd, out_why));
    h->port = listen_address(fd).port;
    const struct httpd_spec spec = {
        .loop = loop, .on_request = on_request, .ctx = h, .connections_max = CONNECTIONS_MAX};
    h->httpd = httpd_open(&spec, fd);
    return OK;
}

void health_close(struct health *h, loop_fn on_closed, void *ctx)
{
    if (h->httpd)
        httpd_close(h->httpd, 0, on_closed, ctx);
    else if (on_closed)
        on_closed(ctx);
    h->httpd = NULL;
}

uint16_t health_port(const struct health *h)
{
    return h->port;
}
