#include "databroker/store/store.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "databroker/store/types.h"

struct store {
    struct history *durable;
    struct history *memory;
    bool durable_open; /* the group has begun there */
    struct store_changed changed;
    bool dirty_durable; /* of the request in hand */
    bool dirty_memory;
    uint64_t last_ms; /* modified_ms never goes back */
};

static uint64_t version_63(uint64_t random)
{
    uint64_t v = random & INT64_MAX;
    return v ? v : 1;
}

static enum err set_defaults(struct store *s)
{
    const struct type_row *row;
    for (size_t i = 0; (row = type_at(i)); i++) {
        struct history *h = store_history(s, row->type);
        struct history_options now;
        TRY(h->ops->get_options(h, row->type, &now));
        bool is_set = now.fields || now.capacity || now.ttl_ms;
        mem_free(now.fields);
        if (is_set)
            continue;
        struct history_options o = {.capacity = row->capacity,
                                    .ttl_ms = row->ttl_ms,
                                    .fields = (char *)(uintptr_t)(row->fields ? row->fields : "")};
        TRY(h->ops->set_options(h, row->type, &o));
    }
    return OK;
}

enum err store_open(const struct store_config *config, struct store **out, char **out_why)
{
    struct history *durable = NULL;
    if (config->dir)
        TRY(history_sqlite_open(config->dir, version_63(config->durable_version), &durable,
                                out_why));
    else
        durable = history_memory_new(version_63(config->durable_version));
    struct store *s = mem_zalloc(sizeof(*s));
    s->durable = durable;
    s->memory = history_memory_new(version_63(config->memory_version));
    enum err e = set_defaults(s);
    if (e != OK) {
        *out_why = mem_printf("%s: cannot be written: %s", config->dir ? config->dir : "memory",
                              err_text(e));
        store_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    IGNORE(s->durable->ops->checkpoint(s->durable, true),
           "the log is read at the next start as well");
    s->durable->ops->free(s->durable);
    s->memory->ops->free(s->memory);
    mem_free(s);
}

struct history *store_history(struct store *s, const char *type)
{
    const struct type_row *row = type ? type_find(type) : NULL;
    return row && row->memory ? s->memory : s->durable;
}

struct history *store_memory(struct store *s)
{
    return s->memory;
}

struct history *store_durable(struct store *s)
{
    return s->durable;
}

struct store_changed store_changed(const struct store *s)
{
    return s->changed;
}

/* --- one request --- */

static enum err check_row(const struct record_row *r)
{
    if (!type_is_valid(r->type))
        return ERR_SYNTAX;
    size_t id_len = strlen(r->id);
    if (id_len == 0 || id_len > RECORD_ID_MAX)
        return ERR_SYNTAX;
    return r->data.len > RECORD_DATA_MAX ? ERR_LIMIT : OK;
}

/* The durable transaction begins with the first request that needs it. */
static enum err open_durable(struct store *s)
{
    if (s->durable_open)
        return OK;
    TRY(s->durable->ops->begin(s->durable));
    s->durable_open = true;
    return OK;
}

static enum err put_row(struct store *s, struct history *h, const struct store_put *p, size_t i,
                        uint64_t now_ms)
{
    const struct record_row *in = &p->rows[i];
    uint64_t expected = p->expected ? p->expected[i] : STORE_ANY;
    if (expected != STORE_ANY) {
        uint64_t version;
        TRY(h->ops->find(h, in->type, in->id, &version));
        if (version != expected)
            return ERR_PRECONDITION;
    }
    struct record_row row = *in;
    row.modified_ms = now_ms;
    row.deleted_ms = in->deleted_ms ? now_ms : 0;
    TRY(h->ops->put(h, &row, &p->versions[i]));
    *(h == s->durable ? &s->dirty_durable : &s->dirty_memory) |= p->versions[i] != 0;
    return OK;
}

static enum err put_rows(struct store *s, const struct store_put *p, uint64_t now_ms)
{
    for (size_t i = 0; i < p->count; i++)
        TRY(put_row(s, store_history(s, p->rows[i].type), p, i, now_ms));
    return OK;
}

static bool needs_durable(struct store *s, const struct store_put *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (store_history(s, p->rows[i].type) == s->durable)
            return true;
    return false;
}

/* Gives the storage's own error; what is wrong with the request alone is in p->err. */
static enum err put_one(struct store *s, struct store_put *p, uint64_t now_ms)
{
    p->err = p->count > STORE_PUT_MAX ? ERR_LIMIT : OK;
    for (size_t i = 0; p->err == OK && i < p->count; i++)
        p->err = check_row(&p->rows[i]);
    if (p->err != OK)
        return OK;
    bool durable = needs_durable(s, p);
    if (durable) {
        TRY(open_durable(s));
        TRY(s->durable->ops->mark(s->durable));
    }
    TRY(s->memory->ops->mark(s->memory));
    s->dirty_durable = s->dirty_memory = false;
    p->modified_ms = now_ms;
    p->err = put_rows(s, p, now_ms);
    if (p->err != OK) {
        TRY(s->memory->ops->undo(s->memory));
        if (durable && s->durable->ops->undo(s->durable) != OK)
            return p->err;
        return OK;
    }
    s->changed.durable |= s->dirty_durable;
    s->changed.memory |= s->dirty_memory;
    return durable ? s->durable->ops->keep(s->durable) : OK;
}

/* --- the group --- */

static enum err put_group(struct store *s, struct store_put *const *puts, size_t count,
                          uint64_t now_ms)
{
    for (size_t i = 0; i < count; i++)
        TRY(put_one(s, puts[i], now_ms));
    if (!s->durable_open)
        return OK;
    s->durable_open = false;
    return s->durable->ops->commit(s->durable, now_ms);
}

enum err store_put_all(struct store *s, struct store_put *const *puts, size_t count,
                       uint64_t now_ms)
{
    s->last_ms = now_ms > s->last_ms ? now_ms : s->last_ms;
    s->changed = (struct store_changed){0};
    TRY(s->memory->ops->begin(s->memory));
    enum err e = put_group(s, puts, count, s->last_ms);
    if (e == OK) {
        /* After the file: memory cannot fail any more. */
        CHECK(s->memory->ops->commit(s->memory, s->last_ms) == OK);
        return OK;
    }
    if (s->durable_open)
        s->durable->ops->abort(s->durable);
    s->durable_open = false;
    s->memory->ops->abort(s->memory);
    s->changed = (struct store_changed){0};
    for (size_t i = 0; i < count; i++)
        puts[i]->err = e;
    return e;
}

enum err store_expire(struct store *s, bool durable_too, uint64_t now_ms)
{
    size_t memory = 0;
    size_t durable = 0;
    s->last_ms = now_ms > s->last_ms ? now_ms : s->last_ms;
    TRY(s->memory->ops->expire(s->memory, s->last_ms, &memory));
    s->changed = (struct store_changed){.memory = memory != 0};
    if (durable_too)
        TRY(s->durable->ops->expire(s->durable, s->last_ms, &durable));
    s->changed.durable = durable != 0;
    return OK;
}

enum err store_trim(struct store *s, uint64_t before_ms)
{
    TRY(s->memory->ops->trim(s->memory, before_ms));
    return s->durable->ops->trim(s->durable, before_ms);
}

enum err store_checkpoint(struct store *s)
{
    return s->durable->ops->checkpoint(s->durable, false);
}

enum err store_set_options(struct store *s, const char *type, const struct history_options *o)
{
    if (!type_is_valid(type))
        return ERR_SYNTAX;
    struct history *h = store_history(s, type);
    return h->ops->set_options(h, type, o);
}

enum err store_types(struct store *s, struct record_page *out)
{
    TRY(s->durable->ops->types(s->durable, out));
    return s->memory->ops->types(s->memory, out);
}
