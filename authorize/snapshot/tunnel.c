#include "authorize/snapshot/tunnel.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/x509.h"

enum { HOST_MAX = 255, KEY_MAX = HOST_MAX + 32 };

static void add_destination(struct snapshot *s, const struct snapshot_route *r,
                            const struct route_match *m)
{
    if (m->is_pattern) {
        /* The array is as long as the next power of two. */
        if ((s->pattern_count & (s->pattern_count - 1)) == 0)
            s->patterns = mem_realloc(s->patterns, (s->pattern_count ? s->pattern_count * 2 : 1) *
                                                       sizeof *s->patterns);
        s->patterns[s->pattern_count++] = (struct snapshot_pattern){.match = m, .route = r};
        return;
    }
    AUTO(buf_fini) struct buf key;
    buf_init(&key, KEY_MAX);
    IGNORE(route_match_key(r->route->kind, view_str(m->host), m->port, &key), "hosts are short");
    map_put(&s->by_destination, buf_view(&key), (void *)(uintptr_t)r);
}

/* --- patterns by their tails --- */

struct tail_key {
    uint8_t bytes[3 + HOST_MAX];
    size_t len;
};

static struct view tail_key(enum route_kind kind, uint16_t port, struct view tail,
                            struct tail_key *out)
{
    out->bytes[0] = (uint8_t)kind;
    out->bytes[1] = (uint8_t)(port >> 8);
    out->bytes[2] = (uint8_t)port;
    memcpy(out->bytes + 3, tail.ptr, tail.len);
    return view_of(out->bytes, 3 + tail.len);
}

static struct view tail_of(const char *pattern)
{
    const char *star = strrchr(pattern, '*');
    return view_str(star ? star + 1 : pattern);
}

/* From the last, so that those of one key come in the order of the configuration. */
void snapshot_index_tunnels(struct snapshot *s)
{
    for (size_t i = s->pattern_count; i > 0; i--) {
        struct snapshot_pattern *p = &s->patterns[i - 1];
        struct view tail = tail_of(p->match->host);
        struct tail_key key;
        if (tail.len > HOST_MAX)
            continue; /* no host has it */
        struct view k = tail_key(p->route->route->kind, p->match->port, tail, &key);
        p->next = (size_t)(uintptr_t)map_get(&s->by_tail, k);
        (void)map_put(&s->by_tail, k, (void *)(uintptr_t)i);
        s->has_tail_len[tail.len] = true;
    }
}

/* The first of them that is before `best`, by its number from 1. */
static size_t first_of(const struct snapshot *s, struct view key, struct view host, size_t best)
{
    size_t i = (size_t)(uintptr_t)map_get(&s->by_tail, key);
    for (; i && i < best; i = s->patterns[i - 1].next) {
        if (route_pattern_has(s->patterns[i - 1].match->host, host))
            return i;
    }
    return best;
}

static const struct snapshot_route *find_pattern(const struct snapshot *s, enum route_kind kind,
                                                 struct view host, uint16_t port)
{
    size_t best = s->pattern_count + 1;
    struct tail_key key;
    for (size_t len = 0; len <= host.len; len++) {
        if (!s->has_tail_len[len])
            continue;
        struct view tail = view_skip(host, host.len - len);
        best = first_of(s, tail_key(kind, port, tail, &key), host, best);
        if (port)
            best = first_of(s, tail_key(kind, 0, tail, &key), host, best);
    }
    return best <= s->pattern_count ? s->patterns[best - 1].route : NULL;
}

/* --- what is configured --- */

static void check_blob(const struct config_blob *blob, enum err e, struct diag *d)
{
    if (e != OK)
        diag_error(d, blob->at, blob->key, "%s%s%s", blob->file ? blob->file : "",
                   blob->file ? ": " : "",
                   e == ERR_MISMATCH ? "the key does not belong to the certificate"
                                     : "no PEM that can be read");
}

/* Files may not have been opened; then there is nothing to check. */
static void check_tls(const struct route_tunnel *t, struct diag *d)
{
    size_t count;
    struct view ca = secret_view(&t->tls_ca.text);
    struct view cert = secret_view(&t->tls_cert.text);
    struct view key = secret_view(&t->tls_key.text);
    if (ca.len)
        check_blob(&t->tls_ca, x509_count(ca, &count), d);
    if (!cert.len || !key.len)
        return;
    enum err e = x509_count(cert, &count);
    check_blob(&t->tls_cert, e, d);
    if (e == OK)
        check_blob(&t->tls_key, x509_check_pair(cert, key), d);
}

void snapshot_add_tunnel(struct snapshot *s, const struct snapshot_route *r, struct diag *d)
{
    const struct route_tunnel *t = r->route->tunnel;
    for (size_t i = 0; i < t->match_count; i++)
        add_destination(s, r, &t->matches[i]);
    check_tls(t, d);
}

/* Lower case host without brackets in `host`; *out_port 0 when there is none. */
static enum err split_authority(struct view authority, char host[HOST_MAX + 1], uint16_t *out_port)
{
    uint64_t port = 0;
    ptrdiff_t colon = view_rfind(authority, ':');
    if (authority.len && authority.ptr[authority.len - 1] != ']' && colon >= 0) {
        TRY(text_u64(view_skip(authority, (size_t)colon + 1), UINT16_MAX, &port));
        authority = view_take(authority, (size_t)colon);
        if (port == 0)
            return ERR_RANGE;
    }
    if (view_starts_with(authority, VIEW("[")) && view_ends_with(authority, VIEW("]")))
        authority = view_of(authority.ptr + 1, authority.len - 2);
    if (authority.len == 0 || authority.len > HOST_MAX)
        return ERR_SYNTAX;
    for (size_t i = 0; i < authority.len; i++)
        host[i] = (char)text_lower(authority.ptr[i]);
    host[authority.len] = 0;
    *out_port = (uint16_t)port;
    return OK;
}

static const struct snapshot_route *find_exact(const struct snapshot *s, enum route_kind kind,
                                               struct view host, uint16_t port)
{
    AUTO(buf_fini) struct buf key;
    buf_init(&key, KEY_MAX);
    if (route_match_key(kind, host, port, &key) != OK)
        return NULL;
    return map_get(&s->by_destination, buf_view(&key));
}

const struct snapshot_route *snapshot_tunnel(const struct snapshot *s, enum route_kind kind,
                                             struct view authority)
{
    char text[HOST_MAX + 1];
    uint16_t port;
    if (split_authority(authority, text, &port) != OK)
        return NULL;
    struct view host = view_str(text);
    const struct snapshot_route *found = port ? find_exact(s, kind, host, port) : NULL;
    if (!found)
        found = find_exact(s, kind, host, 0);
    return found ? found : find_pattern(s, kind, host, port);
}
