/* Records as the store keeps them, and lists of copies of them. */
#ifndef DATABROKER_STORE_RECORD_H
#define DATABROKER_STORE_RECORD_H

#include "common/base/view.h"

enum {
    RECORD_DATA_MAX = 1 << 20, /* bytes of one record's message */
    RECORD_TYPE_MAX = 200,
    RECORD_ID_MAX = 512,
};

struct record_row {
    uint64_t version;
    const char *type; /* "type.googleapis.com/session.Session" */
    const char *id;
    uint64_t modified_ms; /* since 1970 */
    uint64_t deleted_ms;  /* 0: alive */
    struct view data;     /* empty when deleted */
};

/* What a read of one history gave. */
struct record_page {
    struct record_row *items; /* copies, each one allocation */
    size_t count;
    size_t cap;
    size_t bytes;
    uint64_t total;          /* of a query: matches without offset and limit */
    uint64_t server_version; /* of the history at the moment of the read */
    uint64_t record_version;
    uint64_t cursor; /* of changes: everything up to this version has been seen */
    bool more;       /* of changes: there is more behind the cursor */
};

/* A zeroed page is empty. */
void record_page_fini(struct record_page *p);

void record_page_add(struct record_page *p, const struct record_row *r);

/* What a row costs in memory and in an answer. */
size_t record_size(const struct record_row *r);

#endif
