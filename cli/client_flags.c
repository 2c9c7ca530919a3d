#include "cli/client_flags.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tunnel/name_filter.h"
#include "cli/tunnel/ssh_words.h"
#include "common/base/check.h"
#include "common/base/mem.h"

struct flag_row {
    unsigned commands;
    const char *name;
    const char *value; /* "" for a flag without one */
    size_t offset;
    const char *help;
};

enum {
    TCP = CLIENT_TCP,
    UDP = CLIENT_UDP,
    SSH = CLIENT_SSH,
    SSH_CONFIG = CLIENT_SSH_CONFIG,
    LOGOUT = CLIENT_LOGOUT,
    TUNNEL = CLIENT_TUNNEL,
    NETWORK = CLIENT_NETWORK,
};

static const struct flag_row rows[] = {
#define F(commands, name, value, field, help)                                                      \
    {commands, name, value, offsetof(struct client_flags, field), help},
#include "cli/flags.def"
#undef F
};

/* Stands in for the place of a flag in an array of options. */
static struct cli_option option_of(const struct flag_row *row, struct client_flags *flags)
{
    void *place = (char *)flags + row->offset;
    return (struct cli_option){.name = row->name,
                               .value = *row->value ? (const char **)place : NULL,
                               .flag = *row->value ? NULL : (bool *)place};
}

static int check_filter(const struct cli *cli, const char *flag, const char *text)
{
    AUTO_FREE char *why = NULL;
    struct name_filter filter;
    if (!text || name_filter_parse(text, &filter, &why) == OK)
        return CLI_OK;
    return cli_usage(cli, "%s: %s", flag, why);
}

static int check(const struct cli *cli, const struct client_flags *f)
{
    int status = check_filter(cli, "--client-cert-issuer", f->client_cert_issuer);
    if (status == CLI_OK)
        status = check_filter(cli, "--client-cert-subject", f->client_cert_subject);
    if (status != CLI_OK)
        return status;
    if ((f->client_cert_issuer || f->client_cert_subject) && !f->client_cert_from_store)
        return cli_usage(cli, "--client-cert-issuer and --client-cert-subject go with "
                              "--client-cert-from-store");
    if (f->client_cert_from_store)
        return cli_usage(cli, "--client-cert-from-store: there is a certificate store on Windows "
                              "and macOS only; use --client-cert and --client-key");
    if (f->client_key && !f->client_cert)
        return cli_usage(cli, "--client-key goes with --client-cert");
    if (f->service_account && f->service_account_file)
        return cli_usage(cli, "give --service-account or --service-account-file, not both");
    return CLI_OK;
}

int client_flags_parse(struct cli *cli, enum client_command command, struct client_flags *out,
                       struct cli_positional *positional)
{
    struct cli_option options[ARRAY_LEN(rows) + 1] = {0};
    size_t n = 0;
    *out = (struct client_flags){0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].commands & command)
            options[n++] = option_of(&rows[i], out);
    }
    int status = cli_parse(cli, options, positional);
    return status == CLI_OK ? check(cli, out) : status;
}

static const struct flag_row *find(enum client_command command, struct view name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if ((rows[i].commands & (unsigned)command) && view_eq_str(name, rows[i].name))
            return &rows[i];
    }
    return NULL;
}

int client_flags_prefix(enum client_command command, int count, char *const *words)
{
    int i = 0;
    for (; i < count && strncmp(words[i], "--", 2) == 0 && words[i][2]; i++) {
        struct view word = view_str(words[i]);
        ptrdiff_t equals = view_find(word, '=');
        const struct flag_row *row =
            find(command, equals < 0 ? word : view_take(word, (size_t)equals));
        if (!row || (equals >= 0 && !*row->value))
            return -1;
        if (*row->value && equals < 0 && ++i == count)
            return -1;
    }
    return i;
}

/* A shell somewhere else finds the file too. */
static char *whole_path(const char *value)
{
    char path[PATH_MAX];
    return mem_strdup(realpath(value, path) ? path : value);
}

static enum err quote_value(const struct flag_row *row, const char *value, struct buf *out)
{
    bool is_file = strcmp(row->value, "FILE") == 0 || strcmp(row->value, "PEM") == 0;
    AUTO_FREE char *text = is_file ? whole_path(value) : mem_strdup(value);
    TRY(buf_append_u8(out, ' '));
    return ssh_words_quote(text, out);
}

enum err client_flags_quote(enum client_command command, int count, char *const *words,
                            struct buf *out)
{
    for (int i = 0; i < count; i++) {
        struct view word = view_str(words[i]);
        ptrdiff_t equals = view_find(word, '=');
        struct view name = equals < 0 ? word : view_take(word, (size_t)equals);
        const struct flag_row *row = find(CLIENT_NETWORK, name);
        if (!row)
            continue;
        const char *value = !*row->value ? NULL : equals >= 0 ? words[i] + equals + 1 : words[++i];
        if (!(row->commands & command))
            continue;
        TRY(buf_append_u8(out, ' '));
        TRY(buf_append_str(out, row->name));
        if (value)
            TRY(quote_value(row, value, out));
    }
    return OK;
}

unsigned client_flags_of(const char *command_name)
{
    static const struct {
        const char *name;
        enum client_command command;
    } names[] = {
        {"tcp", CLIENT_TCP},
        {"udp", CLIENT_UDP},
        {"ssh", CLIENT_SSH},
        {"ssh-config", CLIENT_SSH_CONFIG},
        {"routes list", CLIENT_ROUTES},
        {"login", CLIENT_LOGIN},
        {"logout", CLIENT_LOGOUT},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i].name, command_name) == 0)
            return names[i].command;
    }
    return 0;
}

void client_flags_print(unsigned of, FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].commands & of)
            (void)fprintf(out, "  %s%s%s\n        %s\n", rows[i].name, *rows[i].value ? " " : "",
                          rows[i].value, rows[i].help);
    }
}

void client_flags_print_usage(unsigned of, FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].commands & of)
            (void)fprintf(out, " [%s%s%s]", rows[i].name, *rows[i].value ? " " : "", rows[i].value);
    }
}
