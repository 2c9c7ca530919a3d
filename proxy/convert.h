/*
 * Between the messages of the Decide stream and plain structs: protobuf stops here. The sending
 * functions give what rpc_stream_send gives.
 */
#ifndef PROXY_CONVERT_H
#define PROXY_CONVERT_H

#include "common/rpc/client.h"
#include "proxy/decide.h"
#include "proxy/probe/probe.h"

struct rpc_method_name convert_decide_method(void);

struct convert_hello {
    const char *build;
    const char *instance_id;
    const char *config_hash;
    const char *host;
    uint64_t started_ms; /* Unix */
    uint64_t leaving;    /* workers at the replica that would be left; 0 = there is none */
};
enum err convert_send_hello(struct rpc_stream *s, const struct convert_hello *h);
enum err convert_send_heartbeat(struct rpc_stream *s, const char *config_hash,
                                uint64_t connections);
enum err convert_send_probe_result(struct rpc_stream *s, const struct probe_order *order,
                                   const struct probe_result *result);
enum err convert_send_check(struct rpc_stream *s, const struct decide_link *l);
enum err convert_send_cancel(struct rpc_stream *s, const struct decide_link *l);
enum err convert_send_certify(struct rpc_stream *s, const struct decide_link *l);
enum err convert_send_shell_command(struct rpc_stream *s, const struct decide_link *l);
enum err convert_send_cut_done(struct rpc_stream *s, const char *id);
enum err convert_send_closed(struct rpc_stream *s, const struct decide_link *l, uint64_t bytes_in,
                             uint64_t bytes_out, const char *reason);
/* At most DECIDE_REGISTER_MAX. */
enum err convert_send_register(struct rpc_stream *s, const struct decide_link *const *links,
                               size_t count);

enum convert_kind {
    CONVERT_NOTHING, /* a message of a later version: ignored */
    CONVERT_HELLO,
    CONVERT_ROUTES,
    CONVERT_HEARTBEAT,
    CONVERT_DECISION,
    CONVERT_LOGIN_RESULT,
    CONVERT_CERTIFICATE,
    CONVERT_REFUSAL,
    CONVERT_CUT,
    CONVERT_SHELL_RESULT,
    CONVERT_PROBE, /* convert_probe gives it */
};

/* Lives as long as the message it was made from. */
struct convert_message {
    enum convert_kind kind;
    const char *connection_id;
    uint32_t number;         /* attempt, or request of a Certify or ShellCommand */
    uint32_t protocol;       /* HELLO */
    const char *build;       /* HELLO */
    const char *instance;    /* HELLO */
    const char *config_hash; /* HELLO, ROUTES */
    uint64_t streams;        /* HEARTBEAT, as the next */
    bool lagging;
    bool more;            /* ROUTES: the table is not complete */
    bool first;           /* ROUTES: a new table begins */
    bool accepted;        /* LOGIN_RESULT */
    const char *sentence; /* LOGIN_RESULT, REFUSAL, CUT, SHELL_RESULT */
    uint32_t status;      /* SHELL_RESULT */
    struct view certificate;
    uint64_t serial;
    struct decide_decision decision;
};

void convert_message(const ProtobufCMessage *message, struct convert_message *out);

/* Appends the clusters of a CONVERT_ROUTES; one that makes no sense is left out. */
void convert_clusters(const ProtobufCMessage *message, struct cluster_specs *specs);

/* The order of a CONVERT_PROBE, as probes_start takes it; NULL when it is malformed. */
struct probe_order *convert_probe(const ProtobufCMessage *message);

#endif
