/* A history in memory: what a group writes is staged, and applied under the lock at its commit. */
#include <pthread.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "databroker/store/history.h"

struct entry {
    struct kind *kind;
    char *id;
    uint64_t version;
    uint64_t modified_ms;
    uint64_t deleted_ms;
    uint8_t *data;
    size_t len;
    /* In the order of versions: of all, and of the same type. */
    struct entry *prev, *next;
    struct entry *kind_prev, *kind_next;
};

struct kind {
    char *type;
    struct entry *first, *last;
    size_t alive;
    struct history_options options;
    bool touched; /* by the group that is being committed */
};

struct memory {
    struct history base;
    pthread_mutex_t lock; /* guards all but the staged part */
    uint64_t server_version;
    uint64_t record_version;
    uint64_t trimmed_version;
    struct map kinds;   /* type -> struct kind */
    struct map entries; /* type NUL id -> struct entry */
    struct entry *first, *last;
    size_t bytes;
    size_t tombstones;
    /* The group. */
    struct record_page staged; /* versions are what they will get */
    struct map staged_index;   /* type NUL id -> item of staged, as index + 1 */
    size_t mark;
    size_t staged_bytes;
};

static struct memory *memory_of(struct history *h)
{
    return CONTAINER_OF(h, struct memory, base);
}

/* type NUL id; lives until the buffer's next use. */
static struct view make_key(struct buf *b, const char *type, const char *id)
{
    buf_init(b, RECORD_TYPE_MAX + RECORD_ID_MAX + 1);
    CHECK(buf_append(b, view_of(type, strlen(type) + 1)) == OK);
    CHECK(buf_append_str(b, id) == OK);
    return buf_view(b);
}

static struct kind *kind_of(struct memory *m, const char *type)
{
    struct kind *k = map_get(&m->kinds, view_str(type));
    if (!k) {
        k = mem_zalloc(sizeof(*k));
        k->type = mem_strdup(type);
        map_put(&m->kinds, view_str(type), k);
    }
    return k;
}

static struct record_row row_of(const struct entry *e)
{
    return (struct record_row){.version = e->version,
                               .type = e->kind->type,
                               .id = e->id,
                               .modified_ms = e->modified_ms,
                               .deleted_ms = e->deleted_ms,
                               .data = view_of(e->data, e->len)};
}

static size_t entry_size(const struct entry *e)
{
    struct record_row r = row_of(e);
    return record_size(&r) + sizeof(*e);
}

/* --- the two lists --- */

static void unlink_entry(struct memory *m, struct entry *e)
{
    *(e->prev ? &e->prev->next : &m->first) = e->next;
    *(e->next ? &e->next->prev : &m->last) = e->prev;
    *(e->kind_prev ? &e->kind_prev->kind_next : &e->kind->first) = e->kind_next;
    *(e->kind_next ? &e->kind_next->kind_prev : &e->kind->last) = e->kind_prev;
    e->prev = e->next = e->kind_prev = e->kind_next = NULL;
    m->bytes -= entry_size(e);
    m->tombstones -= e->deleted_ms != 0;
    e->kind->alive -= e->deleted_ms == 0;
}

static void append_entry(struct memory *m, struct entry *e)
{
    e->prev = m->last;
    *(m->last ? &m->last->next : &m->first) = e;
    m->last = e;
    e->kind_prev = e->kind->last;
    *(e->kind->last ? &e->kind->last->kind_next : &e->kind->first) = e;
    e->kind->last = e;
    m->bytes += entry_size(e);
    m->tombstones += e->deleted_ms != 0;
    e->kind->alive += e->deleted_ms == 0;
}

static void entry_free(struct entry *e)
{
    mem_free(e->id);
    mem_free(e->data);
    mem_free(e);
}

/* Under the lock: `r` becomes the newest state of its record. */
static void apply_row(struct memory *m, const struct record_row *r)
{
    AUTO(buf_fini) struct buf b;
    struct view key = make_key(&b, r->type, r->id);
    struct entry *e = map_get(&m->entries, key);
    if (e) {
        unlink_entry(m, e);
    } else {
        e = mem_zalloc(sizeof(*e));
        e->kind = kind_of(m, r->type);
        e->id = mem_strdup(r->id);
        map_put(&m->entries, key, e);
    }
    mem_free(e->data);
    e->data = r->data.len ? mem_realloc(NULL, r->data.len) : NULL;
    e->len = r->data.len;
    if (e->len)
        memcpy(e->data, r->data.ptr, e->len);
    e->version = r->version;
    e->modified_ms = r->modified_ms;
    e->deleted_ms = r->deleted_ms;
    e->kind->touched = true;
    append_entry(m, e);
    m->record_version = r->version;
}

static void bury(struct memory *m, struct entry *e, uint64_t now_ms)
{
    struct record_row r = row_of(e);
    r.version = m->record_version + 1;
    r.modified_ms = r.deleted_ms = now_ms;
    r.data = (struct view){NULL, 0};
    apply_row(m, &r);
}

static void forget(struct memory *m, struct entry *e)
{
    AUTO(buf_fini) struct buf b;
    m->trimmed_version = e->version > m->trimmed_version ? e->version : m->trimmed_version;
    unlink_entry(m, e);
    map_remove(&m->entries, make_key(&b, e->kind->type, e->id));
    entry_free(e);
}

static struct entry *oldest_alive(const struct kind *k)
{
    struct entry *e = k->first;
    while (e && e->deleted_ms)
        e = e->kind_next;
    return e;
}

/* --- groups --- */

static void drop_staged(struct memory *m)
{
    record_page_fini(&m->staged);
    map_fini(&m->staged_index);
    m->staged_index = (struct map){0};
    m->staged_bytes = 0;
    m->mark = 0;
}

static enum err on_begin(struct history *h)
{
    drop_staged(memory_of(h));
    return OK;
}

static enum err on_mark(struct history *h)
{
    struct memory *m = memory_of(h);
    m->mark = m->staged.count;
    return OK;
}

static enum err on_keep(struct history *h)
{
    (void)h;
    return OK;
}

static void index_staged(struct memory *m, size_t i)
{
    AUTO(buf_fini) struct buf b;
    const struct record_row *r = &m->staged.items[i];
    map_put(&m->staged_index, make_key(&b, r->type, r->id), (void *)(uintptr_t)(i + 1));
}

static enum err on_undo(struct history *h)
{
    struct memory *m = memory_of(h);
    while (m->staged.count > m->mark) {
        struct record_row *r = &m->staged.items[--m->staged.count];
        m->staged_bytes -= record_size(r);
        mem_free((void *)(uintptr_t)r->type);
    }
    map_fini(&m->staged_index);
    m->staged_index = (struct map){0};
    for (size_t i = 0; i < m->staged.count; i++)
        index_staged(m, i);
    return OK;
}

static enum err on_find(struct history *h, const char *type, const char *id, uint64_t *out_version)
{
    struct memory *m = memory_of(h);
    AUTO(buf_fini) struct buf b;
    struct view key = make_key(&b, type, id);
    uintptr_t staged = (uintptr_t)map_get(&m->staged_index, key);
    if (staged) {
        const struct record_row *r = &m->staged.items[staged - 1];
        *out_version = r->deleted_ms ? 0 : r->version;
        return OK;
    }
    /* The writer alone changes entries: it reads them without the lock. */
    const struct entry *e = map_get(&m->entries, key);
    *out_version = e && !e->deleted_ms ? e->version : 0;
    return OK;
}

static enum err on_put(struct history *h, const struct record_row *r, uint64_t *out_version)
{
    struct memory *m = memory_of(h);
    uint64_t before;
    TRY(on_find(h, r->type, r->id, &before));
    if (r->deleted_ms && !before) {
        *out_version = 0;
        return OK;
    }
    if (!r->deleted_ms && m->bytes + m->staged_bytes + record_size(r) > HISTORY_MEMORY_MAX)
        return ERR_LIMIT;
    struct record_row row = *r;
    row.version = m->record_version + m->staged.count + 1;
    if (row.deleted_ms)
        row.data = (struct view){NULL, 0};
    record_page_add(&m->staged, &row);
    m->staged_bytes += record_size(&row);
    index_staged(m, m->staged.count - 1);
    *out_version = row.version;
    return OK;
}

static void apply_capacities(struct memory *m, uint64_t now_ms)
{
    for (struct map_iter i = map_iter(&m->kinds); map_next(&i);) {
        struct kind *k = i.value;
        bool touched = k->touched;
        k->touched = false;
        while (touched && k->options.capacity && k->alive > k->options.capacity)
            bury(m, oldest_alive(k), now_ms);
        k->touched = false;
    }
}

static void forget_surplus(struct memory *m)
{
    struct entry *e = m->first;
    while (e && (m->tombstones > HISTORY_TOMBSTONES_MAX ||
                 (m->tombstones && m->bytes > HISTORY_MEMORY_MAX / 4 * 3))) {
        struct entry *next = e->next;
        if (e->deleted_ms)
            forget(m, e);
        e = next;
    }
}

static enum err on_commit(struct history *h, uint64_t now_ms)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->staged.count; i++)
        apply_row(m, &m->staged.items[i]);
    apply_capacities(m, now_ms);
    forget_surplus(m);
    pthread_mutex_unlock(&m->lock);
    drop_staged(m);
    return OK;
}

static void on_abort(struct history *h)
{
    drop_staged(memory_of(h));
}

static enum err on_expire(struct history *h, uint64_t now_ms, size_t *out_count)
{
    struct memory *m = memory_of(h);
    size_t count = 0;
    pthread_mutex_lock(&m->lock);
    for (struct map_iter i = map_iter(&m->kinds); map_next(&i);) {
        struct kind *k = i.value;
        uint64_t ttl = k->options.ttl_ms;
        struct entry *end = k->last;
        /* Times do not go back: behind the first that is young enough all are. */
        for (struct entry *e = ttl ? k->first : NULL, *next; e; e = next) {
            next = e == end ? NULL : e->kind_next;
            if (!e->deleted_ms && e->modified_ms + ttl > now_ms)
                break;
            if (!e->deleted_ms) {
                bury(m, e, now_ms);
                count++;
            }
        }
        k->touched = false;
    }
    pthread_mutex_unlock(&m->lock);
    *out_count = count;
    return OK;
}

static enum err on_trim(struct history *h, uint64_t before_ms)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    for (struct entry *e = m->first, *next; e; e = next) {
        next = e->next;
        if (e->deleted_ms && e->deleted_ms < before_ms)
            forget(m, e);
    }
    pthread_mutex_unlock(&m->lock);
    return OK;
}

static enum err on_checkpoint(struct history *h, bool last)
{
    (void)h;
    (void)last;
    return OK;
}

static enum err on_set_options(struct history *h, const char *type, const struct history_options *o)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    struct kind *k = kind_of(m, type);
    mem_free(k->options.fields);
    k->options = *o;
    k->options.fields = o->fields ? mem_strdup(o->fields) : NULL;
    pthread_mutex_unlock(&m->lock);
    return OK;
}

/* --- reading --- */

static void fill_versions(const struct memory *m, struct record_page *out)
{
    out->server_version = m->server_version;
    out->record_version = m->record_version;
}

static enum err on_get(struct history *h, const char *type, const char *id, struct record_page *out)
{
    struct memory *m = memory_of(h);
    AUTO(buf_fini) struct buf b;
    struct view key = make_key(&b, type, id);
    pthread_mutex_lock(&m->lock);
    const struct entry *e = map_get(&m->entries, key);
    bool found = e && !e->deleted_ms;
    if (found) {
        struct record_row r = row_of(e);
        record_page_add(out, &r);
        fill_versions(m, out);
    }
    pthread_mutex_unlock(&m->lock);
    return found ? OK : ERR_NOT_FOUND;
}

static int by_id(const void *a, const void *b)
{
    const struct entry *const *x = a;
    const struct entry *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

static enum err on_query(struct history *h, const struct history_query *q, struct record_page *out)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    fill_versions(m, out);
    struct kind *k = map_get(&m->kinds, view_str(q->type));
    AUTO_FREE const struct entry **found = mem_zalloc_array(k ? k->alive : 0, sizeof(*found));
    size_t n = 0;
    for (struct entry *e = k ? k->first : NULL; e; e = e->kind_next) {
        struct record_row r = row_of(e);
        if (!e->deleted_ms && (!q->match || q->match(q->ctx, &r)))
            found[n++] = e;
    }
    if (n)
        qsort(found, n, sizeof(const struct entry *), by_id);
    out->total = n;
    for (uint64_t i = q->offset; i < n && out->count < q->limit; i++) {
        struct record_row r = row_of(found[i]);
        if (out->count && out->bytes + record_size(&r) > q->bytes_max)
            break;
        record_page_add(out, &r);
    }
    pthread_mutex_unlock(&m->lock);
    return OK;
}

static enum err on_count(struct history *h, const char *type, uint64_t *out)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    const struct kind *k = map_get(&m->kinds, view_str(type));
    *out = k ? k->alive : 0;
    pthread_mutex_unlock(&m->lock);
    return OK;
}

/* The first entry behind `after`, sought from the end: followers are near it. */
static struct entry *seek(const struct memory *m, const struct kind *k, bool all, uint64_t after)
{
    struct entry *found = NULL;
    struct entry *e = all ? m->last : k ? k->last : NULL;
    for (; e && e->version > after; e = all ? e->prev : e->kind_prev)
        found = e;
    return found;
}

static enum err read_changes(struct memory *m, const struct history_changes *c,
                             struct record_page *out)
{
    fill_versions(m, out);
    if (!c->alive && (c->after < m->trimmed_version || c->after > m->record_version))
        return ERR_MISMATCH;
    struct kind *k = c->type ? map_get(&m->kinds, view_str(c->type)) : NULL;
    out->cursor = c->after;
    for (struct entry *e = seek(m, k, !c->type, c->after); e;
         e = c->type ? e->kind_next : e->next) {
        struct record_row r = row_of(e);
        if (c->alive && e->deleted_ms)
            continue;
        if (out->count == c->count_max ||
            (out->count && out->bytes + record_size(&r) > c->bytes_max)) {
            out->more = true;
            return OK;
        }
        record_page_add(out, &r);
        out->cursor = e->version;
    }
    out->cursor = m->record_version;
    return OK;
}

static enum err on_changes(struct history *h, const struct history_changes *c,
                           struct record_page *out)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    enum err e = read_changes(m, c, out);
    pthread_mutex_unlock(&m->lock);
    return e;
}

static enum err on_versions(struct history *h, struct record_page *out)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    fill_versions(m, out);
    out->cursor = m->trimmed_version;
    pthread_mutex_unlock(&m->lock);
    return OK;
}

static enum err on_types(struct history *h, struct record_page *out)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    for (struct map_iter i = map_iter(&m->kinds); map_next(&i);) {
        const struct kind *k = i.value;
        struct record_row r = {.type = k->type, .id = ""};
        if (k->alive)
            record_page_add(out, &r);
    }
    pthread_mutex_unlock(&m->lock);
    return OK;
}

static enum err on_get_options(struct history *h, const char *type, struct history_options *out)
{
    struct memory *m = memory_of(h);
    pthread_mutex_lock(&m->lock);
    const struct kind *k = map_get(&m->kinds, view_str(type));
    *out = k ? k->options : (struct history_options){0};
    if (out->fields)
        out->fields = mem_strdup(out->fields);
    pthread_mutex_unlock(&m->lock);
    return OK;
}

static void on_free(struct history *h)
{
    struct memory *m = memory_of(h);
    drop_staged(m);
    for (struct entry *e = m->first, *next; e; e = next) {
        next = e->next;
        entry_free(e);
    }
    for (struct map_iter i = map_iter(&m->kinds); map_next(&i);) {
        struct kind *k = i.value;
        mem_free(k->options.fields);
        mem_free(k->type);
        mem_free(k);
    }
    map_fini(&m->entries);
    map_fini(&m->kinds);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

struct history *history_memory_new(uint64_t server_version)
{
    static const struct history_ops ops = {.free = on_free,
                                           .begin = on_begin,
                                           .mark = on_mark,
                                           .keep = on_keep,
                                           .undo = on_undo,
                                           .find = on_find,
                                           .put = on_put,
                                           .commit = on_commit,
                                           .abort = on_abort,
                                           .expire = on_expire,
                                           .trim = on_trim,
                                           .checkpoint = on_checkpoint,
                                           .set_options = on_set_options,
                                           .get = on_get,
                                           .query = on_query,
                                           .changes = on_changes,
                                           .versions = on_versions,
                                           .types = on_types,
                                           .count = on_count,
                                           .get_options = on_get_options};
    struct memory *m = mem_zalloc(sizeof(*m));
    m->base.ops = &ops;
    m->server_version = server_version;
    CHECK(pthread_mutex_init(&m->lock, NULL) == 0);
    return &m->base;
}
