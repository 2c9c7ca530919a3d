/* The flags of tcp, udp, ssh, routes list, login and the like (flags.def), parsed and checked. */
#ifndef CLI_CLIENT_FLAGS_H
#define CLI_CLIENT_FLAGS_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/command.h"
#include "common/base/buf.h"
#include "common/base/err.h"

enum client_command {
    CLIENT_TCP = 1,
    CLIENT_UDP = 2,
    CLIENT_SSH = 4,
    CLIENT_SSH_CONFIG = 8,
    CLIENT_ROUTES = 16,
    CLIENT_LOGIN = 32,
    CLIENT_LOGOUT = 64,
    CLIENT_TUNNEL = CLIENT_TCP | CLIENT_UDP,
    CLIENT_NETWORK = 127,
};

/* Values are words of the command line or NULL. */
struct client_flags {
    const char *listen;
    const char *pomerium_url;
    const char *browser_cmd;
    const char *service_account;
    const char *service_account_file;
    const char *alternate_ca_path;
    const char *ca_cert;
    const char *client_cert;
    const char *client_key;
    const char *client_cert_issuer;
    const char *client_cert_subject;
    const char *login;
    bool headless;
    bool disable_tls_verification;
    bool client_cert_from_store;
    bool no_reconnect;
    bool http1;
    bool all;
};

/*
 * Reads the words behind the command. CLI_OK, or CLI_USAGE after saying what is wrong: also filters
 * that are malformed, and --client-cert-from-store, which this system has nothing for.
 */
int client_flags_parse(struct cli *cli, enum client_command command, struct client_flags *out,
                       struct cli_positional *positional);

/*
 * How many of `words` are flags of `command` with their values, before the first other word. -1 for
 * a flag that is not known or has no value.
 */
int client_flags_prefix(enum client_command command, int count, char *const *words);

/*
 * Appends those of the words that are flags of `command`, each with its value, in quotes for a
 * shell and with a blank in front; files by their whole path. Words that are no such flags are left
 * out. ERR_LIMIT.
 */
enum err client_flags_quote(enum client_command command, int count, char *const *words,
                            struct buf *out);

/* 0 when the command of that name has none. */
unsigned client_flags_of(const char *command_name);

/* One line for each flag, or " [--flag VALUE]" for each. */
void client_flags_print(unsigned of, FILE *out);
void client_flags_print_usage(unsigned of, FILE *out);

#endif
