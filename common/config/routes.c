#include "common/config/routes.h"

#include <stdarg.h>

#include "common/base/check.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/service_url.h"

enum { ROUTES_MAX = 10000, SHOWN_MAX = 60 };

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

struct context {
    struct tree *tree;
    struct diag *diag;
    struct route *route;
    bool failed; /* this route has an error */
};

[[gnu::format(printf, 4, 5)]] static void fail(struct context *c, struct diag_place at,
                                               const char *key, const char *format, ...)
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

/* The text of a node as it may be shown. Fresh memory. */
static char *shown(const struct node *n)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, SHOWN_MAX * 2);
    IGNORE(text_printable(view_take(node_view(n), SHOWN_MAX), &b), "fits");
    return buf_to_str(&b);
}

static const char *copy(struct context *c, struct view v)
{
    return tree_strndup(c->tree, (const char *)v.ptr, v.len);
}

/* --- the plain keys --- */

static void take_text(struct context *c, const char *key, const struct node *n, const char **out)
{
    if (n->type == NODE_SCALAR)
        *out = copy(c, node_view(n));
    else if (n->type != NODE_NULL)
        fail(c, n->at, key, "expected a text, got %s", node_type_name(n));
}

static void take_name(struct context *c, const char *key, const struct node *n)
{
    take_text(c, key, n, &c->route->label);
}

static void take_description(struct context *c, const char *key, const struct node *n)
{
    take_text(c, key, n, &c->route->description);
}

static void take_bool(struct context *c, const char *key, const struct node *n, bool *out)
{
    if (n->type != NODE_NULL && !node_bool(n, out))
        fail(c, n->at, key, "expected true or false");
}

static void take_any(struct context *c, const char *key, const struct node *n)
{
    take_bool(c, key, n, &c->route->allow_any_authenticated_user);
}

static void take_public(struct context *c, const char *key, const struct node *n)
{
    take_bool(c, key, n, &c->route->allow_public_unauthenticated_access);
}

static void take_list(struct context *c, const char *key, const struct node *n,
                      struct config_list *out)
{
    bool list = n->type == NODE_LIST;
    size_t count = list ? n->count : n->type == NODE_SCALAR;
    if (!list && n->type == NODE_MAP)
        fail(c, n->at, key, "expected a list, got a map");
    struct config_item *items = tree_alloc(c->tree, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const struct node *item = list ? n->items[i] : n;
        if (item->type != NODE_SCALAR || item->len == 0)
            fail(c, item->at, key, "expected a text, got %s", node_type_name(item));
        items[i] = (struct config_item){copy(c, node_view(item)), item->at};
    }
    *out = (struct config_list){items, count};
}

static void take_users(struct context *c, const char *key, const struct node *n)
{
    take_list(c, key, n, &c->route->allowed_users);
}

static void take_domains(struct context *c, const char *key, const struct node *n)
{
    take_list(c, key, n, &c->route->allowed_domains);
}

static void take_claims(struct context *c, const char *key, const struct node *n)
{
    if (n->type == NODE_MAP)
        c->route->allowed_idp_claims = n;
    else if (n->type != NODE_NULL)
        fail(c, n->at, key, "expected a map of claims to lists, got %s", node_type_name(n));
}

static void take_policy(struct context *c, const char *key, const struct node *n)
{
    (void)key;
    if (n->type != NODE_NULL)
        c->route->policy = n;
}

static void take_host_keys(struct context *c, const char *key, const struct node *n)
{
    take_list(c, key, n, &c->route->ssh_upstream_host_keys);
}

static void take_host_ca(struct context *c, const char *key, const struct node *n)
{
    take_list(c, key, n, &c->route->ssh_upstream_host_ca);
}

static void take_host_key_policy(struct context *c, const char *key, const struct node *n)
{
    if (n->type == NODE_NULL)
        return;
    if (n->type != NODE_SCALAR ||
        !host_key_policy_parse(node_view(n), &c->route->ssh_host_key_policy))
        fail(c, n->at, key, "expected one of tofu, strict, insecure");
}

/* from and to are read first, since the messages name the route. */
static void take_nothing(struct context *c, const char *key, const struct node *n)
{
    (void)c;
    (void)key;
    (void)n;
}

static const struct {
    const char *key;
    void (*take)(struct context *, const char *key, const struct node *);
} rows[] = {
    {"from", take_nothing},
    {"to", take_nothing},
    {"name", take_name},
    {"description", take_description},
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

static void unknown_key(struct context *c, const char *key, struct diag_place at)
{
    bool refused;
    const char *why = route_unsupported(key, &refused);
    struct closest close = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        closest_offer(&close, key, rows[i].key);
    if (why && refused)
        fail(c, at, key, "not supported: %s", why);
    else if (why)
        diag_warn(c->diag, at, key, "not supported, ignored: %s", why);
    else
        diag_warn(c->diag, at, key, "unknown key of a route, ignored%s%s%s",
                  close.best ? ": did you mean " : "", close.best ? close.best : "",
                  close.best ? "?" : "");
}

/* --- from and to --- */

static void parse_from(struct context *c, const struct node *n)
{
    static const char *const unserved[] = {"https://",    "http://",      "tcp+https://",
                                           "tcp+http://", "udp+https://", "udp+http://"};
    struct view text = view_trim(node_view(n)), host;
    struct route *r = c->route;
    AUTO_FREE char *text_shown = shown(n);
    r->from = copy(c, view_str(text_shown));
    uint16_t port;
    for (size_t i = 0; i < ARRAY_LEN(unserved); i++) {
        struct view scheme = view_str(unserved[i]);
        if (view_eq_case(view_take(text, scheme.len), scheme)) {
            r->kind = ROUTE_UNSERVED;
            r->name = r->from;
            diag_warn(c->diag, n->at, "from",
                      "route %s: not served yet: this release serves ssh:// routes", r->from);
            return;
        }
    }
    if (!view_eq_case(view_take(text, 6), VIEW("ssh://"))) {
        fail(c, n->at, "from", "config: policy bad source url: expected ssh://NAME");
        return;
    }
    text = view_skip(text, 6);
    if (view_ends_with(text, VIEW("/")))
        text.len--;
    if (service_address_parse(text, 22, &host, &port) != OK || !service_host_is_valid(host) ||
        view_find(host, ':') >= 0) {
        fail(c, n->at, "from",
             "config: policy bad source url: expected ssh://NAME with letters, digits, - and . "
             "(no user, path or wildcard)");
        return;
    }
    char *name = tree_strndup(c->tree, (const char *)host.ptr, host.len);
    text_lower_str(name);
    r->name = name;
}

static void parse_target(struct context *c, const struct node *n)
{
    struct view text = view_trim(node_view(n)), host;
    uint16_t port;
    if (!view_eq_case(view_take(text, 6), VIEW("ssh://"))) {
        fail(c, n->at, "to", "'to' route url must have ssh scheme");
        return;
    }
    text = view_skip(text, 6);
    if (view_ends_with(text, VIEW("/")))
        text.len--;
    if (service_address_parse(text, 22, &host, &port) != OK || host.len == 0 || port == 0) {
        fail(c, n->at, "to", "expected ssh://HOST or ssh://HOST:PORT (no user, path or weight)");
        return;
    }
    AUTO_FREE char *address =
        mem_printf(view_find(host, ':') >= 0 ? "[%.*s]:%u" : "%.*s:%u", VIEW_FMT(host), port);
    c->route->to = (struct route_target){copy(c, host), port, copy(c, view_str(address))};
}

static void parse_to(struct context *c, const struct node *route, const struct node *n)
{
    bool list = n && n->type == NODE_LIST;
    size_t count = list ? n->count : n && n->type == NODE_SCALAR;
    if (n && n->type == NODE_MAP)
        fail(c, n->at, "to", "expected a URL, got a map");
    else if (count == 0)
        fail(c, n ? n->at : route->at, "to", "missing: expected ssh://HOST:PORT");
    else if (count > 1)
        fail(c, n->at, "to", "only one 'to' entry allowed for ssh routes");
    else if (list && n->items[0]->type != NODE_SCALAR)
        fail(c, n->at, "to", "expected a URL, got %s", node_type_name(n->items[0]));
    else
        parse_target(c, list ? n->items[0] : n);
}

/* --- the whole --- */

static void check_conflicts(struct context *c)
{
    const struct route *r = c->route;
    bool lists = r->allowed_users.count || r->allowed_domains.count || r->allowed_idp_claims;
    if (r->allow_public_unauthenticated_access && r->allow_any_authenticated_user)
        fail(c, r->at, "",
             "config: policy route marked as public and accessible for any authenticated user");
    else if (r->allow_public_unauthenticated_access && lists)
        fail(c, r->at, "", "config: policy route marked as public but contains whitelists");
    else if (r->allow_any_authenticated_user && lists)
        fail(c, r->at, "",
             "config: policy route marked accessible for any authenticated user but contains "
             "whitelists");
}

/* FNV-1a, 64 bits, with a separator between the parts: the same in every process and release. */
static const char *make_id(struct context *c)
{
    const char *parts[] = {c->route->name, c->route->kind == ROUTE_SSH ? c->route->to.address : ""};
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        for (const char *s = parts[i] ? parts[i] : "";; s++) {
            h = (h ^ (uint8_t)*s) * 0x100000001b3u;
            if (!*s)
                break;
        }
    }
    AUTO_FREE char *hex = mem_printf("%016llx", (unsigned long long)h);
    return copy(c, view_str(hex));
}

static void parse_route(struct context *c, const struct node *n, enum host_key_policy policy)
{
    struct route *r = c->route;
    *r = (struct route){.at = n->at, .from = "", .label = "", .description = ""};
    r->ssh_host_key_policy = policy;
    if (n->type != NODE_MAP) {
        fail(c, n->at, "routes", "expected a route (from, to, policy), got %s", node_type_name(n));
        return;
    }
    const struct node *from = node_get(n, "from");
    if (!from || from->type != NODE_SCALAR || from->len == 0)
        fail(c, from ? from->at : n->at, "from", "missing: expected ssh://NAME");
    else
        parse_from(c, from);
    if (r->kind == ROUTE_SSH)
        parse_to(c, n, node_get(n, "to"));
    for (size_t i = 0; i < n->count && r->kind == ROUTE_SSH; i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(rows) && strcmp(rows[k].key, n->keys[i]) != 0)
            k++;
        if (k < ARRAY_LEN(rows))
            rows[k].take(c, rows[k].key, n->items[i]);
        else
            unknown_key(c, n->keys[i], n->key_at[i]);
    }
    check_conflicts(c);
    r->id = make_id(c);
}

void routes_parse(struct tree *t, const struct node *list, enum host_key_policy host_key_policy,
                  struct diag *d, struct routes *out)
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
        struct context c = {.tree = t, .diag = d, .route = r};
        parse_route(&c, list->items[i], host_key_policy);
        if (c.failed)
            continue;
        all.count++;
        struct route *before = r->kind == ROUTE_SSH ? map_put(&names, view_str(r->name), r) : NULL;
        if (before)
            fail(&c, r->at, "from", "the route is not unique: first in line %u", before->at.line);
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
