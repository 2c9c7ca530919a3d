/*
 * Between the messages of the Decide stream (proto/postern/decide.proto) and plain structs:
 * protobuf of the stream stops here.
 */
#ifndef AUTHORIZE_CONVERT_STREAM_H
#define AUTHORIZE_CONVERT_STREAM_H

#include "authorize/live/state_version.h"
#include "authorize/protocol.h"
#include "common/rpc/server.h"

/* The stream's row in a server's table; the caller fills in the handlers. */
struct rpc_method convert_stream_method(void);

/* --- from the worker; views and strings live as long as the message --- */

/* Of a request to the HTTPS listener. */
struct stream_tunnel {
    const char *authority;
    const char *method;
    const char *path;
    struct view token; /* of any length */
    bool certificate_presented;
    bool certificate_valid;
    struct view certificate; /* DER */
    struct view user_agent;  /* cut where it is too long, as the next */
    struct view request_id;
};

struct stream_check {
    const char *connection_id;
    enum protocol protocol;
    const char *source;
    bool is_oversized;           /* not ssh: something that a policy may look at is too long */
    struct stream_tunnel tunnel; /* not ssh */
    const char *login;           /* ssh, down to client_version; else "" */
    const char *route;
    struct view key;
    const char *client_version;
    uint32_t attempt;
};

struct stream_certify {
    const char *connection_id;
    struct view public_key;
    struct view host_key;
    const char *upstream;
    uint32_t request;
};

enum stream_shell_verb {
    STREAM_WHOAMI = 0,
    STREAM_LOGOUT = 1,
};

struct stream_shell {
    const char *connection_id;
    enum stream_shell_verb verb;
    uint32_t request;
};

struct stream_registered {
    struct stream_check check;
    struct state_version state;
    bool live;
    const char *code;
    const char *session_id;
    const char *user_id;
    uint64_t since_ms;
};

/* Numbers as in the proto file, for both ways. */
enum stream_probe_kind {
    STREAM_PROBE_CONNECT = 0,
    STREAM_PROBE_KEYS = 1,
    STREAM_PROBE_LOGIN = 2,
};

enum stream_probe_step {
    STREAM_STEP_RESOLVE = 0,
    STREAM_STEP_CONNECT = 1,
    STREAM_STEP_BANNER = 2,
    STREAM_STEP_KEX = 3,
    STREAM_STEP_LOGIN = 4,
};

enum stream_probe_fault {
    STREAM_FAULT_NONE = 0,
    STREAM_FAULT_UNKNOWN_NAME = 1,
    STREAM_FAULT_RESOLVER = 2,
    STREAM_FAULT_REFUSED = 3,
    STREAM_FAULT_UNREACHABLE = 4,
    STREAM_FAULT_TIMEOUT = 5,
    STREAM_FAULT_ENDED = 6,
    STREAM_FAULT_NOT_SSH = 7,
    STREAM_FAULT_NO_ALGORITHM = 8,
    STREAM_FAULT_WRONG_HOST_KEY = 9,
    STREAM_FAULT_NO_PUBLICKEY = 10,
    STREAM_FAULT_REJECTED = 11,
    STREAM_FAULT_BUSY = 12,
    STREAM_FAULT_OTHER = 13,
    STREAM_FAULT_NOT_ALLOWED = 14,
};

enum {
    STREAM_PROBED_STEPS_MAX = 8,
    STREAM_PROBED_KEYS_MAX = 8,
    STREAM_CERTIFICATES_MAX = 8,
};

/* What a worker has found. A step or fault of a later version keeps its number. */
struct stream_probed_step {
    int name;
    int fault;
    uint32_t ms;
    const char *text;
};

struct stream_probed {
    const char *id;
    enum stream_probe_kind kind;
    struct stream_probed_step steps[STREAM_PROBED_STEPS_MAX];
    size_t step_count;
    struct view host_keys[STREAM_PROBED_KEYS_MAX];
    size_t host_key_count;
    bool accepted[STREAM_CERTIFICATES_MAX];
    size_t accepted_count;
};

enum stream_kind {
    STREAM_NOTHING, /* a message of a later version: ignored */
    STREAM_HELLO,
    STREAM_CHECK,
    STREAM_CANCEL,
    STREAM_CERTIFY,
    STREAM_CUT_DONE,
    STREAM_CLOSED,
    STREAM_REGISTER,
    STREAM_HEARTBEAT,
    STREAM_PROBED,
    STREAM_SHELL,
    STREAM_MALFORMED, /* a part that must be there is missing, or too long */
};

enum {
    STREAM_TEXT_MAX = 1024,
    STREAM_ID_MAX = 128,
    STREAM_KEY_MAX = 64 * 1024,
    STREAM_PATH_MAX = 8 * 1024,
    STREAM_LEAF_MAX = 16 * 1024,
    STREAM_REGISTER_MAX = 500,
};

struct stream_message {
    enum stream_kind kind;
    union {
        struct {
            const char *build;
            uint32_t protocol;
            const char *instance_id;
            const char *config_hash;
            const char *host;
            uint64_t started_ms;
            uint64_t leaving; /* workers where it comes from; 0 = from nowhere */
        } hello;
        struct stream_check check;
        struct {
            const char *connection_id;
            uint32_t attempt;
        } cancel;
        struct stream_certify certify;
        struct stream_shell shell;
        struct {
            const char *connection_id;
            uint64_t bytes_in;
            uint64_t bytes_out;
            const char *reason;
        } closed; /* CUT_DONE: the id alone */
        struct {
            const char *config_hash; /* "" = of a worker that does not say */
            uint64_t connections;
        } heartbeat;
        struct stream_probed probed;
        size_t registered; /* how many; convert_stream_registered gives each */
    };
};

void convert_stream_message(const ProtobufCMessage *message, struct stream_message *out);

/* False when that one is malformed. */
bool convert_stream_registered(const ProtobufCMessage *message, size_t i,
                               struct stream_registered *out);

/* --- to the worker --- */

enum stream_verdict {
    STREAM_DENY = 0,
    STREAM_ALLOW = 1,
    STREAM_LOGIN = 2,
    STREAM_TRY_NEXT_KEY = 3,
};

struct stream_login {
    const char *prompt;
    const char *url;
    const char *match_code;
    const char *code;
    uint64_t expires_ms;
};

/* As in the proto file: why it is not ALLOW. */
enum stream_cause {
    STREAM_CAUSE_NONE = 0,
    STREAM_CAUSE_UNAUTHENTICATED = 1,
    STREAM_CAUSE_TOKEN_INVALID = 2,
    STREAM_CAUSE_POLICY = 3,
    STREAM_CAUSE_ROUTE_NOT_FOUND = 4,
    STREAM_CAUSE_CLIENT_CERTIFICATE = 5,
    STREAM_CAUSE_UNAVAILABLE = 6,
};

struct stream_upstream {
    const char *address;
    const char *const *host_key_types;
    size_t host_key_type_count;
    const char *login;
    const char *route;
    const char *host_key_policy;
};

/* NULL strings are left empty. */
struct stream_decision {
    const char *connection_id;
    uint32_t attempt;
    enum stream_verdict verdict;
    const char *sentence;
    const char *const *reasons;
    size_t reason_count;
    const struct stream_login *login;       /* LOGIN */
    const struct stream_upstream *upstream; /* ALLOW */
    struct state_version state;
    const char *session_id;
    const char *user_id;
    const char *email;
    const char *route_id;
    const char *binding_key;
    bool shell;          /* ALLOW: no upstream */
    uint64_t expires_ms; /* UINT64_MAX: none */
    enum stream_cause cause;
    struct view body; /* ALLOW of http */
    bool service_account;
};

enum stream_outcome {
    STREAM_ACCEPTED = 0,
    STREAM_DENIED = 1,
    STREAM_EXPIRED = 2,
};

struct stream_certificate {
    const char *connection_id;
    uint32_t request;
    struct view blob;
    uint64_t serial;
    uint64_t valid_before_s;
};

/* As rpc_send: ERR_BUSY, ERR_CLOSED. */
enum err convert_send_hello(struct rpc_call *call, const char *build, const char *instance_id,
                            const char *config_hash);
enum err convert_send_heartbeat(struct rpc_call *call, uint64_t streams, bool lagging);
enum err convert_send_decision(struct rpc_call *call, const struct stream_decision *d);
enum err convert_send_login_result(struct rpc_call *call, const char *connection_id,
                                   uint32_t attempt, enum stream_outcome outcome,
                                   const char *sentence);
enum err convert_send_cut(struct rpc_call *call, const char *connection_id, const char *reason);
enum err convert_send_certificate(struct rpc_call *call, const struct stream_certificate *c);
enum err convert_send_refusal(struct rpc_call *call, const char *connection_id, uint32_t request,
                              const char *sentence);
enum err convert_send_shell_result(struct rpc_call *call, const struct stream_shell *question,
                                   uint32_t status, const char *text);

#endif
