/* postern records, and the lists of sessions, bindings and connections. */
#include <stdio.h>

#include "cli/client.h"
#include "cli/convert.h"
#include "cli/table.h"
#include "common/base/mem.h"
#include "proto/postern/records.pb-c.h"
#include "proto/session/session.pb-c.h"

static int list(struct cli *cli, const ProtobufCMessageDescriptor *type,
                const struct column *columns)
{
    int status = cli_parse(cli, NULL, NULL);
    if (status != CLI_OK)
        return status;
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *rows = NULL;
    if (!client || client_list(client, type, NULL, NULL, &rows) != OK)
        return CLI_FAILED;
    table_print(cli, columns, rows);
    return CLI_OK;
}

int command_sessions_list(struct cli *cli)
{
    static const struct column columns[] = {{"ID", "id"},
                                            {"USER", "user_id"},
                                            {"EMAIL", "claims.email"},
                                            {"ISSUED", "issued_at"},
                                            {"EXPIRES", "expires_at"},
                                            {0}};
    return list(cli, &session__session__descriptor, columns);
}

int command_bindings_list(struct cli *cli)
{
    static const struct column columns[] = {{"ID", "id"},
                                            {"PROTOCOL", "protocol"},
                                            {"USER", "user_id"},
                                            {"SESSION", "session_id"},
                                            {"ISSUED", "issued_at"},
                                            {"EXPIRES", "expires_at"},
                                            {0}};
    return list(cli, &session__session_binding__descriptor, columns);
}

int command_connections_list(struct cli *cli)
{
    static const struct column columns[] = {
        {"ID", "id"},       {"PROTOCOL", "protocol"},  {"USER", "email"},
        {"LOGIN", "login"}, {"ROUTE", "route"},        {"FROM", "source_address"},
        {"SINCE", "since"}, {"SESSION", "session_id"}, {0}};
    return list(cli, &postern__connection__descriptor, columns);
}

static int list_types(struct cli *cli)
{
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *types = NULL;
    if (!client || client_types(client, &types) != OK)
        return CLI_FAILED;
    for (size_t i = 0; i < json_len(types); i++)
        printf(cli->json ? "{\"type\":\"%s\"}\n" : "%s\n",
               (const char *)json_str(json_at(types, i)).ptr);
    return CLI_OK;
}

static int unknown_type(const struct cli *cli, const char *name)
{
    (void)cli_usage(cli, "unknown type %s; known are:", name);
    for (size_t i = 0; convert_types[i]; i++)
        (void)fprintf(stderr, "  %s\n", convert_types[i]->name);
    return CLI_USAGE;
}

int command_records_list(struct cli *cli)
{
    const char *name = NULL;
    struct cli_positional words = {&name, 0, 1, 0};
    int status = cli_parse(cli, NULL, &words);
    if (status != CLI_OK)
        return status;
    if (words.count == 0)
        return list_types(cli);
    const ProtobufCMessageDescriptor *type = convert_type_find(name);
    if (!type)
        return unknown_type(cli, name);
    static const struct column columns[] = {
        {"ID", "id"}, {"VERSION", "version"}, {"MODIFIED", "modified_at"}, {0}};
    cli->arg_count = 0;
    return list(cli, type, columns);
}

int command_records_get(struct cli *cli)
{
    const char *args[2];
    struct cli_positional words = {args, 2, 2, 0};
    int status = cli_parse(cli, NULL, &words);
    if (status != CLI_OK)
        return status;
    const ProtobufCMessageDescriptor *type = convert_type_find(args[0]);
    if (!type)
        return unknown_type(cli, args[0]);
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *object = NULL;
    enum err e = client ? client_get(client, type, args[1], &object, NULL) : ERR_UNAVAILABLE;
    if (e == ERR_NOT_FOUND)
        return cli_fail("there is no %s %s", type->name, args[1]);
    if (e != OK)
        return CLI_FAILED;
    table_print_json(object);
    return CLI_OK;
}
