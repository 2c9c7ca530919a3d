/* postern doctor. */
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/probe.h"
#include "cli/table.h"
#include "common/base/mem.h"

enum { NAME_WIDTH = 12, TEXT_WIDTH = 76 };

/* Breaks at blanks, so that a terminal of 100 columns shows it whole. */
static void print_wrapped(const char *lead, struct view text)
{
    printf("%s", lead);
    while (text.len > TEXT_WIDTH) {
        ptrdiff_t at = view_rfind(view_take(text, TEXT_WIDTH), ' ');
        if (at <= 0)
            break;
        printf("%.*s\n%*s", (int)at, (const char *)text.ptr, NAME_WIDTH + 10, "");
        text = view_skip(text, (size_t)at + 1);
    }
    printf("%.*s\n", VIEW_FMT(text));
}

static void print_step(const struct json *step)
{
    struct view name = json_get_str(step, "name");
    struct view outcome = json_get_str(step, "outcome");
    struct view text = json_get_str(step, "text");
    struct view remedy = json_get_str(step, "remedy");
    AUTO_FREE char *lead =
        mem_printf("%-*.*s%-8.*s  ", NAME_WIDTH, VIEW_FMT(name), VIEW_FMT(outcome));
    int64_t ms = 0;
    if (json_get_i64(step, "ms", &ms) != OK)
        ms = 0;
    if (ms == 0) {
        print_wrapped(lead, text);
    } else {
        AUTO_FREE char *timed = mem_printf("%.*s (%lld ms)", VIEW_FMT(text), (long long)ms);
        print_wrapped(lead, view_str(timed));
    }
    AUTO_FREE char *indent = mem_printf("%*s", NAME_WIDTH + 10, "  what to do: ");
    if (remedy.len && !view_eq(outcome, VIEW("skipped")))
        print_wrapped(indent, remedy);
}

/* As ssh does when it is told no name. */
static const char *own_name(void)
{
    const struct passwd *pw = getpwuid(getuid());
    return pw ? pw->pw_name : "root";
}

int command_doctor(struct cli *cli)
{
    const char *route = NULL, *login = NULL;
    const struct cli_option options[] = {{"--login", &login, NULL, false}, {0}};
    struct cli_positional words = {&route, 1, 1, 0};
    int status = cli_parse(cli, options, &words);
    if (status != CLI_OK)
        return status;
    const struct probe_ask ask = {"doctor", route, login ? login : own_name()};
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *answer = NULL;
    if (!client || probe_run(client, &ask, &answer) != OK)
        return CLI_FAILED;
    bool ok = view_eq(json_get_str(answer, "result"), VIEW("ok"));
    if (cli->json) {
        table_print_json(answer);
        return ok ? CLI_OK : CLI_FAILED;
    }
    const struct json *steps = json_get(answer, "steps");
    for (size_t i = 0; i < json_len(steps); i++)
        print_step(json_at(steps, i));
    printf(ok ? "\n%s works for login %s\n" : "\n%s does not work for login %s\n", route,
           ask.login);
    return ok ? CLI_OK : CLI_FAILED;
}
