/*
 * Looks at a target as an SSH client: how far one gets, which host keys it shows, whether it takes
 * a certificate. By libssh2, blocking, for a thread of its own; each step has a deadline. No
 * channel is ever opened. Numbers of enums are those of proto/postern/decide.proto.
 */
#ifndef PROXY_PROBE_PROBE_H
#define PROXY_PROBE_PROBE_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/secret.h"
#include "common/base/view.h"

enum {
    PROBE_STEPS_MAX = 8,
    PROBE_KEYS_MAX = 5, /* types of host keys that are asked for */
    PROBE_CERTIFICATES_MAX = 8,
    PROBE_TYPES_MAX = 8,
    PROBE_ADDRESSES_MAX = 8, /* of a name, in the resolver's order */
    PROBE_TEXT_MAX = 512,
    PROBE_HOST_KEY_MAX = 16 * 1024,
    PROBE_CONNECT_MS = 5000,
    PROBE_BANNER_MS = 5000,
    PROBE_KEX_MS = 8000,
    PROBE_LOGIN_MS = 8000,
};

enum probe_kind {
    PROBE_CONNECT = 0, /* up to the key exchange */
    PROBE_KEYS = 1,    /* the target's host keys of every type */
    PROBE_LOGIN = 2,   /* authenticate with the first certificate; if that is refused, ask whether
                          the target would take one of the others */
};

enum probe_name {
    PROBE_STEP_RESOLVE = 0,
    PROBE_STEP_CONNECT = 1,
    PROBE_STEP_BANNER = 2,
    PROBE_STEP_KEX = 3,
    PROBE_STEP_LOGIN = 4,
};

enum probe_fault {
    PROBE_FINE = 0,
    PROBE_UNKNOWN_NAME = 1,
    PROBE_RESOLVER = 2,
    PROBE_REFUSED = 3,
    PROBE_UNREACHABLE = 4,
    PROBE_TIMEOUT = 5,
    PROBE_ENDED = 6,
    PROBE_NOT_SSH = 7,
    PROBE_NO_ALGORITHM = 8,
    PROBE_WRONG_HOST_KEY = 9,
    PROBE_NO_PUBLICKEY = 10,
    PROBE_REJECTED = 11,
    PROBE_BUSY = 12,
    PROBE_OTHER = 13,
    PROBE_NOT_ALLOWED = 14,
};

struct probe_order {
    char *id;
    enum probe_kind kind;
    char *address;                         /* host:port */
    char *host_key_types[PROBE_TYPES_MAX]; /* CONNECT: offered first */
    size_t host_key_type_count;
    struct buf host_key; /* LOGIN: the only one that is good enough */
    char *login;
    struct secret private_key; /* of the first certificate; openssh-key-v1 */
    struct buf certificates[PROBE_CERTIFICATES_MAX];
    size_t certificate_count;
    atomic_bool cancelled; /* any thread: ends at the next wait */
};

struct probe_step {
    enum probe_name name;
    enum probe_fault fault;
    uint32_t ms;
    char text[PROBE_TEXT_MAX]; /* printable */
};

struct probe_result {
    struct probe_step steps[PROBE_STEPS_MAX];
    size_t step_count;
    struct buf host_keys[PROBE_KEYS_MAX];
    size_t host_key_count;
    bool accepted[PROBE_CERTIFICATES_MAX];
    size_t accepted_count; /* certificates that were tried */
};

/* Any thread. Fills an empty *out; the caller frees it with probe_result_fini. */
void probe_run(const struct probe_order *order, struct probe_result *out);

/* Buffers of an order have to be initialised before they are filled. */
void probe_order_init(struct probe_order *order);
void probe_order_fini(struct probe_order *order);

void probe_result_init(struct probe_result *result);
void probe_result_fini(struct probe_result *result);

/* Adds a step; `text` is made printable and cut. */
void probe_step_add(struct probe_result *r, enum probe_name name, enum probe_fault fault,
                    uint64_t ms, struct view text);

#endif
