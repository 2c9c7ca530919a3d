/* postern health: what a daemon's own health endpoint says. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/health.h"
#include "cli/table.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/config_file.h"
#include "common/io/fetch.h"

enum { HEALTH_TIMEOUT_MS = 3000, HEALTH_TEXT_MAX = 4096 };

static const enum config_service daemons[] = {CONFIG_AUTHENTICATE, CONFIG_AUTHORIZE, CONFIG_PROXY,
                                              CONFIG_DATABROKER};

char *health_url(const char *address)
{
    struct view v = view_str(address);
    ptrdiff_t colon = view_rfind(v, ':');
    struct view host = colon < 0 ? v : view_take(v, (size_t)colon);
    const char *port = colon < 0 ? "" : address + colon;
    if (host.len == 0 || view_eq(host, VIEW("0.0.0.0")) || view_eq(host, VIEW("[::]")))
        return mem_printf("http://127.0.0.1%s/status", port);
    return mem_printf("http://%s/status", address);
}

bool health_judge(const struct json *checks, struct buf *out_why)
{
    bool healthy = json_len(checks) > 0;
    for (struct json_iter i = json_iter(checks); json_next(&i);) {
        struct view state = json_get_str(i.value, "status");
        struct view error = json_get_str(i.value, "error");
        bool required = json_get_bool(i.value, "required", false);
        bool good = error.len == 0 && (!required || view_eq(state, VIEW("running")));
        if (good)
            continue;
        healthy = healthy && !required;
        IGNORE(buf_printf(out_why, "%s%.*s: %.*s%s%.*s", out_why->len ? "; " : "", VIEW_FMT(i.name),
                          VIEW_FMT(state), error.len ? ", " : "", VIEW_FMT(error)),
               "cut");
    }
    return healthy;
}

struct view health_service(const struct json *checks)
{
    struct view end = VIEW(".service");
    for (struct json_iter i = json_iter(checks); json_next(&i);) {
        if (view_ends_with(i.name, end))
            return view_take(i.name, i.name.len - end.len);
    }
    return (struct view){0};
}

struct question {
    struct loop *loop;
    const char *url;
    struct json *checks; /* NULL: no answer */
    char *why;
};

static void on_status(void *ctx, const struct fetch_result *result)
{
    struct question *q = ctx;
    if (result->err != OK)
        q->why = mem_printf("no answer at %s: %s", q->url,
                            *result->why ? result->why : err_text(result->err));
    else if (result->status != 200 || json_parse(result->body, &q->checks) != OK)
        q->why = mem_printf("what answers at %s is no health endpoint of Postern", q->url);
    loop_stop(q->loop);
}

static void ask(struct question *q)
{
    struct loop loop;
    loop_init(&loop);
    struct fetcher *fetcher = fetcher_new(&loop);
    const struct fetch_request request = {
        .method = "GET", .url = q->url, .timeout_ms = HEALTH_TIMEOUT_MS};
    q->loop = &loop;
    (void)fetch_start(fetcher, &request, on_status, q);
    loop_run(&loop);
    fetcher_free(fetcher);
    loop_fini(&loop);
}

static void print(const struct cli *cli, struct view service, bool healthy, struct view why)
{
    if (!cli->json) {
        printf("%-13.*s %s%s%.*s\n", VIEW_FMT(service), healthy ? "ok" : "not ready",
               why.len ? ": " : "", VIEW_FMT(why));
        return;
    }
    AUTO(json_free_ptr) struct json *row = json_new_object();
    IGNORE(json_set_str(row, "service", service), "ASCII");
    IGNORE(json_set_bool(row, "healthy", healthy), "a fresh name");
    IGNORE(json_set_str(row, "problem", why), "left out if no UTF-8");
    table_print_json(row);
}

/* `named`: the caller wants this service, not whichever has the address. */
static bool check(const struct cli *cli, const char *service, const char *url, bool named)
{
    struct question q = {.url = url};
    AUTO(buf_fini) struct buf why;
    buf_init(&why, HEALTH_TEXT_MAX);
    ask(&q);
    struct view found = health_service(q.checks);
    bool healthy = health_judge(q.checks, &why);
    if (q.why)
        IGNORE(buf_append_str(&why, q.why), "cut");
    if (named && found.len && !view_eq_str(found, service)) {
        healthy = false;
        IGNORE(buf_printf(&why, "%.*s answers at %s", VIEW_FMT(found), url), "cut");
    }
    print(cli, named || !found.len ? view_str(service) : found, healthy, buf_view(&why));
    json_free(q.checks);
    mem_free(q.why);
    return healthy;
}

/* NULL after saying why not. */
static char *url_of(const struct cli *cli, enum config_service service)
{
    AUTO(diag_fini) struct diag diag = {0};
    struct config *config = NULL;
    if (config_file_load_shallow(cli->config_file, service, &diag, &config) != OK) {
        config_file_print(&diag, STDERR_FILENO);
        return NULL;
    }
    char *url = health_url(config->health_check_addr);
    config_unref(config);
    return url;
}

/* Where one file serves several hosts they share an address: here only one of them has it. */
static bool was_asked(char *const *urls, size_t count, const char *url)
{
    for (size_t i = 0; i < count; i++) {
        if (urls[i] && strcmp(urls[i], url) == 0)
            return true;
    }
    return false;
}

int command_health_check(struct cli *cli)
{
    const char *only = NULL;
    const struct cli_option options[] = {{"--service", &only, NULL, false}, {0}};
    int status = cli_parse(cli, options, NULL);
    if (status != CLI_OK)
        return status;
    char *urls[ARRAY_LEN(daemons)] = {0};
    bool healthy = true, known = !only;
    for (size_t i = 0; i < ARRAY_LEN(daemons); i++) {
        const char *name = config_service_name(daemons[i]);
        if (only && strcmp(only, name) != 0)
            continue;
        known = true;
        urls[i] = url_of(cli, daemons[i]);
        if (!urls[i])
            healthy = false;
        else if (!was_asked(urls, i, urls[i]))
            healthy = check(cli, name, urls[i], only != NULL) && healthy;
    }
    for (size_t i = 0; i < ARRAY_LEN(daemons); i++)
        mem_free(urls[i]);
    if (!known)
        return cli_usage(cli, "there is no service %s", only);
    return healthy ? CLI_OK : CLI_FAILED;
}
