/* postern login, logout, routes list and ssh-config: questions to one gateway. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/login.h"
#include "cli/program.h"
#include "cli/table.h"
#include "cli/token_cache.h"
#include "cli/tunnel/listing.h"
#include "cli/tunnel/reply.h"
#include "cli/tunnel/ssh_words.h"
#include "common/base/mem.h"

struct session {
    struct client_flags flags;
    struct loop loop;
    struct gateway gateway;
    bool open;
};

static void session_fini(struct session *s)
{
    if (!s->open)
        return;
    loop_fini(&s->loop);
    gateway_fini(&s->gateway);
}

/* To the gateway of this URL, or to the last one that was used. */
static int session_open(struct session *s, const char *url)
{
    AUTO_FREE char *last = url ? mem_strdup(url) : token_cache_last();
    AUTO_FREE char *why = NULL;
    struct endpoint at = {0};
    if (!*last) {
        (void)cli_fail("name a gateway: https://HOST[:PORT]");
        return CLI_USAGE;
    }
    if (endpoint_parse(last, &at, &why) != OK) {
        (void)cli_fail("%s", why);
        return CLI_USAGE;
    }
    loop_init(&s->loop);
    s->open = true;
    int status = gateway_init(&s->gateway, &s->loop, &at, &s->flags);
    if (status == CLI_OK)
        token_cache_set_last(s->gateway.url);
    return status;
}

static int begin(struct session *s, struct cli *cli, enum client_command command)
{
    const char *url = NULL;
    struct cli_positional words = {&url, 0, 1, 0};
    int status = client_flags_parse(cli, command, &s->flags, &words);
    return status == CLI_OK ? session_open(s, url) : status;
}

static int refuse(const struct session *s, unsigned status, struct view body)
{
    AUTO_FREE char *said = reply_said(body);
    AUTO_FREE char *why =
        reply_sentence(status, "the list of routes", s->gateway.url, view_str(said));
    (void)cli_fail("%s", why);
    return reply_exit_status(reply_of(status));
}

/* The list as JSON, after a sign-in when there has to be one. */
static int fetch_routes(struct session *s, struct json **out)
{
    static const struct ask_spec ask = {
        .method = "GET", .path = "/.pomerium/api/v1/routes", .with_token = true};
    for (bool again = false;; again = true) {
        AUTO(buf_fini) struct buf body;
        buf_init(&body, ASK_BODY_MAX);
        unsigned status = 0;
        if (ask_now(&s->gateway, &ask, &status, &body) != OK)
            return EXIT_UNREACHABLE;
        if (status == 200)
            return json_parse(buf_view(&body), out) == OK
                       ? CLI_OK
                       : cli_fail("%s sent no list of routes", s->gateway.url);
        if (reply_of(status) != REPLY_LOGIN || again)
            return refuse(s, status, buf_view(&body));
        AUTO_FREE char *token = mem_strdup(s->gateway.token);
        token_cache_remove(&s->gateway.at, token);
        bool ok = login_now(&s->gateway, token);
        mem_wipe(token, strlen(token));
        if (!ok)
            return EXIT_LOGIN;
    }
}

int command_routes_list(struct cli *cli)
{
    AUTO(session_fini) struct session s = {0};
    AUTO(json_free_ptr) struct json *answer = NULL;
    int status = begin(&s, cli, CLIENT_ROUTES);
    if (status == CLI_OK)
        status = fetch_routes(&s, &answer);
    if (status != CLI_OK)
        return status;
    const struct json *routes = json_get(answer, "routes");
    for (size_t i = 0; cli->json && i < json_len(routes); i++)
        table_print_json(json_at(routes, i));
    if (cli->json)
        return CLI_OK;
    AUTO(buf_fini) struct buf text;
    buf_init(&text, LISTING_MAX);
    if (listing_text(answer, &text) != OK)
        return cli_fail("the list is too long");
    (void)fwrite(buf_ptr(&text), 1, text.len, stdout);
    return CLI_OK;
}

/* Who is used as LOGIN on targets. */
static const char *login_name(const struct client_flags *flags)
{
    const struct passwd *user = getpwuid(geteuid());
    return flags->login ? flags->login : user ? user->pw_name : "root";
}

int command_ssh_config(struct cli *cli)
{
    AUTO(session_fini) struct session s = {0};
    AUTO(json_free_ptr) struct json *answer = NULL;
    int status = begin(&s, cli, CLIENT_SSH_CONFIG);
    if (status == CLI_OK)
        status = fetch_routes(&s, &answer);
    if (status != CLI_OK)
        return status;
    AUTO_FREE char *path = program_path();
    AUTO(buf_fini) struct buf program, text;
    buf_init(&program, LISTING_MAX);
    buf_init(&text, LISTING_MAX);
    IGNORE(ssh_words_quote(path, &program), "a path is short");
    AUTO_FREE char *quoted = buf_to_str(&program);
    AUTO(buf_fini) struct buf flags;
    buf_init(&flags, LISTING_MAX);
    if (client_flags_quote(CLIENT_SSH, cli->arg_count, cli->args, &flags) != OK)
        return cli_fail("the flags are too long");
    AUTO_FREE char *more = buf_to_str(&flags);
    const struct listing_ssh how = {quoted, more, s.gateway.url, login_name(&s.flags)};
    if (listing_ssh_config(answer, &how, &text) != OK)
        return cli_fail("the list is too long");
    (void)fwrite(buf_ptr(&text), 1, text.len, stdout);
    return CLI_OK;
}

int command_login(struct cli *cli)
{
    AUTO(session_fini) struct session s = {0};
    int status = begin(&s, cli, CLIENT_LOGIN);
    if (status != CLI_OK)
        return status;
    if (!login_now(&s.gateway, NULL))
        return EXIT_LOGIN;
    printf("signed in to %s\n", s.gateway.url);
    return CLI_OK;
}

/* At the gateway first: a token that could not be ended there is kept for another try. */
static int sign_out(struct session *s)
{
    static const struct ask_spec ask = {
        .method = "POST", .path = "/.pomerium/api/v1/logout", .with_token = true};
    unsigned status = 0;
    if (!*s->gateway.token) {
        token_cache_remove(&s->gateway.at, NULL);
        printf("not signed in to %s\n", s->gateway.url);
        return CLI_OK;
    }
    if (ask_now(&s->gateway, &ask, &status, NULL) != OK)
        return EXIT_UNREACHABLE;
    if (status != 200 && status != 401)
        return cli_fail("%s answered with HTTP status %u; the token is kept", s->gateway.url,
                        status);
    token_cache_remove(&s->gateway.at, NULL);
    printf("signed out of %s\n", s->gateway.url);
    return CLI_OK;
}

struct urls {
    char **items;
    size_t count;
};

static void add_url(void *ctx, const char *url)
{
    struct urls *u = ctx;
    u->items = mem_realloc((void *)u->items, (u->count + 1) * sizeof *u->items);
    u->items[u->count++] = mem_strdup(url);
}

static int sign_out_of(const struct client_flags *flags, const char *url)
{
    AUTO(session_fini) struct session s = {.flags = *flags};
    int status = session_open(&s, url);
    return status == CLI_OK ? sign_out(&s) : status;
}

int command_logout(struct cli *cli)
{
    struct client_flags flags;
    const char *url = NULL;
    struct cli_positional words = {&url, 0, 1, 0};
    int status = client_flags_parse(cli, CLIENT_LOGOUT, &flags, &words);
    if (status != CLI_OK)
        return status;
    if (!flags.all)
        return sign_out_of(&flags, url);
    if (url)
        return cli_usage(cli, "give a URL or --all, not both");
    struct urls urls = {0};
    token_cache_each(add_url, &urls);
    for (size_t i = 0; i < urls.count; i++) {
        int one = sign_out_of(&flags, urls.items[i]);
        status = one == CLI_OK ? status : one;
        mem_free(urls.items[i]);
    }
    mem_free((void *)urls.items);
    return status;
}
