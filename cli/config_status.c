/* postern config status. */
#include "cli/config_status.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/table.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/config_file.h"
#include "common/io/loop.h"
#include "proto/postern/records.pb-c.h"

enum { HASH_SHOWN = 12, ID_SHOWN = 12 };

static const char *const services[] = {"authenticate", "authorize", "databroker", "proxy"};

const char *config_status_name(enum config_status s)
{
    static const char *const names[] = {
        [CONFIG_STATUS_SAME] = "same",           [CONFIG_STATUS_PENDING] = "reload pending",
        [CONFIG_STATUS_REFUSED] = "refused",     [CONFIG_STATUS_DIFFERS] = "differs",
        [CONFIG_STATUS_GONE] = "not heard from", [CONFIG_STATUS_MISSING] = "missing",
    };
    return names[s];
}

enum config_status config_status_of(const char *file_hash, struct view hash, struct view problem,
                                    uint64_t age_ms, uint64_t silent_ms)
{
    if (silent_ms >= CONFIG_STATUS_GONE_MS)
        return CONFIG_STATUS_GONE;
    if (view_eq_str(hash, file_hash))
        return CONFIG_STATUS_SAME;
    if (view_starts_with(problem, VIEW("config:")))
        return CONFIG_STATUS_REFUSED;
    return age_ms < CONFIG_STATUS_PENDING_MS ? CONFIG_STATUS_PENDING : CONFIG_STATUS_DIFFERS;
}

/* "2026-01-02T03:04:05.678Z"; milliseconds do not matter here. */
static uint64_t time_ms(struct view text)
{
    struct tm tm = {0};
    if (!text.ptr || !strptime((const char *)text.ptr, "%Y-%m-%dT%H:%M:%S", &tm))
        return 0;
    return (uint64_t)timegm(&tm) * 1000;
}

static uint64_t newest(const struct json *records)
{
    uint64_t max = 0;
    for (size_t i = 0; i < json_len(records); i++) {
        uint64_t at = time_ms(json_get_str(json_at(records, i), "modified_at"));
        max = at > max ? at : max;
    }
    return max;
}

char *config_status_span(uint64_t ms)
{
    static const struct {
        char name;
        uint64_t ms;
    } units[] = {{'d', 86400000}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(units) && ms < 2 * units[i].ms)
        i++;
    return mem_printf("%llu%c", (unsigned long long)(ms / units[i].ms), units[i].name);
}

/* Clocks of other machines may be ahead of ours. */
static void set_span(struct json *row, const char *name, uint64_t from_ms, uint64_t now_ms)
{
    AUTO_FREE char *text = config_status_span(now_ms > from_ms ? now_ms - from_ms : 0);
    IGNORE(json_set_str(row, name, view_str(text)), "ASCII");
}

static struct json *row_of(const struct json *record, enum config_status s, uint64_t now_ms)
{
    struct json *row = json_clone(record);
    struct view hash = json_get_str(record, "config_hash");
    struct view id = json_get_str(record, "id");
    set_span(row, "up", time_ms(json_get_str(record, "started_at")), now_ms);
    set_span(row, "seen", time_ms(json_get_str(record, "modified_at")), now_ms);
    IGNORE(json_set_str(row, "hash", view_take(hash, HASH_SHOWN)), "hex");
    IGNORE(json_set_str(row, "instance", view_take(id, ID_SHOWN)), "hex");
    IGNORE(json_set_str(row, "state", view_str(config_status_name(s))), "ASCII");
    return row;
}

bool config_status_rows(const struct json *records, const struct config_status_file *file,
                        struct json *out_rows)
{
    bool good = true;
    uint64_t last = newest(records);
    for (size_t s = 0; s < ARRAY_LEN(services); s++) {
        bool found = false;
        for (size_t i = 0; i < json_len(records); i++) {
            const struct json *r = json_at(records, i);
            if (!view_eq_str(json_get_str(r, "service"), services[s]))
                continue;
            enum config_status state = config_status_of(
                file->hash, json_get_str(r, "config_hash"), json_get_str(r, "problem"),
                file->age_ms, last - time_ms(json_get_str(r, "modified_at")));
            IGNORE(json_add(out_rows, row_of(r, state, file->now_ms)), "an array grows");
            found = found || state != CONFIG_STATUS_GONE;
            good = good && (state == CONFIG_STATUS_SAME || state == CONFIG_STATUS_GONE);
        }
        if (found)
            continue;
        struct json *row = json_new_object();
        IGNORE(json_set_str(row, "service", view_str(services[s])), "ASCII");
        IGNORE(json_set_str(row, "state", view_str(config_status_name(CONFIG_STATUS_MISSING))),
               "ASCII");
        IGNORE(json_add(out_rows, row), "an array grows");
        good = false;
    }
    return good;
}

static uint64_t age_of(const char *file, uint64_t now_ms)
{
    struct stat st;
    if (stat(file, &st) != 0 || (uint64_t)st.st_ctim.tv_sec * 1000 > now_ms)
        return 0;
    return now_ms - (uint64_t)st.st_ctim.tv_sec * 1000;
}

int command_config_status(struct cli *cli)
{
    static const struct column columns[] = {
        {"SERVICE", "service"}, {"INSTANCE", "instance"}, {"HOST", "host"},
        {"ADDRESS", "address"}, {"BUILD", "build"},       {"UP", "up"},
        {"HASH", "hash"},       {"SEEN", "seen"},         {"LIVE", "connections"},
        {"STATE", "state"},     {"PROBLEM", "problem"},   {0}};
    int status = cli_parse(cli, NULL, NULL);
    if (status != CLI_OK)
        return status;
    AUTO(diag_fini) struct diag diag = {0};
    struct config *config = NULL;
    if (config_file_load_shallow(cli->config_file, CONFIG_CLI, &diag, &config) != OK) {
        config_file_print(&diag, STDERR_FILENO);
        return CLI_FAILED;
    }
    AUTO_FREE char *hash = mem_strdup(config->hash);
    config_unref(config);
    AUTO(client_close_ptr) struct client *client = client_open(cli);
    AUTO(json_free_ptr) struct json *records = NULL;
    if (!client || client_list(client, &postern__instance__descriptor, NULL, NULL, &records) != OK)
        return CLI_FAILED;
    AUTO(json_free_ptr) struct json *rows = json_new_array();
    uint64_t now_ms = loop_wall_ms();
    const struct config_status_file file = {hash, age_of(cli->config_file, now_ms), now_ms};
    bool good = config_status_rows(records, &file, rows);
    table_print(cli, columns, rows);
    if (!cli->json)
        printf("\n%s has hash %.*s\n", cli->config_file, HASH_SHOWN, hash);
    return good ? CLI_OK : CLI_FAILED;
}
