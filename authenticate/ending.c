#include "authenticate/ending.h"

#include "authenticate/convert.h"
#include "common/base/mem.h"

enum { BINDINGS_MAX = 500, TRIES_MAX = 5 };

struct ending {
    struct broker *broker;
    char *session_id;
    uint64_t call;
    int tries;
    ending_fn done;
    void *ctx;
};

static void ending_free(struct ending *e)
{
    broker_unref(e->broker);
    mem_free(e->session_id);
    mem_free(e);
}

static void finish(struct ending *e, enum err err, const char *text)
{
    e->done(e->ctx, err, text);
    ending_free(e);
}

static void find_bindings(struct ending *e);

static void on_deleted(void *ctx, enum err err, const char *text, const uint64_t *versions,
                       size_t count)
{
    (void)versions;
    (void)count;
    struct ending *e = ctx;
    /* A key was bound anew meanwhile: to this session, or to another one that it stays with. */
    if (err == ERR_PRECONDITION && ++e->tries < TRIES_MAX)
        find_bindings(e);
    else
        finish(e, err, text);
}

static void on_bindings(void *ctx, enum err err, const char *text, const struct record_list *list)
{
    struct ending *e = ctx;
    if (err != OK) {
        finish(e, err, text);
        return;
    }
    AUTO_FREE struct record_write *writes = mem_zalloc_array(list->count + 2, sizeof *writes);
    writes[0] = (struct record_write){convert_session, e->session_id, NULL, RECORDS_ANY};
    writes[1] = (struct record_write){convert_tokens, e->session_id, NULL, RECORDS_ANY};
    for (size_t i = 0; i < list->count; i++) {
        const struct record *r = &list->items[i];
        writes[2 + i] = (struct record_write){convert_binding, r->id, NULL, r->version};
    }
    e->call = records_put(&e->broker->records, writes, list->count + 2, on_deleted, e);
}

static void find_bindings(struct ending *e)
{
    AUTO_FREE char *type = record_type(convert_binding);
    const struct record_search search = {
        .type = type, .field = "session_id", .value = e->session_id, .limit = BINDINGS_MAX};
    e->call = records_query(&e->broker->records, &search, on_bindings, e);
}

struct ending *ending_start(struct broker *b, const char *session_id, ending_fn done, void *ctx)
{
    struct ending *e = mem_zalloc(sizeof *e);
    *e = (struct ending){
        .broker = broker_ref(b), .session_id = mem_strdup(session_id), .done = done, .ctx = ctx};
    find_bindings(e);
    return e;
}

void ending_cancel(struct ending *e)
{
    if (!e)
        return;
    records_cancel(&e->broker->records, e->call);
    ending_free(e);
}
