/* Keys whose values have a shape of their own. */
#include "common/base/check.h"
#include "common/base/ip.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/value.h"

enum { CERTIFICATES_MAX = 256, USERS_MAX = 10000, GROUPS_MAX = 1000 };

static bool is_list(struct parse *p, const struct value *v, size_t max, const char *what)
{
    if (v->node->type == NODE_LIST && v->node->count <= max)
        return true;
    value_expected(p, v, what);
    return false;
}

/* A file name, or PEM in base64 as Pomerium's certificates[] has it. */
static bool certificate_part(struct parse *p, const struct value *v, const struct node *pair,
                             const char *key, struct config_blob *out)
{
    const struct node *n = node_get(pair, key);
    if (!n || n->type != NODE_SCALAR || n->len == 0) {
        diag_error(p->diag, pair->at, v->name, "expected {cert: …, key: …}: no %s", key);
        return false;
    }
    struct config_blob blob = {.key = v->name, .at = n->at};
    value_inline_text(node_view(n), &blob);
    bool ok = true;
    if (view_search(secret_view(&blob.text), VIEW("-----BEGIN")) < 0) {
        value_fini(CONFIG_TYPE_BLOB, &blob);
        ok = v->own && value_blob_file(p, v, n, &blob);
    }
    if (ok)
        *out = blob;
    return ok;
}

static void apply_certificates(struct parse *p, const struct value *v)
{
    struct config *c = p->config;
    if (!is_list(p, v, CERTIFICATES_MAX, "a list of at most 256 {cert: …, key: …}") || !v->own)
        return;
    c->certificates = tree_alloc(p->arena, (v->node->count + 1) * sizeof *c->certificates);
    for (size_t i = 0; i < v->node->count; i++) {
        const struct node *pair = v->node->items[i];
        struct config_certificate cert = {0};
        if (certificate_part(p, v, pair, "cert", &cert.chain) &&
            certificate_part(p, v, pair, "key", &cert.key))
            c->certificates[c->certificate_count++] = cert;
        else
            secret_fini(&cert.chain.text);
    }
}

static const char *user_text(struct parse *p, const struct node *user, const char *key,
                             bool required)
{
    const struct node *n = node_get(user, key);
    if (n && n->type == NODE_SCALAR && n->len)
        return value_str(p, node_view(n));
    if (required || (n && n->type != NODE_NULL))
        diag_error(p->diag, n ? n->at : user->at, "idp_local_users",
                   "expected {email, name, groups, password_hash}: %s is missing or no text", key);
    return "";
}

static void check_user_keys(struct parse *p, const struct node *user)
{
    static const char *const known[] = {"email", "name", "groups", "password_hash"};
    for (size_t i = 0; i < user->count; i++) {
        bool found = false;
        struct closest c = {0};
        for (size_t k = 0; k < ARRAY_LEN(known); k++) {
            found |= strcmp(user->keys[i], known[k]) == 0;
            closest_offer(&c, user->keys[i], known[k]);
        }
        if (!found)
            diag_warn(p->diag, user->key_at[i], "idp_local_users", "unknown key %s%s%s%s",
                      user->keys[i], c.best ? ", did you mean " : "", c.best ? c.best : "",
                      c.best ? "?" : "");
    }
}

static void parse_user(struct parse *p, const struct value *v, const struct node *n,
                       struct config_user *out)
{
    struct config_user user = {.at = n->at};
    if (n->type != NODE_MAP) {
        diag_error(p->diag, n->at, "idp_local_users", "expected a map, got %s", node_type_name(n));
        return;
    }
    check_user_keys(p, n);
    const char *email = user_text(p, n, "email", true);
    char *lower = tree_strndup(p->arena, email, strlen(email));
    text_lower_str(lower);
    user.email = lower;
    user.name = user_text(p, n, "name", false);
    user.password_hash = user_text(p, n, "password_hash", true);
    ptrdiff_t at = view_find(view_str(lower), '@');
    if (*lower && (at < 1 || !lower[at + 1]))
        diag_error(p->diag, n->at, "idp_local_users", "%s is no email address", lower);
    const struct node *groups = node_get(n, "groups");
    if (groups && groups->type != NODE_NULL) {
        struct value list = *v;
        list.node = groups;
        (void)value_list(p, &list, &user.groups);
    }
    *out = user;
}

static void parse_users(struct parse *p, const struct value *v)
{
    struct config *c = p->config;
    const struct node *n = v->node;
    if (!is_list(p, v, USERS_MAX, "a list of at most 10000 {email, name, groups, password_hash}"))
        return;
    struct config_user *users = tree_alloc(p->arena, n->count * sizeof *users);
    struct map seen = {0};
    for (size_t i = 0; i < n->count; i++) {
        parse_user(p, v, n->items[i], &users[i]);
        if (users[i].email && *users[i].email &&
            map_put(&seen, view_str(users[i].email), &users[i]))
            diag_error(p->diag, users[i].at, "idp_local_users", "%s is there twice",
                       users[i].email);
    }
    map_fini(&seen);
    c->idp_local_users = users;
    c->idp_local_user_count = n->count;
}

static void apply_users(struct parse *p, const struct value *v)
{
    if (!v->own)
        return;
    if (!v->file) {
        parse_users(p, v);
        return;
    }
    const char *path;
    AUTO(secret_fini) struct secret text = {0};
    if (v->node->type != NODE_SCALAR) {
        value_expected(p, v, "the name of a file");
        return;
    }
    if (!value_read_file(p, v, v->node, &text, &path))
        return;
    struct tree *t;
    if (tree_parse(secret_view(&text), path, p->diag, &t) != OK)
        return;
    struct value list = *v;
    list.node = t->root;
    parse_users(p, &list);
    tree_free(t);
}

static void apply_max_startups(struct parse *p, const struct value *v)
{
    uint64_t n[3];
    size_t count = 0;
    struct view rest = node_view(v->node), part;
    bool ok = v->node->type == NODE_SCALAR;
    while (ok && view_next(&rest, ':', &part)) {
        ok = count < 3 && text_u64(part, count == 1 ? 100 : 1000000, &n[count]) == OK;
        count++;
    }
    if (ok && count == 3 && n[0] >= 1 && n[1] >= 1 && n[2] >= n[0])
        p->config->ssh_max_startups =
            (struct ssh_max_startups){(uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2]};
    else
        value_expected(p, v, "start:rate:full such as 100:30:500 (rate in percent)");
}

static bool is_service_name(const char *name)
{
    for (unsigned s = CONFIG_AUTHENTICATE; s <= CONFIG_DATABROKER; s *= 2) {
        if (strcmp(config_service_name((enum config_service)s), name) == 0)
            return true;
    }
    return false;
}

/* One address, or {service: address}; that of this service is kept. */
static void apply_metrics(struct parse *p, const struct value *v)
{
    struct config *c = p->config;
    const struct node *n = v->node;
    struct value one = *v;
    const char *unused = "";
    if (n->type == NODE_SCALAR) {
        one.field = v->own ? &c->metrics_address : &unused;
        c->metrics_address_at = n->at;
        value_address(p, &one);
        return;
    }
    if (n->type != NODE_MAP) {
        value_expected(p, v, "an address such as 127.0.0.1:9902, or a map of them by service");
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        bool own = strcmp(n->keys[i], config_service_name(c->service)) == 0;
        if (!is_service_name(n->keys[i])) {
            diag_error(p->diag, n->key_at[i], v->name,
                       "%s is no service: authenticate, authorize, proxy and databroker are",
                       n->keys[i]);
            continue;
        }
        one.node = n->items[i];
        one.field = own ? &c->metrics_address : &unused;
        if (own)
            c->metrics_address_at = one.node->at;
        if (one.node->type != NODE_NULL)
            value_address(p, &one);
    }
}

/* IP addresses and networks. */
static void apply_networks(struct parse *p, const struct value *v)
{
    struct config_list list;
    if (!value_list(p, v, &list))
        return;
    for (size_t i = 0; i < list.count; i++) {
        struct ip_net net;
        const struct config_item *item = &list.items[i];
        if (ip_net_parse(view_str(item->text), &net) != OK)
            diag_error(p->diag, item->at, v->name,
                       "expected an IP address or a network such as 10.0.0.0/8 or fd00::/8, got "
                       "\"%s\"",
                       item->text);
        else if (net.prefix == 0 && v->own)
            diag_warn(p->diag, item->at, v->name,
                      "%s is everybody: whoever reaches the listener may claim any address",
                      item->text);
    }
    *(struct config_list *)v->field = list;
}

/* Parsed by rules_apply, when ssh_host_key_policy is known. */
static void apply_routes(struct parse *p, const struct value *v)
{
    if (v->node->type != NODE_LIST)
        value_expected(p, v, "a list of routes");
    else if (strcmp(v->key->name, "routes") == 0)
        p->routes = v->node;
    else
        p->policy = v->node;
}

void custom_apply(struct parse *p, const struct value *v)
{
    static const struct {
        const char *name;
        void (*apply)(struct parse *, const struct value *);
    } rows[] = {
        {"certificates", apply_certificates},
        {"downstream_mtls", mtls_apply},
        {"idp_local_users", apply_users},
        {"metrics_address", apply_metrics},
        {"proxy_protocol_trusted", apply_networks},
        {"ssh_max_startups", apply_max_startups},
        {"routes", apply_routes},
        {"policy", apply_routes},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, v->key->name) == 0) {
            rows[i].apply(p, v);
            return;
        }
    }
    CHECK(false);
}
