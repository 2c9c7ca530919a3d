/*
 * The postern command: a table of commands, their options, and what they share. A command returns
 * the exit status: 0 done, 1 it failed (said on stderr), 2 the words on the command line are off;
 * the commands of clients have some more (cli/tunnel/reply.h).
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli {
    const char *config_file; /* --config, POSTERN_CONFIG, /etc/postern/postern.yaml */
    const char *admin_file;  /* --admin, POSTERN_ADMIN; NULL */
    bool json;
    const struct command *command; /* the row that runs */
    char **args;                   /* what stands behind the command's words */
    int arg_count;
};

struct command {
    const char *name;  /* "keygen services" */
    const char *usage; /* "--out DIR" */
    const char *help;  /* one line */
    int (*run)(struct cli *cli);
};

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* All rows; the last has no name. */
extern const struct command commands[];

/* An option of a command: takes a value, or is a flag when `flag` is set. */
struct cli_option {
    const char *name; /* "--out" */
    const char **value;
    bool *flag;
    bool required;
};

/*
 * Reads the options (the last row has no name) and leaves the other words in `positional`, whose
 * count has to be from min to max. CLI_OK, or CLI_USAGE after saying what was wrong.
 */
struct cli_positional {
    const char **words;
    int min;
    int max;
    int count; /* out */
};
int cli_parse(struct cli *cli, const struct cli_option *options, struct cli_positional *positional);

/* "postern: " and the sentence on stderr; gives CLI_FAILED or CLI_USAGE. */
[[gnu::format(printf, 1, 2)]] int cli_fail(const char *format, ...);
[[gnu::format(printf, 2, 3)]] int cli_usage(const struct cli *cli, const char *format, ...);

/* Finds the row and runs it. */
int cli_main(int argc, char **argv);

int command_keygen_secrets(struct cli *cli);
int command_keygen_services(struct cli *cli);
int command_keygen_admin(struct cli *cli);
int command_keygen_user_ca(struct cli *cli);
int command_keygen_host_keys(struct cli *cli);
int command_keygen_tls(struct cli *cli);
int command_password_hash(struct cli *cli);
int command_ca_show(struct cli *cli);
int command_config_check(struct cli *cli);
int command_config_status(struct cli *cli);
int command_completion_bash(struct cli *cli);
int command_health_check(struct cli *cli);
int command_records_list(struct cli *cli);
int command_records_get(struct cli *cli);
int command_sessions_list(struct cli *cli);
int command_sessions_revoke(struct cli *cli);
int command_bindings_list(struct cli *cli);
int command_bindings_revoke(struct cli *cli);
int command_connections_list(struct cli *cli);
int command_connections_cut(struct cli *cli);
int command_hostkeys_list(struct cli *cli);
int command_hostkeys_accept(struct cli *cli);
int command_hostkeys_scan(struct cli *cli);
int command_doctor(struct cli *cli);
int command_tcp(struct cli *cli);
int command_udp(struct cli *cli);
int command_ssh(struct cli *cli);
int command_ssh_config(struct cli *cli);
int command_routes_list(struct cli *cli);
int command_login(struct cli *cli);
int command_logout(struct cli *cli);
int command_service_account_create(struct cli *cli);
int command_service_account_list(struct cli *cli);
int command_service_account_revoke(struct cli *cli);

#endif
