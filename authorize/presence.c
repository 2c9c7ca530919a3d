#include "authorize/presence.h"

#include "authorize/convert_records.h"
#include "authorize/op.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"

enum {
    FLUSH_DELAY_MS = 20,
    IN_FLIGHT_MAX = 8, /* Puts at a time */
};

struct presence {
    struct connection *connection; /* NULL once it is gone */
    char *id;
    uint64_t version;    /* of the record we wrote last; 0 = none */
    uint64_t written_at; /* loop time */
    uint64_t end_at;     /* loop time from which the record is to be deleted; 0 = not */
    bool ended;          /* closed, else lost */
    bool dirty;
    bool writing;
};

/* The ids that one Put wrote, in order. */
struct batch {
    char *ids[CONVERT_CONNECTIONS_MAX];
    size_t count;
};

static void batch_free(void *data)
{
    struct batch *b = data;
    for (size_t i = 0; i < b->count; i++)
        mem_free(b->ids[i]);
    mem_free(b);
}

static void forget(struct authorize *a, struct presence *p)
{
    map_remove(&a->presences, view_str(p->id));
    mem_free(p->id);
    mem_free(p);
}

void presence_update(struct authorize *a, struct connection *c)
{
    struct view id = view_str(connection_id(c));
    struct presence *p = map_get(&a->presences, id);
    if (!p) {
        p = mem_zalloc(sizeof *p);
        p->id = mem_strndup(id.ptr, id.len);
        map_put(&a->presences, id, p);
    }
    p->connection = c;
    p->end_at = 0;
    p->dirty = true;
    if (timer_at(&a->flush) == TIMER_NEVER)
        timer_after(&a->flush, FLUSH_DELAY_MS);
}

void presence_end(struct authorize *a, const char *id, bool ended)
{
    struct presence *p = map_get(&a->presences, view_str(id));
    if (!p)
        return;
    uint64_t now = loop_now_ms(a->loop);
    p->connection = NULL;
    p->dirty = false;
    p->ended = ended;
    p->end_at = ended ? now : now + AUTHORIZE_ORPHAN_MS;
    if (ended && timer_at(&a->flush) == TIMER_NEVER)
        timer_after(&a->flush, FLUSH_DELAY_MS);
}

void presence_rewrite(struct authorize *a)
{
    for (struct map_iter i = map_iter(&a->presences); map_next(&i);) {
        struct presence *p = i.value;
        p->version = 0;
        p->dirty = p->connection != NULL;
    }
    timer_after(&a->flush, FLUSH_DELAY_MS);
}

/* --- writing --- */

static void on_written(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    struct op *op = ctx;
    struct authorize *a = op->authorize;
    struct batch *b = op->data;
    a->presence_puts--;
    for (size_t i = 0; i < b->count; i++) {
        struct presence *p = map_get(&a->presences, view_str(b->ids[i]));
        if (!p)
            continue;
        p->writing = false;
        if (e == OK && i < count)
            p->version = versions[i];
        else if (p->connection)
            p->dirty = true;
        /* Its TTL is over, or it is another's: ours only if the connection still is at the next
           tick, when what waits to be read has told us. */
        if (e == ERR_PRECONDITION)
            p->version = 0;
    }
    if (e != OK)
        log_warn("connection records not written", LOG_U64("count", b->count),
                 LOG_STR("error", text));
    op_free(op);
    /* What failed is tried again at the next tick, not at once. */
    if (e == OK)
        timer_after(&a->flush, FLUSH_DELAY_MS);
}

/* A tunnel's worker chooses among several endpoints; the first stands for them. */
static const char *upstream_of(const struct authorize *a, const struct connection *c)
{
    const struct snapshot_route *route = connection_route(a, c);
    if (!route)
        return "";
    const struct route_tunnel *tunnel = route->route->tunnel;
    return tunnel ? tunnel->endpoints[0].target.address : route->route->to.address;
}

/*
 * The first write takes the record over from whoever had the connection before. Later ones replace
 * our own: a process that was stopped for a while does not know yet that its connections are
 * served elsewhere.
 */
static struct connection_row row_of(const struct authorize *a, const struct presence *p)
{
    const struct connection *c = p->connection;
    return (struct connection_row){
        .id = connection_id(c),
        .protocol = protocol_name(c->protocol),
        .session_id = c->session_id,
        .account_id = c->account_id,
        .user_id = c->user_id,
        .email = c->email,
        .login = c->login,
        .route = c->route_name,
        .route_id = c->route_id,
        .source_address = c->source,
        .fingerprint = c->key.fingerprint,
        .owner = a->instance,
        .worker = c->worker->instance,
        .upstream = upstream_of(a, c),
        .since_ms = c->since_ms,
        .expires_ms = c->expires_ms,
        .expected = p->version ? p->version : RECORDS_ANY,
    };
}

static void put(struct authorize *a, const struct connection_row *rows, struct batch *b)
{
    struct op *op = op_new(a, "", b, batch_free);
    a->presence_puts++;
    convert_put_connections(&a->records, rows, b->count, on_written, op);
}

static bool is_due(const struct presence *p, uint64_t now)
{
    return p->connection && !p->writing &&
           (p->dirty || now - p->written_at >= AUTHORIZE_PRESENCE_MS);
}

static void write_due(struct authorize *a, uint64_t now)
{
    struct connection_row rows[CONVERT_CONNECTIONS_MAX];
    struct batch *b = NULL;
    for (struct map_iter i = map_iter(&a->presences);
         a->presence_puts < IN_FLIGHT_MAX && map_next(&i);) {
        struct presence *p = i.value;
        if (!is_due(p, now))
            continue;
        if (!b)
            b = mem_zalloc(sizeof *b);
        rows[b->count] = row_of(a, p);
        b->ids[b->count++] = mem_strdup(p->id);
        p->dirty = false;
        p->writing = true;
        p->written_at = now;
        if (b->count == CONVERT_CONNECTIONS_MAX) {
            put(a, rows, b);
            b = NULL;
        }
    }
    if (b)
        put(a, rows, b);
}

/* --- deleting --- */

static void on_deleted(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    struct op *op = ctx;
    struct authorize *a = op->authorize;
    struct presence *p = map_get(&a->presences, view_str(op->id));
    (void)text;
    (void)versions;
    (void)count;
    a->presence_puts--;
    if (p) {
        p->writing = false;
        p->version = 0;
        /* Came back meanwhile: its record has to be there. What stays else ends by its TTL. */
        if (p->connection)
            p->dirty = true;
        else
            forget(a, p);
    }
    op_free(op);
    /* More may wait for their turn, as after a write. */
    if (e == OK)
        timer_after(&a->flush, FLUSH_DELAY_MS);
}

static void delete_due(struct authorize *a, uint64_t now)
{
    for (struct map_iter i = map_iter(&a->presences);
         a->presence_puts < IN_FLIGHT_MAX && map_next(&i);) {
        struct presence *p = i.value;
        if (p->end_at == 0 || p->end_at > now || p->writing)
            continue;
        if (p->version == 0) {
            forget(a, p);
            continue;
        }
        struct op *op = op_new(a, p->id, NULL, NULL);
        p->writing = true;
        a->presence_puts++;
        convert_delete_connection(&a->records, p->id, p->ended ? RECORDS_ANY : p->version,
                                  on_deleted, op);
    }
}

void presence_flush(void *ctx)
{
    struct authorize *a = ctx;
    uint64_t now = loop_now_ms(a->loop);
    if (a->stopping)
        return;
    write_due(a, now);
    delete_due(a, now);
}

void presence_fini(struct authorize *a)
{
    for (struct map_iter i = map_iter(&a->presences); map_next(&i);)
        forget(a, i.value);
    map_fini(&a->presences);
}
