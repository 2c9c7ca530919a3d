#include "common/config/routes.h"

#include <stdarg.h>

#include "common/base/check.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/route_parse.h"
#include "common/config/service_url.h"

enum { ROUTES_MAX = 10000, MATCH_KEY_MAX = 512 };

static const char *const policy_names[] = {
    [HOST_KEY_POLICY_TOFU] = "tofu",
    [HOST_KEY_POLICY_STRICT] = "strict",
    [HOST_KEY_POLICY_INSECURE] = "insecure",
};

bool host_key_policy_parse(struct view text, enum host_key_policy *out)
{
    for (size_t i = 0; i < ARRAY_LEN(policy_names); i++) {
        if (view_eq_case(text, view_str(policy_names[i]))) {
            *out = (enum host_key_policy)i;
            return true;
        }
    }
    return false;
}

const char *host_key_policy_name(enum host_key_policy p)
{
    return policy_names[p];
}

void route_fail(struct route_context *c, struct diag_place at, const char *key, const char *format,
                ...)
{
    AUTO_FREE char *text = NULL;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1024);
    va_list args;
    va_start(args, format);
    IGNORE(buf_vprintf(&b, format, args), "cut");
    va_end(args);
    text = buf_to_str(&b);
    const char *from = c->route->from;
    diag_error(c->diag, at, key, "%s%s%s%s", *from ? "route " : "", from, *from ? ": " : "", text);
    c->failed = true;
}

/* --- the plain keys --- */

static void take_name(struct route_context *c, const char *key, const struct node *n)
{
    route_take_text(c, key, n, &c->route->label);
}

static void take_description(struct route_context *c, const char *key, const struct node *n)
{
    route_take_text(c, key, n, &c->route->description);
}

static void take_logo(struct route_context *c, const char *key, const struct node *n)
{
    route_take_text(c, key, n, &c->route->logo_url);
}

static void take_any(struct route_context *c, const char *key, const struct node *n)
{
    route_take_bool(c, key, n, &c->route->allow_any_authenticated_user);
}

static void take_public(struct route_context *c, const char *key, const struct node *n)
{
    route_take_bool(c, key, n, &c->route->allow_public_unauthenticated_access);
}

static void take_list(struct route_context *c, const char *key, const struct node *n,
                      struct config_list *out)
{
    bool list = n->type == NODE_LIST;
    size_t count = list ? n->count : n->type == NODE_SCALAR;
    if (!list && n->type == NODE_MAP)
        route_fail(c, n->at, key, "expected a list, got a map");
    struct config_item *items = tree_alloc(c->tree, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const struct node *item = list ? n->items[i] : n;
        if (item->type != NODE_SCALAR || item->len == 0)
            route_fail(c, item->at, key, "expected a text, got %s", node_type_name(item));
        items[i] = (struct config_item){route_copy(c, node_view(item)), item->at};
    }
    *out = (struct config_list){items, count};
}

static void take_users(struct route_context *c, const char *key, const struct node *n)
{
    take_list(c, key, n, &c->route->allowed_users);
}

static void take_domains(struct route_context *c, const char *key, const struct node *n)
{
    take_list(c, key, n, &c->route->allowed_domains);
}

static void take_claims(struct route_context *c, const char *key, const struct node *n)
{
    if (n->type == NODE_MAP)
        c->route->allowed_idp_claims = n;
    else if (n->type != NODE_NULL)
        route_fail(c, n->at, key, "expected a map of claims to lists, got %s", node_type_name(n));
}

static void take_policy(struct route_context *c, const char *key, const struct node *n)
{
    (void)key;
    if (n->type != NODE_NULL)
        c->route->policy = n;
}

static void take_host_keys(struct route_context *c, const char *key, const struct node *n)
{
    take_list(c, key, n, &c->route->ssh_upstream_host_keys);
}

static void take_host_ca(struct route_context *c, const char *key, const struct node *n)
{
    take_list(c, key, n, &c->route->ssh_upstream_host_ca);
}

static void take_host_key_policy(struct route_context *c, const char *key, const struct node *n)
{
    if (n->type == NODE_NULL)
        return;
    if (n->type != NODE_SCALAR ||
        !host_key_policy_parse(node_view(n), &c->route->ssh_host_key_policy))
        route_fail(c, n->at, key, "expected one of tofu, strict, insecure");
}

/* from and to are read first, since the messages name the route. */
static void take_nothing(struct route_context *c, const char *key, const struct node *n)
{
    (void)c;
    (void)key;
    (void)n;
}

static const struct {
    const char *key;
    void (*take)(struct route_context *, const char *key, const struct node *);
} rows[] = {
    {"from", take_nothing},
    {"to", take_nothing},
    {"name", take_name},
    {"description", take_description},
    {"logo_url", take_logo},
    {"policy", take_policy},
    {"allow_any_authenticated_user", take_any},
    {"allow_public_unauthenticated_access", take_public},
    {"allowed_users", take_users},
    {"allowed_domains", take_domains},
    {"allowed_idp_claims", take_claims},
    {"ssh_host_key_policy", take_host_key_policy},
    {"ssh_upstream_host_keys", take_host_keys},
    {"ssh_upstream_host_ca", take_host_ca},
};

static bool is_of_kind(const struct route_context *c, const char *key)
{
    return !c->tunnel || strncmp(key, "ssh_", 4) != 0;
}

static bool take_row(struct route_context *c, const char *key, const struct node *n)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].key, key) == 0 && is_of_kind(c, key)) {
            rows[i].take(c, rows[i].key, n);
            return true;
        }
    }
    return c->tunnel && route_tunnel_key(c, key, n);
}

static const char *closest_key(const struct route_context *c, const char *key)
{
    struct closest close = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (is_of_kind(c, rows[i].key))
            closest_offer(&close, key, rows[i].key);
    }
    if (c->tunnel)
        route_tunnel_offer(&close, key);
    return close.best;
}

static void unknown_key(struct route_context *c, const char *key, struct diag_place at)
{
    bool refused = false;
    const char *why = route_unsupported(key, c->tunnel, &refused);
    const char *best = closest_key(c, key);
    if (why && refused)
        route_fail(c, at, key, "not supported: %s", why);
    else if (why && c->tunnel)
        diag_warn(c->diag, at, key, "does nothing on a %s route, ignored: %s",
                  route_kind_name(c->route->kind), why);
    else if (why)
        diag_warn(c->diag, at, key, "not supported, ignored: %s", why);
    else
        diag_warn(c->diag, at, key, "unknown key of a route, ignored%s%s%s",
                  best ? ": did you mean " : "", best ? best : "", best ? "?" : "");
}

/* --- from and to --- */

static void parse_ssh_from(struct route_context *c, const struct node *n, struct view text)
{
    struct view host;
    uint16_t port;
    if (view_ends_with(text, VIEW("/")))
        text.len--;
    if (service_address_parse(text, 22, &host, &port) != OK || !service_host_is_valid(host) ||
        view_find(host, ':') >= 0) {
        route_fail(c, n->at, "from",
                   "config: policy bad source url: expected ssh://NAME with letters, digits, - "
                   "and . (no user, path or wildcard)");
        return;
    }
    char *name = tree_strndup(c->tree, (const char *)host.ptr, host.len);
    text_lower_str(name);
    c->route->name = name;
}

static void parse_from(struct route_context *c, const struct node *n)
{
    static const struct {
        const char *scheme;
        enum route_kind kind;
        bool https;
    } kinds[] = {{"ssh://", ROUTE_SSH, false},      {"tcp+https://", ROUTE_TCP, true},
                 {"tcp+http://", ROUTE_TCP, false}, {"udp+https://", ROUTE_UDP, true},
                 {"udp+http://", ROUTE_UDP, false}, {"https://", ROUTE_UNSERVED, true},
                 {"http://", ROUTE_UNSERVED, false}};
    struct view text = view_trim(node_view(n));
    struct route *r = c->route;
    AUTO_FREE char *text_shown = route_shown(n);
    size_t i = 0;
    r->from = route_copy(c, view_str(text_shown));
    while (i < ARRAY_LEN(kinds) &&
           !view_eq_case(view_take(text, strlen(kinds[i].scheme)), view_str(kinds[i].scheme)))
        i++;
    if (i == ARRAY_LEN(kinds)) {
        route_fail(c, n->at, "from",
                   "config: policy bad source url: expected ssh://NAME, tcp+https://HOST:PORT or "
                   "udp+https://HOST:PORT");
        return;
    }
    struct view rest = view_skip(text, strlen(kinds[i].scheme));
    r->kind = kinds[i].kind;
    r->name = r->from;
    if (r->kind == ROUTE_UNSERVED) {
        diag_warn(c->diag, n->at, "from",
                  "route %s: not served yet: this release serves ssh://, tcp+https:// and "
                  "udp+https:// routes",
                  r->from);
    } else if (r->kind == ROUTE_SSH) {
        parse_ssh_from(c, n, rest);
    } else {
        route_tunnel_from(c, n, rest, kinds[i].https);
        if (!c->failed)
            r->name = r->from = route_copy(c, text);
    }
}

static void parse_target(struct route_context *c, const struct node *n)
{
    struct view text = view_trim(node_view(n)), host;
    uint16_t port;
    if (!view_eq_case(view_take(text, 6), VIEW("ssh://"))) {
        route_fail(c, n->at, "to", "'to' route url must have ssh scheme");
        return;
    }
    text = view_skip(text, 6);
    if (view_ends_with(text, VIEW("/")))
        text.len--;
    if (service_address_parse(text, 22, &host, &port) != OK || host.len == 0 || port == 0) {
        route_fail(c, n->at, "to",
                   "expected ssh://HOST or ssh://HOST:PORT (no user, path or weight)");
        return;
    }
    AUTO_FREE char *address =
        mem_printf(view_find(host, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", VIEW_FMT(host), port);
    c->route->to =
        (struct route_target){route_copy(c, host), port, route_copy(c, view_str(address))};
}

static void parse_to(struct route_context *c, const struct node *route, const struct node *n)
{
    bool list = n && n->type == NODE_LIST;
    size_t count = list ? n->count : n && n->type == NODE_SCALAR;
    if (n && n->type == NODE_MAP)
        route_fail(c, n->at, "to", "expected a URL, got a map");
    else if (count == 0)
        route_fail(c, n ? n->at : route->at, "to", "missing: expected ssh://HOST:PORT");
    else if (count > 1)
        route_fail(c, n->at, "to", "only one 'to' entry allowed for ssh routes");
    else if (list && n->items[0]->type != NODE_SCALAR)
        route_fail(c, n->at, "to", "expected a URL, got %s", node_type_name(n->items[0]));
    else
        parse_target(c, list ? n->items[0] : n);
}

/* --- the whole --- */

static void check_conflicts(struct route_context *c)
{
    const struct route *r = c->route;
    bool lists = r->allowed_users.count || r->allowed_domains.count || r->allowed_idp_claims;
    if (r->allow_public_unauthenticated_access && r->allow_any_authenticated_user)
        route_fail(
            c, r->at, "",
            "config: policy route marked as public and accessible for any authenticated user");
    else if (r->allow_public_unauthenticated_access && lists)
        route_fail(c, r->at, "", "config: policy route marked as public but contains whitelists");
    else if (r->allow_any_authenticated_user && lists)
        route_fail(c, r->at, "",
                   "config: policy route marked accessible for any authenticated user but contains "
                   "whitelists");
}

/* FNV-1a, 64 bits, with a separator between the parts: the same in every process and release. */
static uint64_t hash_part(uint64_t h, const char *s)
{
    for (;; s++) {
        h = (h ^ (uint8_t)*s) * 0x100000001b3u;
        if (!*s)
            return h;
    }
}

/* Another target is another id: what lives on by the old one is decided anew. */
static const char *make_id(struct route_context *c)
{
    static const char *const schemes[] = {"", "tls", "http", "https"};
    const struct route *r = c->route;
    uint64_t h = hash_part(0xcbf29ce484222325u, r->name ? r->name : "");
    const char *address = r->kind == ROUTE_SSH ? r->to.address : "";
    if (!c->tunnel)
        h = hash_part(h, address ? address : "");
    else
        h = hash_part(h, schemes[c->tunnel->scheme]);
    for (size_t i = 0; c->tunnel && i < c->tunnel->endpoint_count; i++)
        h = hash_part(h, c->tunnel->endpoints[i].target.address);
    AUTO_FREE char *hex = mem_printf("%016llx", (unsigned long long)h);
    return route_copy(c, view_str(hex));
}

static void parse_route(struct route_context *c, const struct node *n, enum host_key_policy policy)
{
    struct route *r = c->route;
    *r = (struct route){.at = n->at, .from = "", .label = "", .description = "", .logo_url = ""};
    r->ssh_host_key_policy = policy;
    if (n->type != NODE_MAP) {
        route_fail(c, n->at, "routes", "expected a route (from, to, policy), got %s",
                   node_type_name(n));
        return;
    }
    const struct node *from = node_get(n, "from");
    if (!from || from->type != NODE_SCALAR || from->len == 0)
        route_fail(c, from ? from->at : n->at, "from", "missing: expected ssh://NAME");
    else
        parse_from(c, from);
    if (c->tunnel)
        route_tunnel_to(c, n, node_get(n, "to"));
    else if (r->kind == ROUTE_SSH)
        parse_to(c, n, node_get(n, "to"));
    for (size_t i = 0; i < n->count && r->kind != ROUTE_UNSERVED; i++) {
        if (!take_row(c, n->keys[i], n->items[i]))
            unknown_key(c, n->keys[i], n->key_at[i]);
    }
    if (c->tunnel)
        route_tunnel_finish(c);
    check_conflicts(c);
    r->id = make_id(c);
}

/* Two routes for one destination: the second would never be used. */
static void check_unique(struct route_context *c, struct map *names)
{
    struct route *r = c->route;
    struct route *before = r->kind == ROUTE_SSH ? map_put(names, view_str(r->name), r) : NULL;
    if (before)
        route_fail(c, r->at, "from", "the route is not unique: first in line %u", before->at.line);
    for (size_t i = 0; c->tunnel && i < c->tunnel->match_count; i++) {
        const struct route_match *m = &c->tunnel->matches[i];
        AUTO(buf_fini) struct buf key;
        buf_init(&key, MATCH_KEY_MAX);
        IGNORE(route_match_key(r->kind, view_str(m->host), m->port, &key), "hosts are short");
        before = map_put(names, buf_view(&key), r);
        if (before && before != r)
            route_fail(c, r->at, "from", "the route is not unique: %s is in the one of line %u",
                       m->host, before->at.line);
    }
}

void routes_parse(struct tree *t, const struct node *list, enum host_key_policy host_key_policy,
                  const struct route_files *files, struct diag *d, struct routes *out)
{
    struct routes all = {0};
    size_t count = list ? list->count : 0;
    if (count > ROUTES_MAX) {
        diag_error(d, list->at, "routes", "more than %d routes", ROUTES_MAX);
        return;
    }
    all.items = tree_alloc(t, count * sizeof *all.items);
    struct map names = {0};
    for (size_t i = 0; i < count; i++) {
        struct route *r = &all.items[all.count];
        struct route_context c = {.tree = t, .diag = d, .files = files, .route = r};
        parse_route(&c, list->items[i], host_key_policy);
        if (c.failed)
            continue;
        all.count++;
        check_unique(&c, &names);
    }
    map_fini(&names);
    *out = all;
}

const struct route *routes_find(const struct routes *r, struct view name)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->items[i].kind == ROUTE_SSH && view_eq_case(view_str(r->items[i].name), name))
            return &r->items[i];
    }
    return NULL;
}
