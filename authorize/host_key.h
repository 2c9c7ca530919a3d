/*
 * Judging the host key that a target has shown: by pins, known_hosts, host CAs, or by what was seen
 * at first use. No side effects.
 */
#ifndef AUTHORIZE_HOST_KEY_H
#define AUTHORIZE_HOST_KEY_H

#include "authorize/snapshot/snapshot.h"
#include "authorize/state.h"

enum host_key_verdict {
    HOST_KEY_ACCEPT,
    HOST_KEY_RECORD, /* first use: accepted once it is on record */
    HOST_KEY_REFUSE,
};

struct host_key_judgement {
    enum host_key_verdict verdict;
    char *sentence;        /* REFUSE, for the user; fresh memory, else NULL */
    bool pending;          /* REFUSE: to be stored for `hostkeys accept` */
    const char *reason;    /* REFUSE, for logs: "changed", … */
    struct public_key key; /* RECORD, or REFUSE with pending: what was shown; the caller's */
};

/* "ROUTE HOST:PORT", the id of the route's HostKey record; fresh memory. */
char *host_key_record_id(const struct route *route);

/* `record` may be NULL. */
void host_key_judge(const struct snapshot *s, const struct snapshot_route *route,
                    const struct host_keys *record, struct view host_key, uint64_t now_ms,
                    struct host_key_judgement *out);
void host_key_judgement_fini(struct host_key_judgement *j);

/*
 * The types that are on record or pinned for the route, in our order of preference: the worker
 * offers their algorithms first. Returns how many; static strings.
 */
size_t host_key_types(const struct snapshot *s, const struct snapshot_route *route,
                      const struct host_keys *record, const char *out[KEY_TYPE_COUNT]);

/*
 * The types of host certificates ("ssh-ed25519-cert-v01@openssh.com", …) where the route or
 * known_hosts names an authority for the target, else none: to be offered before all others.
 * Returns how many; static strings.
 */
size_t host_key_certificate_types(const struct snapshot *s, const struct snapshot_route *route,
                                  const char *out[KEY_TYPE_COUNT]);

/*
 * A copy of `record` (NULL: an empty one of that id) with `key` put in place of the accepted or
 * pending row of its type.
 */
struct host_keys *host_key_with(const struct host_keys *record, const char *id,
                                const struct public_key *key, bool pending, uint64_t now_ms);

/* Is exactly this key pending already? */
bool host_key_is_pending(const struct host_keys *record, const struct public_key *key);

#endif
