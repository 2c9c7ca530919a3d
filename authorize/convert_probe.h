/*
 * Probes at the borders: ProbeRequest records, Probe and ProbeResult of the Decide stream; protobuf
 * stops here.
 */
#ifndef AUTHORIZE_CONVERT_PROBE_H
#define AUTHORIZE_CONVERT_PROBE_H

#include "authorize/convert_stream.h"
#include "common/base/messages.h"
#include "common/rpc/records.h"

/* --- the record --- */

enum {
    PROBE_STEPS_MAX = 12,
    PROBE_KEYS_MAX = 8,
};

struct probe_request {
    char *id;
    uint64_t version;
    char *kind;
    char *route;
    char *state;
    char *login;
    char *by;
    uint64_t created_ms;
};

struct probe_step {
    const char *name;    /* static, as the next */
    const char *outcome; /* "ok", "failed", "skipped" */
    uint32_t ms;
    char *text;
    char *remedy; /* NULL when there is nothing to do */
};

struct probe_key {
    char *type;
    uint8_t *key;
    size_t key_len;
    char *fingerprint;
    const char *state;
    char *recorded;
};

struct probe_report {
    struct probe_step steps[PROBE_STEPS_MAX];
    size_t step_count;
    struct probe_key keys[PROBE_KEYS_MAX];
    size_t key_count;
};

/* Full type name; fresh memory. */
char *convert_type_probe(void);

/* NULL: deleted or not readable. */
struct probe_request *convert_probe_request(const struct record *r);
void probe_request_free(struct probe_request *r);

struct probe_outcome {
    const char *state; /* "taken", "done" */
    const char *owner;
    const char *worker;
    const char *target;
    const struct probe_report *report; /* done; else NULL */
    bool ok;
};

/* On condition that the record still has r->version. */
void convert_put_probe(const struct records *to, const struct probe_request *r,
                       const struct probe_outcome *o, record_put_fn done, void *ctx);

/* --- the stream --- */

struct stream_probe {
    const char *id;
    enum stream_probe_kind kind;
    const char *address;
    const char *const *host_key_types;
    size_t host_key_type_count;
    struct view host_key;
    const char *login;
    struct view private_key;
    const struct view *certificates;
    size_t certificate_count;
};

enum err convert_send_probe(struct rpc_call *call, const struct stream_probe *p);

#endif
