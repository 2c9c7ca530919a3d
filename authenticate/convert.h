/* Between records and our own structs. */
#ifndef AUTHENTICATE_CONVERT_H
#define AUTHENTICATE_CONVERT_H

#include <stdbool.h>

#include "authenticate/session.h"
#include "common/base/buf.h"
#include "common/rpc/records.h"

/* The descriptors of the records that authenticate uses. */
extern const ProtobufCMessageDescriptor *const convert_user;
extern const ProtobufCMessageDescriptor *const convert_session;
extern const ProtobufCMessageDescriptor *const convert_tokens;
extern const ProtobufCMessageDescriptor *const convert_request;
extern const ProtobufCMessageDescriptor *const convert_binding;
extern const ProtobufCMessageDescriptor *const convert_identity_binding;

/* Into a struct session; ERR_DAMAGED when the record is malformed. `valid` is not touched. */
enum err convert_read_session(const struct record *r, struct session *out);

/* Messages to write; free each with protobuf_c_message_free_unpacked(m, NULL). */
ProtobufCMessage *convert_make_user(const struct session_identity *who);
ProtobufCMessage *convert_make_session(const struct session *s);
ProtobufCMessage *convert_make_tokens(struct view sealed, uint64_t expires_ms);

/* Puts other claims into the message of a Session record; all else stays as it is. */
void convert_set_claims(ProtobufCMessage *session, const struct claims *claims);

struct sealed_tokens {
    struct buf sealed;
    uint64_t expires_ms;
};
enum err convert_read_tokens(const struct record *r, struct sealed_tokens *out);
void sealed_tokens_fini(struct sealed_tokens *t);

enum request_state { REQUEST_IN_FLIGHT, REQUEST_REVOKED, REQUEST_ACCEPTED };

struct request_waiting {
    char *address;
    char *login;
    char *route;
    char *client_version;
};

/* A SessionBindingRequest. */
struct request {
    ProtobufCMessage *message; /* the record, to write it back */
    uint64_t version;
    enum request_state state;
    char *protocol;
    char *idp_id;
    char *key;
    char *key_type;
    char *fingerprint;
    uint64_t created_ms;
    uint64_t expires_ms;
    struct request_waiting *waiting;
    size_t waiting_count;
};
void request_fini(struct request *r);
enum err convert_read_request(const struct record *r, struct request *out);

/* The record's message with another state; belongs to `r`. */
const ProtobufCMessage *convert_request_with_state(struct request *r, enum request_state state);

/* A program on a machine without a browser that asks for a session (device.c). */
struct device_request {
    const char *key; /* of the binding that an approval makes */
    const char *idp_id;
    const char *address;
    const char *host;   /* where it asked */
    const char *client; /* what it says that it is */
    uint64_t created_ms;
    uint64_t expires_ms;
};
ProtobufCMessage *convert_make_request(const struct device_request *d);

/* Is `r` of convert_make_request? */
bool request_is_device(const struct request *r);

/* The binding that an approval of `r` by `s` makes. */
ProtobufCMessage *convert_make_binding(const struct request *r, const struct session *s,
                                       uint64_t now_ms);
ProtobufCMessage *convert_make_identity_binding(const struct request *r, const struct session *s);

/* A SessionBinding or, with times 0, an IdentityBinding. */
struct binding {
    char *id;
    char *protocol;
    char *user_id;
    char *idp_id;
    char *session_id;
    char *fingerprint;
    char *initiated_from;
    uint64_t issued_ms;
    uint64_t expires_ms;
};
void binding_fini(struct binding *b);

/* Made by the approval of a device_request: no key, and gone as soon as the token is fetched. */
bool binding_is_device(const struct binding *b);
enum err convert_read_binding(const struct record *r, struct binding *out);
enum err convert_read_identity_binding(const struct record *r, struct binding *out);

#endif
