/* postern service-account: tokens for programs. */
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/table.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/rng.h"
#include "common/daemon/config_file.h"
#include "common/io/loop.h"
#include "common/jose/jws.h"
#include "proto/google/protobuf/timestamp.pb-c.h"
#include "proto/user/user.pb-c.h"

enum { ACCOUNT_ID_BYTES = 16, ACCOUNT_IDS_MAX = 64, TEXT_MAX = 1000, DAY_MS = 86400000 };

struct account {
    const char *user;
    const char *expires; /* NULL: never */
    const char *description;
    char *id;
    uint64_t now_ms;
    uint64_t ends_ms; /* 0: never */
};

/* "30d", or a duration as in the configuration. */
static enum err parse_span(struct view text, uint64_t *out_ms)
{
    uint64_t days;
    if (text.len > 1 && text.ptr[text.len - 1] == 'd') {
        TRY(text_u64(view_take(text, text.len - 1), 36500, &days));
        *out_ms = days * DAY_MS;
    } else {
        TRY(text_duration_ms(text, out_ms));
    }
    return *out_ms >= 1000 ? OK : ERR_RANGE;
}

/* Made here and nowhere else; every other command leaves the secret alone. */
static enum err load_secret(const struct cli *cli, struct secret *out)
{
    AUTO(diag_fini) struct diag diag = {0};
    struct config *config = NULL;
    if (config_file_load(cli->config_file, CONFIG_CLI, &diag, &config) != OK) {
        config_file_print(&diag, 2);
        (void)cli_fail("tokens are signed with the shared_secret that authorize has; where its "
                       "file is elsewhere, name it in SHARED_SECRET_FILE");
        return ERR_CONFIG;
    }
    struct view secret = secret_view(&config->shared_secret);
    if (secret.len)
        secret_set(out, secret);
    config_unref(config);
    if (out->len)
        return OK;
    (void)cli_fail("tokens are signed with shared_secret, which %s does not have",
                   cli->config_file);
    return ERR_CONFIG;
}

static enum err sign(const struct account *a, const struct secret *secret, struct buf *out)
{
    AUTO(json_free_ptr) struct json *claims = json_new_object();
    int64_t now = (int64_t)(a->now_ms / 1000);
    TRY(json_set_str(claims, "jti", view_str(a->id)));
    TRY(json_set_str(claims, "sub", view_str(a->user)));
    TRY(json_set_i64(claims, "iat", now));
    TRY(json_set_i64(claims, "nbf", now));
    if (a->ends_ms)
        TRY(json_set_i64(claims, "exp", (int64_t)(a->ends_ms / 1000)));
    AUTO(buf_fini) struct buf payload;
    buf_init(&payload, JWS_MAX);
    TRY(json_write(claims, JSON_ORDER_INSERTED, &payload));
    return jws_sign_hs256(buf_view(&payload), "JWT", NULL, secret_view(secret), out);
}

static Google__Protobuf__Timestamp timestamp(uint64_t ms)
{
    Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    t.seconds = (int64_t)(ms / 1000);
    return t;
}

static enum err put(struct client *client, const struct account *a)
{
    Google__Protobuf__Timestamp issued = timestamp(a->now_ms), ends = timestamp(a->ends_ms);
    User__ServiceAccount record = USER__SERVICE_ACCOUNT__INIT;
    record.id = a->id;
    record.user_id = (char *)a->user;
    record.issued_at = &issued;
    record.expires_at = a->ends_ms ? &ends : NULL;
    record.description = (char *)a->description;
    const struct record_write write = {&user__service_account__descriptor, a->id, &record.base,
                                       RECORDS_ABSENT};
    return client_put(client, &write, 1);
}

static char *new_id(void)
{
    struct rng rng = rng_system();
    uint8_t bytes[ACCOUNT_ID_BYTES];
    rng_fill(&rng, bytes, sizeof bytes);
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, 2 * sizeof bytes);
    IGNORE(text_hex(view_of(bytes, sizeof bytes), &hex), "it fits");
    return buf_to_str(&hex);
}

/* The record first: a token that is printed is one that works. */
static int create(struct cli *cli, const struct account *a)
{
    AUTO(secret_fini) struct secret secret = {0};
    if (load_secret(cli, &secret) != OK)
        return CLI_FAILED;
    AUTO(buf_wipe) struct buf token;
    buf_init(&token, JWS_MAX);
    enum err e = sign(a, &secret, &token);
    if (e != OK)
        return cli_fail("the token cannot be made: %s", err_text(e));
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    if (!client || put(client, a) != OK)
        return CLI_FAILED;
    if (cli->json) {
        AUTO(json_free_ptr) struct json *row = json_new_object();
        IGNORE(json_set_str(row, "id", view_str(a->id)), "hex");
        IGNORE(json_set_str(row, "user_id", view_str(a->user)), "checked by the token");
        IGNORE(json_set_str(row, "token", buf_view(&token)), "ASCII");
        table_print_json(row);
    } else {
        (void)fprintf(stderr, "service account %s; its token is shown this once:\n", a->id);
        printf("%.*s\n", VIEW_FMT(buf_view(&token)));
    }
    return CLI_OK;
}

int command_service_account_create(struct cli *cli)
{
    struct account a = {.description = "", .now_ms = loop_wall_ms()};
    const struct cli_option options[] = {
        {"--expires", &a.expires, NULL, false},
        {"--description", &a.description, NULL, false},
        {0},
    };
    struct cli_positional words = {&a.user, 1, 1, 0};
    int status = cli_parse(cli, options, &words);
    if (status != CLI_OK)
        return status;
    uint64_t span_ms = 0;
    if (a.expires && parse_span(view_str(a.expires), &span_ms) != OK)
        return cli_usage(cli, "--expires is a time as 30d, 12h or 90m");
    if (!*a.user || strlen(a.user) > TEXT_MAX || strlen(a.description) > TEXT_MAX)
        return cli_usage(cli, "USER or the description is empty or too long");
    a.ends_ms = span_ms ? a.now_ms + span_ms : 0;
    a.id = new_id();
    status = create(cli, &a);
    mem_free(a.id);
    return status;
}

int command_service_account_list(struct cli *cli)
{
    static const struct column columns[] = {{"ID", "id"},
                                            {"USER", "user_id"},
                                            {"ISSUED", "issued_at"},
                                            {"EXPIRES", "expires_at"},
                                            {"DESCRIPTION", "description"},
                                            {0}};
    int status = cli_parse(cli, NULL, NULL);
    if (status != CLI_OK)
        return status;
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *rows = NULL;
    if (!client || client_list(client, &user__service_account__descriptor, NULL, NULL, &rows) != OK)
        return CLI_FAILED;
    table_print(cli, columns, rows);
    return CLI_OK;
}

static enum err revoke_account(struct client *client, const char *id)
{
    AUTO(json_free_ptr) struct json *found = NULL;
    TRY(client_get(client, &user__service_account__descriptor, id, &found, NULL));
    const struct record_write write = {&user__service_account__descriptor, id, NULL, RECORDS_ANY};
    return client_put(client, &write, 1);
}

int command_service_account_revoke(struct cli *cli)
{
    return revoke_each(cli, "service account", revoke_account);
}
