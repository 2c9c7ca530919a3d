/* What postern config status says about each running instance. */
#ifndef CLI_CONFIG_STATUS_H
#define CLI_CONFIG_STATUS_H

#include <stdint.h>

#include "common/base/view.h"
#include "common/json/json.h"

enum {
    CONFIG_STATUS_PENDING_MS = 10 * 1000, /* so long after a change of the file a reload may take */
    CONFIG_STATUS_GONE_MS = 50 * 1000,    /* a record is refreshed every 25 s */
};

enum config_status {
    CONFIG_STATUS_SAME,
    CONFIG_STATUS_PENDING, /* the file has just been changed */
    CONFIG_STATUS_REFUSED, /* it has read the file and kept what it had */
    CONFIG_STATUS_DIFFERS,
    CONFIG_STATUS_GONE,    /* ended without a word; its record expires */
    CONFIG_STATUS_MISSING, /* a service without an instance */
};

const char *config_status_name(enum config_status s);

/*
 * `age_ms`: since the file was changed. `silent_ms`: how much older the record is than the newest
 * one of all.
 */
enum config_status config_status_of(const char *file_hash, struct view hash, struct view problem,
                                    uint64_t age_ms, uint64_t silent_ms);

/* The file at hand, and now: Unix time of this machine. */
struct config_status_file {
    const char *hash;
    uint64_t age_ms;
    uint64_t now_ms;
};

/*
 * From Instance records as convert_record makes them to rows with "state", "up" (since it started)
 * and "seen" (since its record was written), one with MISSING for each service without an instance.
 * True when all is well.
 */
bool config_status_rows(const struct json *records, const struct config_status_file *file,
                        struct json *out_rows);

/* "12s", "59m", "47h", "3d": the largest unit of which there are two, rounded down; fresh memory.
 */
char *config_status_span(uint64_t ms);

#endif
