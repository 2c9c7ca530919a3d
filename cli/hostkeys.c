/* postern hostkeys list, accept. */
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/table.h"
#include "common/base/mem.h"
#include "proto/postern/records.pb-c.h"

enum { ACCEPT_TRIES = 3 };

static struct json *row(const struct json *record, const struct json *key, const char *state)
{
    struct json *object = json_new_object();
    struct view id = json_get_str(record, "id");
    ptrdiff_t space = view_find(id, ' ');
    IGNORE(json_set_str(object, "id", id), "UTF-8 already");
    IGNORE(json_set_str(object, "route", space < 0 ? id : view_take(id, (size_t)space)), "same");
    IGNORE(json_set_str(object, "target", space < 0 ? VIEW("") : view_skip(id, (size_t)space + 1)),
           "same");
    IGNORE(json_set_str(object, "state", view_str(state)), "ASCII");
    static const char *const copied[] = {"type", "fingerprint", "seen_at", "accepted_by", NULL};
    for (size_t i = 0; copied[i]; i++)
        IGNORE(json_set_str(object, copied[i], json_get_str(key, copied[i])), "UTF-8 already");
    return object;
}

static void add_rows(struct json *rows, const struct json *record, const char *state)
{
    const struct json *keys = json_get(record, state);
    for (size_t i = 0; i < json_len(keys); i++)
        IGNORE(json_add(rows, row(record, json_at(keys, i), state)), "an array grows");
}

int command_hostkeys_list(struct cli *cli)
{
    static const struct column columns[] = {{"ROUTE", "route"},
                                            {"TARGET", "target"},
                                            {"STATE", "state"},
                                            {"TYPE", "type"},
                                            {"FINGERPRINT", "fingerprint"},
                                            {"SEEN", "seen_at"},
                                            {"ACCEPTED BY", "accepted_by"},
                                            {0}};
    int status = cli_parse(cli, NULL, NULL);
    if (status != CLI_OK)
        return status;
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *records = NULL;
    if (!client || client_list(client, &postern__host_key__descriptor, NULL, NULL, &records) != OK)
        return CLI_FAILED;
    AUTO(json_free_ptr) struct json *rows = json_new_array();
    for (size_t i = 0; i < json_len(records); i++) {
        add_rows(rows, json_at(records, i), "accepted");
        add_rows(rows, json_at(records, i), "pending");
    }
    table_print(cli, columns, rows);
    return CLI_OK;
}

/* The pending keys take the place of all that were accepted: the target shows no others now. */
static enum err accept_record(struct client *client, const char *id, size_t *out_count)
{
    AUTO(json_free_ptr) struct json *object = NULL;
    ProtobufCMessage *message = NULL;
    TRY(client_get(client, &postern__host_key__descriptor, id, &object, &message));
    if (!message)
        return ERR_DAMAGED;
    const Postern__HostKey *old = (const void *)message;
    Postern__HostKey next = POSTERN__HOST_KEY__INIT;
    next.accepted = old->pending;
    next.n_accepted = old->n_pending;
    Postern__HostKeyRow *rows = mem_zalloc_array(old->n_pending, sizeof *rows);
    Postern__HostKeyRow **places = mem_zalloc_array(old->n_pending, sizeof(void *));
    for (size_t i = 0; i < old->n_pending; i++) {
        rows[i] = *old->pending[i];
        rows[i].accepted_by = (char *)client_name(client);
        places[i] = &rows[i];
        printf("accepted %s %s for %s\n", rows[i].type, rows[i].fingerprint, id);
    }
    next.accepted = places;
    int64_t version = 0;
    enum err e = json_get_i64(object, "version", &version);
    const struct record_write write = {&postern__host_key__descriptor, id, &next.base,
                                       (uint64_t)version};
    if (e == OK && old->n_pending)
        e = client_put(client, &write, 1);
    *out_count = old->n_pending;
    mem_free(places);
    mem_free(rows);
    protobuf_c_message_free_unpacked(message, NULL);
    return e;
}

static bool is_route(struct view id, const char *route)
{
    ptrdiff_t space = view_find(id, ' ');
    return view_eq_str(id, route) ||
           (space >= 0 && view_eq_str(view_take(id, (size_t)space), route));
}

static enum err accept_route(struct client *client, const char *route, size_t *out_count)
{
    AUTO(json_free_ptr) struct json *records = NULL;
    TRY(client_list(client, &postern__host_key__descriptor, NULL, NULL, &records));
    *out_count = 0;
    for (size_t i = 0; i < json_len(records); i++) {
        struct view id = json_get_str(json_at(records, i), "id");
        size_t count = 0;
        if (!is_route(id, route))
            continue;
        /* Another replica may store a pending key at this moment. */
        enum err e = ERR_PRECONDITION;
        for (int try = 0; try < ACCEPT_TRIES && e == ERR_PRECONDITION; try++)
            e = accept_record(client, (const char *)id.ptr, &count);
        TRY(e);
        *out_count += count;
    }
    return OK;
}

int command_hostkeys_accept(struct cli *cli)
{
    const char *route = NULL;
    struct cli_positional words = {&route, 1, 1, 0};
    int status = cli_parse(cli, NULL, &words);
    if (status != CLI_OK)
        return status;
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    size_t count = 0;
    if (!client || accept_route(client, route, &count) != OK)
        return CLI_FAILED;
    if (count == 0)
        return cli_fail("no host key of %s is pending", route);
    return CLI_OK;
}
