/* postern hostkeys scan. */
#include <stdio.h>
#include <unistd.h>

#include "cli/probe.h"
#include "cli/table.h"
#include "common/base/mem.h"
#include "common/daemon/config_file.h"

static void add_rows(struct json *rows, const struct json *answer)
{
    const struct json *keys = json_get(answer, "keys");
    for (size_t i = 0; i < json_len(keys); i++) {
        struct json *row = json_clone(json_at(keys, i));
        IGNORE(json_set_str(row, "route", json_get_str(answer, "route")), "UTF-8 already");
        IGNORE(json_set_str(row, "target", json_get_str(answer, "target")), "same");
        IGNORE(json_add(rows, row), "an array grows");
    }
}

/* The step that failed, on stderr. */
static void say_failure(const struct json *answer)
{
    const struct json *steps = json_get(answer, "steps");
    for (size_t i = 0; i < json_len(steps); i++) {
        const struct json *s = json_at(steps, i);
        if (view_eq(json_get_str(s, "outcome"), VIEW("failed")))
            (void)cli_fail("%s: %s\n  what to do: %s",
                           (const char *)json_get_str(answer, "route").ptr,
                           (const char *)json_get_str(s, "text").ptr,
                           (const char *)json_get_str(s, "remedy").ptr);
    }
}

static bool scan(struct client *client, const char *route, struct json *rows)
{
    AUTO(json_free_ptr) struct json *answer = NULL;
    const struct probe_ask ask = {"scan", route, ""};
    if (probe_run(client, &ask, &answer) != OK)
        return false;
    add_rows(rows, answer);
    bool ok = view_eq(json_get_str(answer, "result"), VIEW("ok"));
    if (!ok)
        say_failure(answer);
    return ok;
}

/* Of the configuration at hand; authorize has the last word on each. */
static bool scan_all(const struct cli *cli, struct client *client, struct json *rows)
{
    AUTO(diag_fini) struct diag diag = {0};
    struct config *config = NULL;
    bool ok = true;
    if (config_file_load_shallow(cli->config_file, CONFIG_AUTHORIZE, &diag, &config) != OK) {
        config_file_print(&diag, STDERR_FILENO);
        return false;
    }
    for (size_t i = 0; i < config->routes.count; i++) {
        if (config->routes.items[i].kind == ROUTE_SSH)
            ok = scan(client, config->routes.items[i].name, rows) && ok;
    }
    config_unref(config);
    return ok;
}

/* "host" for port 22, else "[host]:port" (sshd(8)). */
static void print_known_hosts(const struct json *rows)
{
    for (size_t i = 0; i < json_len(rows); i++) {
        const struct json *row = json_at(rows, i);
        struct view target = json_get_str(row, "target");
        struct view type = json_get_str(row, "type");
        struct view key = json_get_str(row, "key");
        ptrdiff_t colon = view_rfind(target, ':');
        struct view host = colon < 0 ? target : view_take(target, (size_t)colon);
        struct view port = colon < 0 ? VIEW("22") : view_skip(target, (size_t)colon + 1);
        if (host.len > 2 && host.ptr[0] == '[')
            host = view_of(host.ptr + 1, host.len - 2);
        if (view_eq(port, VIEW("22")))
            printf("%.*s %.*s %.*s\n", VIEW_FMT(host), VIEW_FMT(type), VIEW_FMT(key));
        else
            printf("[%.*s]:%.*s %.*s %.*s\n", VIEW_FMT(host), VIEW_FMT(port), VIEW_FMT(type),
                   VIEW_FMT(key));
    }
}

int command_hostkeys_scan(struct cli *cli)
{
    static const struct column columns[] = {{"ROUTE", "route"},
                                            {"TARGET", "target"},
                                            {"TYPE", "type"},
                                            {"FINGERPRINT", "fingerprint"},
                                            {"STATE", "state"},
                                            {"ON RECORD", "recorded"},
                                            {0}};
    const char *route = NULL;
    bool all = false, lines = false;
    const struct cli_option options[] = {
        {"--all", NULL, &all, false}, {"--known-hosts", NULL, &lines, false}, {0}};
    struct cli_positional words = {&route, 0, 1, 0};
    int status = cli_parse(cli, options, &words);
    if (status != CLI_OK)
        return status;
    if (all == (route != NULL))
        return cli_usage(cli, "name a route, or --all");
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *rows = json_new_array();
    if (!client)
        return CLI_FAILED;
    bool ok = all ? scan_all(cli, client, rows) : scan(client, route, rows);
    if (lines)
        print_known_hosts(rows);
    else if (ok || json_len(rows))
        table_print(cli, columns, rows);
    return ok ? CLI_OK : CLI_FAILED;
}
