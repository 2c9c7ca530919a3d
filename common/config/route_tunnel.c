/* from, to and the keys of tcp and udp routes. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/route_parse.h"

enum {
    FROM_MAX = 2048,
    MATCHES_MAX = 256,
    ENDPOINTS_MAX = 1000,
    WEIGHT_MAX = 10000,
    PERCENT_MAX = 100,
    SECOND = 1000,
};

/* --- from --- */

static void from_failed(struct route_context *c, const struct node *n, const char *why)
{
    route_fail(c, n->at, "from", "config: policy bad source url: %s", why);
}

static bool add_match(struct route_context *c, struct view text)
{
    struct route_tunnel *t = c->tunnel;
    struct route_match m = {0};
    if (route_authority_parse(c, text, true, &m.host, &m.port) != OK)
        return false;
    m.is_pattern = strchr(m.host, '*');
    for (size_t i = 0; i < t->match_count; i++) {
        if (t->matches[i].port == m.port && strcmp(t->matches[i].host, m.host) == 0)
            return true;
    }
    t->matches[t->match_count++] = m;
    return true;
}

/* Each segment of the path is one destination; a slash at the end is none. */
static void parse_path(struct route_context *c, const struct node *n, struct view path)
{
    struct view segment;
    size_t count = 0;
    c->tunnel->is_bastion = true;
    for (size_t i = 0; i < path.len; i++)
        count += path.ptr[i] == '/';
    if (count >= MATCHES_MAX) {
        from_failed(c, n, "more than 256 destinations in its path");
        return;
    }
    c->tunnel->matches = tree_alloc(c->tree, (count + 1) * sizeof *c->tunnel->matches);
    while (view_next(&path, '/', &segment)) {
        if (!add_match(c, segment)) {
            from_failed(c, n, "in its path expected destinations such as db.internal:5432");
            return;
        }
    }
}

static void start(struct route_context *c)
{
    struct route_tunnel *t = c->tunnel = tree_alloc(c->tree, sizeof *t);
    bool udp = c->route->kind == ROUTE_UDP;
    *t = (struct route_tunnel){
        .proxy_host = "",
        .tls_server_name = "",
        .connect_timeout = 10 * SECOND,
        .idle_timeout = udp ? 5 * 60 * SECOND : 0,
        .keepalive = 60 * SECOND,
        .outlier = {.consecutive_failures = 5,
                    .base_ejection = 30 * SECOND,
                    .max_ejection = 5 * 60 * SECOND,
                    .max_ejection_percent = 10},
        .panic_threshold = 50,
    };
    c->route->tunnel = t;
}

void route_tunnel_from(struct route_context *c, const struct node *n, struct view text,
                       bool is_https)
{
    uint16_t port;
    start(c);
    if (n->len > FROM_MAX) {
        from_failed(c, n, "longer than 2048 bytes");
        return;
    }
    if (view_find(text, '@') >= 0 || view_find(text, '?') >= 0 || view_find(text, '#') >= 0) {
        from_failed(c, n, "user information, a query or a fragment is not allowed");
        return;
    }
    ptrdiff_t slash = view_find(text, '/');
    struct view authority = slash < 0 ? text : view_take(text, (size_t)slash);
    struct view path = slash < 0 ? view_str("") : view_skip(text, (size_t)slash + 1);
    if (route_authority_parse(c, authority, true, &c->tunnel->proxy_host, &port) != OK) {
        from_failed(c, n, "expected HOST or HOST:PORT behind the scheme");
        return;
    }
    if (view_ends_with(path, VIEW("/")))
        path.len--;
    c->tunnel->proxy_port = is_https ? 443 : 80;
    if (path.len) {
        parse_path(c, n, path);
        c->tunnel->proxy_port = port ? port : c->tunnel->proxy_port;
    } else {
        c->tunnel->matches = tree_alloc(c->tree, sizeof *c->tunnel->matches);
        (void)add_match(c, authority); /* parsed a moment ago */
    }
}

/* --- to --- */

struct scheme {
    const char *prefix;
    enum route_scheme scheme;
    uint16_t port;           /* 0: has to be written */
    enum route_kind only_on; /* ROUTE_UNSERVED: on both */
};

static const struct scheme schemes[] = {
    {"tcp://", ROUTE_PLAIN, 0, ROUTE_TCP},
    {"udp://", ROUTE_PLAIN, 0, ROUTE_UDP},
    {"tls://", ROUTE_TLS, 0, ROUTE_TCP},
    {"http://", ROUTE_HTTP_PROXY, 80, ROUTE_UNSERVED},
    {"https://", ROUTE_HTTPS_PROXY, 443, ROUTE_UNSERVED},
};

static const char *const wanted[] = {
    [ROUTE_TCP] = "expected tcp://HOST:PORT, tls://HOST:PORT, or http:// or https:// of a proxy",
    [ROUTE_UDP] = "expected udp://HOST:PORT, or http:// or https:// of a proxy",
};

static const struct scheme *find_scheme(const struct route_context *c, struct view text)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct view prefix = view_str(schemes[i].prefix);
        bool fits = schemes[i].only_on == ROUTE_UNSERVED || schemes[i].only_on == c->route->kind;
        if (fits && view_eq_case(view_take(text, prefix.len), prefix))
            return &schemes[i];
    }
    return NULL;
}

static const char *make_address(struct route_context *c, const char *host, uint16_t port)
{
    AUTO_FREE char *address = mem_printf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    return route_copy(c, view_str(address));
}

/* "URL,WEIGHT": *text keeps the URL. False after an error; without a weight *out is untouched. */
static bool take_weight(struct route_context *c, const struct node *n, struct view *text,
                        uint32_t *out)
{
    ptrdiff_t comma = view_rfind(*text, ',');
    if (comma < 0)
        return true;
    uint64_t weight;
    if (text_u64(view_trim(view_skip(*text, (size_t)comma + 1)), WEIGHT_MAX, &weight) != OK ||
        weight == 0) {
        route_fail(c, n->at, "to", "expected a weight from 1 to 10000 behind the comma");
        return false;
    }
    *text = view_trim(view_take(*text, (size_t)comma));
    *out = (uint32_t)weight;
    return true;
}

static const struct scheme *parse_endpoint(struct route_context *c, const struct node *n,
                                           struct route_endpoint *out)
{
    struct view text = view_trim(node_view(n));
    struct route_endpoint e = {0};
    if (n->type != NODE_SCALAR) {
        route_fail(c, n->at, "to", "expected a URL, got %s", node_type_name(n));
        return NULL;
    }
    if (!take_weight(c, n, &text, &e.weight))
        return NULL;
    const struct scheme *s = find_scheme(c, text);
    if (!s) {
        route_fail(c, n->at, "to", "%s", wanted[c->route->kind]);
        return NULL;
    }
    text = view_skip(text, strlen(s->prefix));
    if (view_ends_with(text, VIEW("/")))
        text.len--;
    if (route_authority_parse(c, text, false, &e.target.host, &e.target.port) != OK) {
        route_fail(c, n->at, "to", "expected %sHOST:PORT (no user, path, query or wildcard)",
                   s->prefix);
        return NULL;
    }
    if (e.target.port == 0 && s->port == 0) {
        route_fail(c, n->at, "to", "the port is missing: write %s%.*s:PORT", s->prefix,
                   VIEW_FMT(text));
        return NULL;
    }
    e.target.port = e.target.port ? e.target.port : s->port;
    e.target.address = make_address(c, e.target.host, e.target.port);
    *out = e;
    return s;
}

static void check_mix(struct route_context *c, const struct node *n, const struct scheme *first,
                      const struct scheme *s)
{
    int a = (int)strlen(first->prefix) - 3;
    if (s->scheme != first->scheme)
        route_fail(c, n->at, "to", "cannot mix %.*s and non-%.*s To URLs", a, first->prefix, a,
                   first->prefix);
}

static void check_weights(struct route_context *c, const struct node *n)
{
    struct route_tunnel *t = c->tunnel;
    size_t weighted = 0;
    for (size_t i = 0; i < t->endpoint_count; i++)
        weighted += t->endpoints[i].weight > 0;
    if (weighted && weighted < t->endpoint_count)
        route_fail(c, n->at, "to", "%zu of %zu URLs have a weight: give one to all or to none",
                   weighted, t->endpoint_count);
    for (size_t i = 0; i < t->endpoint_count; i++)
        t->endpoints[i].weight = t->endpoints[i].weight ? t->endpoints[i].weight : 1;
}

void route_tunnel_to(struct route_context *c, const struct node *route, const struct node *n)
{
    struct route_tunnel *t = c->tunnel;
    bool list = n && n->type == NODE_LIST;
    size_t count = list ? n->count : n && n->type != NODE_NULL && (n->type == NODE_MAP || n->len);
    const struct scheme *first = NULL;
    if (count == 0 || count > ENDPOINTS_MAX) {
        route_fail(c, n ? n->at : route->at, "to", "%s: %s", count ? "too many" : "missing",
                   wanted[c->route->kind]);
        return;
    }
    t->endpoints = tree_alloc(c->tree, count * sizeof *t->endpoints);
    for (size_t i = 0; i < count; i++) {
        const struct node *item = list ? n->items[i] : n;
        const struct scheme *s = parse_endpoint(c, item, &t->endpoints[t->endpoint_count]);
        if (!s)
            continue;
        first = first ? first : s;
        check_mix(c, item, first, s);
        t->endpoint_count++;
    }
    if (first)
        t->scheme = first->scheme;
    if (t->endpoint_count == count)
        check_weights(c, n);
}

/* --- the keys --- */

static void take_balancing(struct route_context *c, const char *key, const struct node *n)
{
    static const struct {
        const char *name;
        enum route_balancing balancing;
        bool sticky;
    } names[] = {
        {"round_robin", ROUTE_ROUND_ROBIN, false},     {"random", ROUTE_RANDOM, false},
        {"least_request", ROUTE_LEAST_REQUEST, false}, {"maglev", ROUTE_ROUND_ROBIN, true},
        {"ring_hash", ROUTE_ROUND_ROBIN, true},
    };
    for (size_t i = 0; n->type == NODE_SCALAR && i < ARRAY_LEN(names); i++) {
        if (!view_eq_case(node_view(n), view_str(names[i].name)))
            continue;
        c->tunnel->balancing = names[i].balancing;
        if (names[i].sticky)
            diag_warn(c->diag, n->at, key,
                      "%s is not supported, round_robin is used: connections of one client may "
                      "go to different endpoints",
                      names[i].name);
        return;
    }
    if (n->type != NODE_NULL)
        route_fail(c, n->at, key, "expected one of round_robin, random, least_request");
}

static void take_proxy_header(struct route_context *c, const char *key, const struct node *n)
{
    if (n->type == NODE_NULL)
        return;
    bool v1 = n->type == NODE_SCALAR && view_eq_case(node_view(n), VIEW("v1"));
    bool v2 = n->type == NODE_SCALAR && view_eq_case(node_view(n), VIEW("v2"));
    if (!v1 && !v2)
        route_fail(c, n->at, key, "expected v1 or v2");
    else if (c->route->kind == ROUTE_UDP)
        diag_warn(c->diag, n->at, key, "does nothing on a udp route: it is for tcp");
    else
        c->tunnel->proxy_header = v1 ? ROUTE_HEADER_V1 : ROUTE_HEADER_V2;
}

static void take_connect_timeout(struct route_context *c, const char *key, const struct node *n)
{
    route_take_duration(c, key, n, &c->tunnel->connect_timeout);
    if (c->tunnel->connect_timeout == 0)
        route_fail(c, n->at, key, "expected a duration above 0");
}

static void take_timeout(struct route_context *c, const char *key, const struct node *n)
{
    route_take_duration(c, key, n, &c->tunnel->timeout);
}

static void take_idle_timeout(struct route_context *c, const char *key, const struct node *n)
{
    route_take_duration(c, key, n, &c->tunnel->idle_timeout);
}

static void take_keepalive(struct route_context *c, const char *key, const struct node *n)
{
    route_take_duration(c, key, n, &c->tunnel->keepalive);
}

static void take_panic(struct route_context *c, const char *key, const struct node *n)
{
    route_take_number(c, key, n, PERCENT_MAX, &c->tunnel->panic_threshold);
}

static void take_skip_verify(struct route_context *c, const char *key, const struct node *n)
{
    route_take_bool(c, key, n, &c->tunnel->tls_skip_verify);
}

/* tls_upstream_server_name is the newer name and wins, whichever comes first. */
static void take_server_name(struct route_context *c, const char *key, const struct node *n)
{
    const char *name = "";
    route_take_text(c, key, n, &name);
    if (*name && (strcmp(key, "tls_upstream_server_name") == 0 || !*c->tunnel->tls_server_name))
        c->tunnel->tls_server_name = name;
}

static void take_ca(struct route_context *c, const char *key, const struct node *n)
{
    route_take_tls_blob(c, key, n, &c->tunnel->tls_ca);
}

static void take_cert(struct route_context *c, const char *key, const struct node *n)
{
    route_take_tls_blob(c, key, n, &c->tunnel->tls_cert);
}

static void take_key(struct route_context *c, const char *key, const struct node *n)
{
    route_take_tls_blob(c, key, n, &c->tunnel->tls_key);
}

static const struct {
    const char *key;
    void (*take)(struct route_context *, const char *key, const struct node *);
} rows[] = {
    {"connect_timeout", take_connect_timeout},
    {"health_checks", route_take_health_checks},
    {"healthy_panic_threshold", take_panic},
    {"idle_timeout", take_idle_timeout},
    {"load_balancing_policy", take_balancing},
    {"outlier_detection", route_take_outlier},
    {"tcp_keepalive", take_keepalive},
    {"timeout", take_timeout},
    {"tls_client_cert", take_cert},
    {"tls_client_cert_file", take_cert},
    {"tls_client_key", take_key},
    {"tls_client_key_file", take_key},
    {"tls_custom_ca", take_ca},
    {"tls_custom_ca_file", take_ca},
    {"tls_server_name", take_server_name},
    {"tls_skip_verify", take_skip_verify},
    {"tls_upstream_server_name", take_server_name},
    {"upstream_proxy_protocol", take_proxy_header},
};

bool route_tunnel_key(struct route_context *c, const char *key, const struct node *n)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].key, key) == 0) {
            rows[i].take(c, rows[i].key, n);
            return true;
        }
    }
    return false;
}

void route_tunnel_offer(struct closest *close, const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        closest_offer(close, key, rows[i].key);
}

void route_tunnel_finish(struct route_context *c)
{
    route_tls_finish(c);
}
