/*
 * The synced copy of the sign-ins in flight (SessionBindingRequest, memory-only): those that other
 * replicas issued too. Filled like the state: a new picture takes the old one's place when it is
 * complete.
 */
#ifndef AUTHORIZE_REQUESTS_H
#define AUTHORIZE_REQUESTS_H

#include "common/base/map.h"

enum {
    REQUEST_WAITING_MAX = 8, /* connections that the approval page shows */
};

/* Values of session.SessionBindingRequestState. */
enum request_state {
    REQUEST_IN_FLIGHT = 0,
    REQUEST_REVOKED = 1,
    REQUEST_ACCEPTED = 2,
};

/* A connection that an approval would release. */
struct request_waiting {
    char *connection_id;
    char *address;
    char *login;
    char *route;
    char *client_version;
    uint64_t since_ms;
};

struct request {
    char *code;
    uint64_t version;
    char *key; /* id of the binding that an approval makes */
    char *idp_id;
    char *source; /* details["Source Address"] */
    char *key_type;
    char *fingerprint;
    uint64_t created_ms;
    uint64_t expires_ms;
    enum request_state state;
    struct request_waiting waiting[REQUEST_WAITING_MAX];
    size_t waiting_count;
};

struct requests {
    struct map now;
    struct map next;
    struct map by_key; /* of those in flight */
    bool renewing;
};

void requests_fini(struct requests *r);
void requests_clear(struct requests *r);
void requests_complete(struct requests *r);

/* Takes `request`, or with NULL removes that of `code`. */
void requests_put(struct requests *r, const char *code, struct request *request);

/* NULL when there is none. Valid until the next change. */
const struct request *requests_find(const struct requests *r, const char *code);

/* One that is in flight for this key and does not expire before `now_ms`. */
const struct request *requests_find_key(const struct requests *r, const char *key, uint64_t now_ms);

void request_free(struct request *r);

#endif
