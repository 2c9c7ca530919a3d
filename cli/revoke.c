/* postern sessions revoke, bindings revoke, connections cut. */
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/table.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/rng.h"
#include "proto/google/protobuf/timestamp.pb-c.h"
#include "proto/postern/records.pb-c.h"
#include "proto/session/session.pb-c.h"

enum { WORDS_MAX = 256, CUT_WAIT_MS = 10000, CUT_STEP_MS = 100, CUT_ID_LEN = 16 };

/* The session and the bindings that were made under it, in one write. */
static enum err revoke_session(struct client *client, const char *id)
{
    AUTO(json_free_ptr) struct json *session = NULL, *bindings = NULL;
    TRY(client_get(client, &session__session__descriptor, id, &session, NULL));
    TRY(client_list(client, &session__session_binding__descriptor, "session_id", id, &bindings));
    size_t count = json_len(bindings) + 1;
    struct record_write *writes = mem_zalloc_array(count, sizeof *writes);
    writes[0] = (struct record_write){&session__session__descriptor, id, NULL, RECORDS_ANY};
    for (size_t i = 1; i < count; i++) {
        const char *binding = (const char *)json_get_str(json_at(bindings, i - 1), "id").ptr;
        writes[i] = (struct record_write){&session__session_binding__descriptor, binding, NULL,
                                          RECORDS_ANY};
    }
    enum err e = client_put(client, writes, count);
    mem_free(writes);
    return e;
}

static enum err revoke_binding(struct client *client, const char *id)
{
    AUTO(json_free_ptr) struct json *binding = NULL;
    TRY(client_get(client, &session__session_binding__descriptor, id, &binding, NULL));
    /* What "remember me" stored goes with it, else one click brings the binding back. */
    const struct record_write writes[] = {
        {&session__session_binding__descriptor, id, NULL, RECORDS_ANY},
        {&session__identity_binding__descriptor, id, NULL, RECORDS_ANY},
    };
    return client_put(client, writes, ARRAY_LEN(writes));
}

int revoke_each(struct cli *cli, const char *what,
                enum err (*one)(struct client *client, const char *id))
{
    const char *ids[WORDS_MAX];
    struct cli_positional words = {ids, 1, WORDS_MAX, 0};
    int status = cli_parse(cli, NULL, &words);
    if (status != CLI_OK)
        return status;
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    if (!client)
        return CLI_FAILED;
    for (int i = 0; i < words.count; i++) {
        enum err e = one(client, ids[i]);
        if (e == ERR_NOT_FOUND)
            status = cli_fail("there is no %s %s", what, ids[i]);
        else if (e != OK)
            status = CLI_FAILED;
        else
            printf("revoked %s\n", ids[i]);
    }
    return status;
}

int command_sessions_revoke(struct cli *cli)
{
    return revoke_each(cli, "session", revoke_session);
}

int command_bindings_revoke(struct cli *cli)
{
    return revoke_each(cli, "binding", revoke_binding);
}

struct cut {
    const char *id;
    const char *user;
    const char *session;
    const char *route;
    const char *reason;
};

static bool is(const struct json *connection, const char *path, const char *wanted)
{
    return wanted && view_eq_str(json_get_str(connection, path), wanted);
}

static bool selects(const struct cut *cut, const struct json *connection)
{
    return is(connection, "id", cut->id) || is(connection, "session_id", cut->session) ||
           is(connection, "route", cut->route) || is(connection, "user_id", cut->user) ||
           is(connection, "email", cut->user);
}

/* An array of the selected connections that are live now. */
static enum err selected(struct client *client, const struct cut *cut, struct json **out)
{
    AUTO(json_free_ptr) struct json *all = NULL;
    TRY(client_list(client, &postern__connection__descriptor, NULL, NULL, &all));
    struct json *array = json_new_array();
    for (size_t i = 0; i < json_len(all); i++) {
        if (selects(cut, json_at(all, i)))
            IGNORE(json_add(array, json_clone(json_at(all, i))), "an array grows");
    }
    *out = array;
    return OK;
}

static char *text_or_empty(const char *s)
{
    return s ? (char *)s : (char *)"";
}

static enum err request_cut(struct client *client, const struct cut *cut)
{
    struct rng rng = rng_system();
    uint8_t random[CUT_ID_LEN];
    rng_fill(&rng, random, sizeof random);
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, 2 * sizeof random);
    TRY(text_hex(view_of(random, sizeof random), &hex));
    AUTO_FREE char *id = buf_to_str(&hex);
    Google__Protobuf__Timestamp now = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    uint64_t now_ms = loop_wall_ms();
    now.seconds = (int64_t)(now_ms / 1000);
    now.nanos = (int32_t)(now_ms % 1000) * 1000000;
    Postern__CutRequest request = POSTERN__CUT_REQUEST__INIT;
    request.connection_id = text_or_empty(cut->id);
    request.user = text_or_empty(cut->user);
    request.session_id = text_or_empty(cut->session);
    request.route = text_or_empty(cut->route);
    request.reason = text_or_empty(cut->reason);
    request.by = (char *)client_name(client);
    request.created_at = &now;
    const struct record_write write = {&postern__cut_request__descriptor, id, &request.base,
                                       RECORDS_ABSENT};
    return client_put(client, &write, 1);
}

static int cut_and_wait(struct cli *cli, const struct cut *cut)
{
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *before = NULL, *left = NULL;
    if (!client || selected(client, cut, &before) != OK)
        return CLI_FAILED;
    if (json_len(before) == 0)
        return cli_fail("no live connection is selected");
    if (request_cut(client, cut) != OK)
        return CLI_FAILED;
    for (int waited = 0; waited < CUT_WAIT_MS; waited += CUT_STEP_MS) {
        client_sleep(client, CUT_STEP_MS);
        json_free(left);
        left = NULL;
        if (selected(client, cut, &left) != OK)
            return CLI_FAILED;
        if (json_len(left) == 0) {
            printf("cut %zu connection(s)\n", json_len(before));
            return CLI_OK;
        }
    }
    for (size_t i = 0; i < json_len(left); i++)
        (void)cli_fail("still there: %s", (const char *)json_get_str(json_at(left, i), "id").ptr);
    return CLI_FAILED;
}

int command_connections_cut(struct cli *cli)
{
    struct cut cut = {.reason = ""};
    const struct cli_option options[] = {
        {"--user", &cut.user, NULL, false},
        {"--session", &cut.session, NULL, false},
        {"--route", &cut.route, NULL, false},
        {"--reason", &cut.reason, NULL, false},
        {0},
    };
    struct cli_positional words = {&cut.id, 0, 1, 0};
    int status = cli_parse(cli, options, &words);
    if (status != CLI_OK)
        return status;
    if (!!cut.id + !!cut.user + !!cut.session + !!cut.route != 1)
        return cli_usage(cli, "name exactly one of ID, --user, --session, --route");
    return cut_and_wait(cli, &cut);
}
