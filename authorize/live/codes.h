/*
 * Sign-in codes that this replica has shown: one per key for newcomers, with caps per source
 * (ip_source of the address) and in total. A code that nobody waits on any more keeps its link
 * alive until a newcomer needs its place.
 */
#ifndef AUTHORIZE_LIVE_CODES_H
#define AUTHORIZE_LIVE_CODES_H

#include "authorize/live/heap.h"
#include "common/base/err.h"
#include "common/base/map.h"

enum {
    CODES_MAX = 1000,
    CODES_PER_SOURCE_MAX = 20,
};

struct code {
    char *text;    /* the code of the link, id of its record */
    char *binding; /* of the key that it signs in */
    char *source;  /* address that asked first */
    char *key_type;
    char *fingerprint;
    char *idp_id;
    uint64_t created_ms; /* Unix */
    uint64_t expires_ms;
    size_t waiting;  /* connections that show it; kept by the caller */
    struct map mine; /* ids of connections that waited here, for the caller; values are not used */
    bool settled;    /* accepted: no longer given to newcomers nor written */

    /* Of the record; kept by the caller. */
    uint64_t version; /* 0 = not written yet */
    bool dirty;
    bool writing;

    struct heap_node expiry;
};

struct codes {
    struct map by_text;
    struct map by_binding; /* not settled */
    struct map sources;
    struct heap expiry;
};

/* A zeroed struct codes is empty. */
void codes_fini(struct codes *c);

/* What a new code is made of; copied. */
struct code_spec {
    const char *text;
    const char *binding;
    const char *source;
    const char *key_type;
    const char *fingerprint;
    const char *idp_id;
    uint64_t created_ms;
    uint64_t expires_ms;
};

/*
 * Is there room for one more from `source`? When a cap is reached *out_victim is the oldest code
 * that nobody waits on and whose removal would help; NULL = none, refuse. ERR_LIMIT: the cap of the
 * source; ERR_BUSY: the total.
 */
enum err codes_room(const struct codes *c, struct view source, struct code **out_victim);

/* No code of that text is there. With one for the key already, newcomers go on getting that. */
struct code *codes_add(struct codes *c, const struct code_spec *spec);
void codes_remove(struct codes *c, struct code *code);

/* The key is bound: the code is kept for those who wait, but not given out again. */
void codes_settle(struct codes *c, struct code *code);

/* NULL when there is none. */
struct code *codes_find(const struct codes *c, struct view text);
struct code *codes_find_binding(const struct codes *c, struct view binding);

/* The first code that has expired, NULL when none has; the caller removes it. */
struct code *codes_expired(const struct codes *c, uint64_t now_ms);

/* Unix ms of the next expiry; UINT64_MAX = never. */
uint64_t codes_deadline(const struct codes *c);

#endif
