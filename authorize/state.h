/*
 * The synced copy of what decisions depend on. Records come one by one into the picture in force,
 * or, after a break of history, into a new one that takes its place when it is complete: a restart
 * of the databroker alone ends nobody. What changed is collected until the batch is complete.
 *
 * Pointers to entries are valid until the next change of the state; nobody keeps them.
 */
#ifndef AUTHORIZE_STATE_H
#define AUTHORIZE_STATE_H

#include "authorize/policy/facts.h"
#include "common/base/map.h"
#include "common/crypto/key.h"

#define STATE_NEVER UINT64_MAX /* a thing that does not expire */

struct session {
    char *id;
    char *user_id;
    uint64_t expires_ms; /* Unix; STATE_NEVER */
    struct claims claims;
};

struct user {
    char *id;
    char *email;
    char *name;
    struct claims claims;
};

struct directory_user {
    char *id;
    char *email;
    const char **groups;
    size_t group_count;
};

struct binding {
    char *id; /* sshkey-SHA256:… */
    char *protocol;
    char *session_id;
    char *user_id;
    uint64_t expires_ms;
};

/* A person or a program that needs no browser: its token names this record. */
struct service_account {
    char *id;
    char *user_id;
    char *description;
    uint64_t expires_ms;
};

struct host_key {
    char *type;
    uint8_t *key; /* wire blob */
    size_t key_len;
    char *fingerprint;
    uint64_t seen_ms;
    char *accepted_by;
};

/* A HostKey record. */
struct host_keys {
    char *id; /* ROUTE HOST:PORT */
    uint64_t version;
    struct host_key *accepted;
    size_t accepted_count;
    struct host_key *pending;
    size_t pending_count;
};

enum state_kind {
    STATE_SESSION,
    STATE_USER,
    STATE_DIRECTORY,
    STATE_BINDING,
    STATE_SERVICE_ACCOUNT,
    STATE_HOST_KEYS,
    STATE_KINDS,
};

struct state_tables {
    struct map kind[STATE_KINDS];
};

/* Ids that changed since the last state_take_changes; values are not used. */
struct state_changes {
    bool all; /* another picture: anything may have changed */
    struct map kind[STATE_KINDS];
};

struct state {
    struct state_tables now;
    struct state_tables next; /* being filled while `renewing` */
    bool renewing;
    struct state_changes changes;
};

/* A zeroed struct state is empty. */
void state_fini(struct state *s);

/* A new picture begins. */
void state_clear(struct state *s);

/*
 * Takes `entry` (struct session, … of that kind), whose id is `id`, in place of an older one. NULL:
 * the record was deleted.
 */
void state_put(struct state *s, enum state_kind kind, const char *id, void *entry);

/* The batch, or the new picture, is complete. */
void state_complete(struct state *s);

/* What changed; the caller frees it with state_changes_fini. */
struct state_changes state_take_changes(struct state *s);
void state_changes_fini(struct state_changes *c);
bool state_changes_any(const struct state_changes *c);

const struct session *state_session(const struct state *s, const char *id);
const struct user *state_user(const struct state *s, const char *id);
const struct directory_user *state_directory(const struct state *s, const char *id);
const struct binding *state_binding(const struct state *s, const char *id);
const struct service_account *state_service_account(const struct state *s, const char *id);
const struct host_keys *state_host_keys(const struct state *s, const char *id);

void session_free(struct session *s);
void user_free(struct user *u);
void directory_user_free(struct directory_user *u);
void binding_free(struct binding *b);
void service_account_free(struct service_account *a);
void host_keys_free(struct host_keys *h);
void claims_free(struct claims *c);

#endif
