#include "proxy/replicas.h"

#include <netdb.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"

/* Outlives the name until the resolver's thread is done. */
struct lookup {
    uv_getaddrinfo_t req;
    struct replicas *replicas;
    size_t index;
};

struct name {
    char *host;
    uint16_t port;
    uint64_t begun_at;
    uint64_t due_at;
    struct lookup *lookup; /* under way */
    bool failed;
};

struct replicas {
    struct loop *loop;
    loop_fn on_found;
    void *ctx;
    struct name *names;
    size_t count;
    struct replica_table table;
};

struct replicas *replicas_new(struct loop *loop, loop_fn on_found, void *ctx)
{
    struct replicas *r = mem_zalloc(sizeof *r);
    *r = (struct replicas){.loop = loop, .on_found = on_found, .ctx = ctx};
    return r;
}

static void forget_names(struct replicas *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct lookup *lookup = r->names[i].lookup;
        if (lookup) {
            lookup->replicas = NULL;
            (void)uv_cancel((uv_req_t *)&lookup->req);
        }
        mem_free(r->names[i].host);
    }
    mem_free(r->names);
    r->names = NULL;
    r->count = 0;
}

void replicas_free(struct replicas *r)
{
    if (!r)
        return;
    forget_names(r);
    mem_free(r);
}

void replicas_configure(struct replicas *r, const char *const *targets, size_t count)
{
    static const struct view https = {(const uint8_t *)"https://", 8};
    uint64_t now = loop_now_ms(r->loop);
    forget_names(r);
    r->table.count = 0;
    r->names = mem_zalloc_array(count, sizeof *r->names);
    for (size_t i = 0; i < count; i++) {
        struct name *n = &r->names[r->count++];
        struct view target = view_str(targets[i]);
        struct view host;
        struct address literal;
        if (view_starts_with(target, https))
            target = view_skip(target, https.len);
        n->due_at = UINT64_MAX;
        if (address_split(target, 443, &host, &n->port) != OK || host.len == 0)
            continue; /* rpc_channel_open has refused it before */
        n->host = mem_strndup(host.ptr, host.len);
        if (address_parse_ip(host, &literal) == OK) {
            literal.port = n->port;
            (void)replica_table_set(&r->table, (unsigned)i, &literal, 1, now);
        } else {
            n->due_at = now;
        }
    }
}

/* A table is as long as a worker will ever use. */
static size_t collect(const struct addrinfo *list, uint16_t port, struct address *out)
{
    size_t n = 0;
    for (const struct addrinfo *ai = list; ai && n < REPLICAS_MAX; ai = ai->ai_next) {
        out[n] = address_of_sockaddr(ai->ai_addr);
        out[n].port = port;
        n += out[n].family != ADDRESS_NONE;
    }
    return n;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct lookup *lookup = CONTAINER_OF(req, struct lookup, req);
    struct replicas *r = lookup->replicas;
    size_t index = lookup->index;
    struct address found[REPLICAS_MAX];
    size_t fresh = 0;
    mem_free(lookup);
    if (r) {
        struct name *n = &r->names[index];
        n->lookup = NULL;
        size_t count = status == 0 ? collect(list, n->port, found) : 0;
        if (count)
            fresh =
                replica_table_set(&r->table, (unsigned)index, found, count, loop_now_ms(r->loop));
        if (!count && !n->failed)
            log_warn("authorize cannot be looked up", LOG_STR("host", n->host),
                     LOG_STR("reason", status ? uv_strerror(status) : "no address"));
        n->failed = !count;
    }
    uv_freeaddrinfo(list);
    if (fresh)
        r->on_found(r->ctx);
}

static void resolve(struct replicas *r, size_t index, uint64_t now)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct name *n = &r->names[index];
    struct lookup *lookup = mem_zalloc(sizeof *lookup);
    lookup->replicas = r;
    lookup->index = index;
    n->begun_at = now;
    n->due_at = now + REPLICAS_RESOLVE_MS;
    if (uv_getaddrinfo(&r->loop->uv, &lookup->req, on_resolved, n->host, NULL, &hints) == 0)
        n->lookup = lookup;
    else
        mem_free(lookup);
}

void replicas_tick(struct replicas *r)
{
    uint64_t now = loop_now_ms(r->loop);
    for (size_t i = 0; i < r->count; i++) {
        if (!r->names[i].lookup && now >= r->names[i].due_at)
            resolve(r, i, now);
    }
}

void replicas_hurry(struct replicas *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct name *n = &r->names[i];
        uint64_t at = n->begun_at + REPLICAS_RESOLVE_MIN_MS;
        if (n->due_at != UINT64_MAX && at < n->due_at)
            n->due_at = at;
    }
}

struct replica_table *replicas_table(struct replicas *r)
{
    return &r->table;
}
