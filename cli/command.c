#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client_flags.h"
#include "common/base/check.h"
#include "common/base/view.h"
#include "common/daemon/daemon.h"

static int version(struct cli *cli)
{
    (void)cli;
    printf("postern %s\n", daemon_version());
    return CLI_OK;
}

const struct command commands[] = {
    {"tcp", "DEST [FLAGS]", "listen here and carry each connection through the gateway",
     command_tcp},
    {"udp", "DEST [FLAGS]", "listen here and carry each sender's packets through the gateway",
     command_udp},
    {"ssh", "[FLAGS] [SSH-OPTIONS] [USER@]HOST [COMMAND...]",
     "run ssh through a TCP tunnel of the gateway", command_ssh},
    {"ssh-config", "[FLAGS] [URL]", "print an ssh_config for the routes that you may reach",
     command_ssh_config},
    {"routes list", "[FLAGS] [URL]", "list the routes that you may reach", command_routes_list},
    {"login", "[FLAGS] [URL]", "sign in to a gateway", command_login},
    {"logout", "[FLAGS] [URL]", "end the session at a gateway and forget its token",
     command_logout},
    {"service-account create", "USER [--expires TIME] [--description TEXT]",
     "make a token for a program that acts as USER; it is printed once",
     command_service_account_create},
    {"service-account list", "", "list the service accounts", command_service_account_list},
    {"service-account revoke", "ID...", "end service accounts and their connections",
     command_service_account_revoke},
    {"keygen secrets", "--out DIR", "make shared_secret and cookie_secret", command_keygen_secrets},
    {"keygen services", "--out DIR", "make the service CA and a certificate for each service",
     command_keygen_services},
    {"keygen admin", "NAME [--days N] [--services DIR] --out FILE.pem",
     "make an administrator's certificate, signed by DIR/ca.key", command_keygen_admin},
    {"keygen user-ca", "[--type ed25519|ecdsa|rsa] --out FILE", "make the SSH user CA key",
     command_keygen_user_ca},
    {"keygen host-keys", "--out DIR", "make the gateway's SSH host keys", command_keygen_host_keys},
    {"keygen tls", "HOST... --out DIR", "make a self-signed TLS certificate", command_keygen_tls},
    {"password", "< FILE", "hash a password for idp_local_users", command_password_hash},
    {"ca show", "", "print the SSH user CA's public key, for TrustedUserCAKeys", command_ca_show},
    {"config check", "", "check the configuration for all services", command_config_check},
    {"config status", "", "compare what every running daemon has with the configuration file",
     command_config_status},
    {"health", "[--service NAME]", "ask the daemons on this host how they are",
     command_health_check},
    {"sessions list", "", "list the sessions", command_sessions_list},
    {"sessions revoke", "ID...", "end sessions and what depends on them", command_sessions_revoke},
    {"bindings list", "", "list the keys that are bound to people", command_bindings_list},
    {"bindings revoke", "ID...", "unbind keys: their next login asks for a sign-in",
     command_bindings_revoke},
    {"connections list", "", "list the live connections", command_connections_list},
    {"connections cut", "ID | --user USER | --session ID | --route ROUTE [--reason TEXT]",
     "end live connections; the sessions stay", command_connections_cut},
    {"hostkeys list", "", "list the targets' host keys on record", command_hostkeys_list},
    {"hostkeys accept", "ROUTE", "accept the host key that a target shows now",
     command_hostkeys_accept},
    {"hostkeys scan", "ROUTE | --all [--known-hosts]",
     "show a target's host keys next to what is on record", command_hostkeys_scan},
    {"doctor", "ROUTE [--login NAME]", "try a route's target step by step, and say what to do",
     command_doctor},
    {"records list", "[TYPE]", "list records, or the types of records", command_records_list},
    {"records get", "TYPE ID", "show one record", command_records_get},
    {"completion bash", "", "print a script that completes this command's words in bash",
     command_completion_bash},
    {"version", "", "print the version", version},
    {NULL, NULL, NULL, NULL},
};

int cli_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("postern: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return CLI_FAILED;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "postern %s: ", cli->command->name);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nusage: postern %s%s%s\n", cli->command->name,
                  *cli->command->usage ? " " : "", cli->command->usage);
    va_end(args);
    return CLI_USAGE;
}

/* What stands behind the "=" of --name=value; NULL when there is none. */
static const char *inline_value(const char *word)
{
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    return equals ? equals + 1 : NULL;
}

static const struct cli_option *find_option(const struct cli_option *options, const char *word)
{
    const char *value = inline_value(word);
    struct view name = value ? view_of(word, (size_t)(value - word - 1)) : view_str(word);
    for (; options && options->name; options++) {
        if (view_eq_str(name, options->name))
            return options;
    }
    return NULL;
}

static int take_option(struct cli *cli, const struct cli_option *option, int *i)
{
    const char *value = inline_value(cli->args[*i]);
    if (option->flag && value)
        return cli_usage(cli, "%s takes no value", option->name);
    if (option->flag) {
        *option->flag = true;
        return CLI_OK;
    }
    if (!value && ++*i >= cli->arg_count)
        return cli_usage(cli, "%s needs a value", option->name);
    *option->value = value ? value : cli->args[*i];
    return CLI_OK;
}

enum global { GLOBAL_NONE, GLOBAL_TAKEN, GLOBAL_LACKS_VALUE };

/* The options of every command, which may stand before and behind its words. */
static enum global take_global(struct cli *cli, int count, char **args, int *i)
{
    const char *name = args[*i];
    if (strcmp(name, "--json") == 0) {
        cli->json = true;
        return GLOBAL_TAKEN;
    }
    bool is_config = strcmp(name, "--config") == 0;
    if (!is_config && strcmp(name, "--admin") != 0)
        return GLOBAL_NONE;
    if (++*i >= count)
        return GLOBAL_LACKS_VALUE;
    if (is_config)
        cli->config_file = args[*i];
    else
        cli->admin_file = args[*i];
    return GLOBAL_TAKEN;
}

int cli_parse(struct cli *cli, const struct cli_option *options, struct cli_positional *positional)
{
    int count = 0, max = positional ? positional->max : 0;
    for (int i = 0; i < cli->arg_count; i++) {
        const char *word = cli->args[i];
        const struct cli_option *option = find_option(options, word);
        if (option) {
            int status = take_option(cli, option, &i);
            if (status != CLI_OK)
                return status;
        } else if (word[0] == '-' && word[1]) {
            enum global global = take_global(cli, cli->arg_count, cli->args, &i);
            if (global == GLOBAL_LACKS_VALUE)
                return cli_usage(cli, "%s needs a value", word);
            if (global == GLOBAL_NONE)
                return cli_usage(cli, "unknown option %s", word);
        } else if (count == max) {
            return cli_usage(cli, "unexpected word %s", word);
        } else {
            positional->words[count++] = word;
        }
    }
    for (; options && options->name; options++) {
        if (options->required && !*options->value)
            return cli_usage(cli, "%s is missing", options->name);
    }
    if (positional && count < positional->min)
        return cli_usage(cli, "a word is missing");
    if (positional)
        positional->count = count;
    return CLI_OK;
}

static void print_help(FILE *out)
{
    (void)fputs("usage: postern [--config FILE] [--admin FILE.pem] [--json] COMMAND\n\n", out);
    for (const struct command *c = commands; c->name; c++) {
        (void)fprintf(out, "  %s%s%s\n        %s\n", c->name, *c->usage ? " " : "", c->usage,
                      c->help);
    }
    (void)fputs("\n--config FILE    default: POSTERN_CONFIG, else /etc/postern/postern.yaml\n"
                "--admin FILE     an administrator's certificate; default: POSTERN_ADMIN\n"
                "--json           one JSON object per line\n",
                out);
}

/* How many words of `args` the row's name takes; 0 when it is not that command. */
static int match(const struct command *c, int count, char **args)
{
    struct view rest = view_str(c->name), word;
    int n = 0;
    while (view_next(&rest, ' ', &word)) {
        if (n == count || !view_eq_str(word, args[n]))
            return 0;
        n++;
    }
    return n;
}

static const char *from_env(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* The options before the command; gives the index of the first other word, or -1. */
static int global_options(struct cli *cli, int argc, char **argv)
{
    int i = 1;
    for (; i < argc; i++) {
        const char *name = argv[i];
        enum global global = take_global(cli, argc, argv, &i);
        if (global == GLOBAL_NONE)
            break;
        if (global == GLOBAL_LACKS_VALUE) {
            (void)cli_fail("%s needs a value", name);
            return -1;
        }
    }
    return i;
}

static bool is_version(const char *word)
{
    return strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0;
}

/*
 * Is one of the command's words such a question? postern ssh hands its words on: what stands behind
 * the first that is no flag of ours is ssh's.
 */
static bool asks(const struct cli *cli, bool (*question)(const char *word))
{
    bool is_ssh = cli->command->run == command_ssh;
    for (int i = 0; i < cli->arg_count; i++) {
        if (question(cli->args[i]))
            return !is_ssh || strncmp(cli->args[i], "--", 2) == 0;
        if (is_ssh && strncmp(cli->args[i], "--", 2) != 0)
            return false;
    }
    return false;
}

static void print_command_help(const struct command *c)
{
    unsigned flags = client_flags_of(c->name);
    (void)printf("usage: postern %s%s%s\n%s\n", c->name, *c->usage ? " " : "", c->usage, c->help);
    if (!flags)
        return;
    (void)fputs("\nflags:\n", stdout);
    client_flags_print(flags, stdout);
    const char *v = c->run == command_ssh ? "" : "-v, ";
    const char *h = c->run == command_ssh ? "" : "-h, ";
    (void)printf("  %s--help\n        print this\n  %s--version\n        print the version\n", h,
                 v);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {
        .config_file = from_env("POSTERN_CONFIG", "/etc/postern/postern.yaml"),
        .admin_file = from_env("POSTERN_ADMIN", NULL),
    };
    int first = global_options(&cli, argc, argv);
    if (first < 0)
        return CLI_USAGE;
    if (first == argc) {
        print_help(stderr);
        return CLI_USAGE;
    }
    const char *word = argv[first];
    if (is_help(word) || strcmp(word, "help") == 0) {
        print_help(stdout);
        return CLI_OK;
    }
    if (is_version(word))
        return version(&cli);
    for (const struct command *c = commands; c->name; c++) {
        int words = match(c, argc - first, argv + first);
        if (!words)
            continue;
        cli.command = c;
        cli.args = argv + first + words;
        cli.arg_count = argc - first - words;
        if (asks(&cli, is_help)) {
            print_command_help(c);
            return CLI_OK;
        }
        return client_flags_of(c->name) && asks(&cli, is_version) ? version(&cli) : c->run(&cli);
    }
    (void)cli_fail("unknown command: %s (postern --help lists them)", word);
    return CLI_USAGE;
}
