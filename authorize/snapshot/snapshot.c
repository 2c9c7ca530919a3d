#include "authorize/snapshot/snapshot.h"

#include "authorize/snapshot/tunnel.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static void parse_keys(struct snapshot_keys *keys, const struct config_list *list, const char *name,
                       struct diag *d)
{
    for (size_t i = 0; i < list->count; i++) {
        struct public_key key;
        enum err e = public_key_parse_line(&key, view_str(list->items[i].text), NULL);
        if (e != OK) {
            diag_error(d, list->items[i].at, name,
                       "expected a public key as \"TYPE BASE64 [COMMENT]\": %s", err_text(e));
            continue;
        }
        keys->items = mem_realloc(keys->items, (keys->count + 1) * sizeof *keys->items);
        keys->items[keys->count++] = key;
    }
}

static void free_keys(struct snapshot_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        public_key_fini(&keys->items[i]);
    mem_free(keys->items);
}

static void add_ssh(struct snapshot *s, struct snapshot_route *r, struct diag *d)
{
    const struct route *route = r->route;
    parse_keys(&r->host_keys, &route->ssh_upstream_host_keys, "ssh_upstream_host_keys", d);
    parse_keys(&r->host_cas, &route->ssh_upstream_host_ca, "ssh_upstream_host_ca", d);
    map_put(&s->by_name, view_str(route->name), r);
}

static bool is_certificate_demanded(const struct config *c)
{
    return c->downstream_mtls.given &&
           c->downstream_mtls.enforcement == MTLS_POLICY_WITH_DEFAULT_DENY;
}

static void add_routes(struct snapshot *s, struct diag *d)
{
    const struct routes *routes = &s->config->routes;
    s->routes = mem_zalloc_array(routes->count, sizeof *s->routes);
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *route = &routes->items[i];
        if (route->kind == ROUTE_UNSERVED)
            continue;
        struct snapshot_route *r = &s->routes[s->route_count++];
        r->route = route;
        r->policy = policy_new();
        policy_use_zones(r->policy, &s->zones);
        policy_add_route(r->policy, route, d);
        if (route->kind != ROUTE_SSH && is_certificate_demanded(s->config))
            policy_deny_invalid_client_certificate(r->policy);
        map_put(&s->by_id, view_str(route->id), r);
        if (route->kind == ROUTE_SSH)
            add_ssh(s, r, d);
        else
            snapshot_add_tunnel(s, r, d);
    }
    snapshot_index_tunnels(s);
}

/* What is wrong with a key, and what to do about it. */
static const char *key_advice(enum err e)
{
    if (e == ERR_ENCRYPTED)
        return "the key has a passphrase; make one without: postern keygen user-ca, or remove it "
               "with ssh-keygen -p";
    if (e == ERR_UNSUPPORTED)
        return "keys of this type cannot sign certificates here; use ed25519, ecdsa or rsa: "
               "postern "
               "keygen user-ca";
    if (e == ERR_RANGE)
        return "an RSA key has to have 2048 to 16384 bits; make one of 3072: postern keygen "
               "user-ca "
               "--type rsa";
    return "no private key in OpenSSH or PEM format could be read; make one: postern keygen "
           "user-ca";
}

static void add_ca(struct snapshot *s, struct diag *d)
{
    const struct config_blob *blob = &s->config->ssh_user_ca_key;
    /* common/config asks for it where there are ssh routes; files may not have been opened. */
    if (blob->text.len == 0)
        return;
    enum err e = private_key_parse(&s->ca, secret_view(&blob->text));
    if (e != OK)
        diag_error(d, blob->at, blob->key, "%s%s%s", blob->file ? blob->file : "",
                   blob->file ? ": " : "", key_advice(e));
}

static const struct {
    const char *provider;
    const char *name; /* NULL: the prompt names none */
} providers[] = {
    {"oidc", NULL},
    {"local", NULL},
    {"hosted", NULL},
    {"github", "GitHub"},
};

static void add_prompt(struct snapshot *s)
{
    const char *name = s->config->idp_provider;
    for (size_t i = 0; name && i < ARRAY_LEN(providers); i++) {
        if (strcmp(providers[i].provider, name) == 0) {
            name = providers[i].name;
            break;
        }
    }
    if (name && *name)
        s->prompt_text = mem_printf("Please sign in with %s to continue", name);
    s->prompt = s->prompt_text ? s->prompt_text : "Please sign in to continue";
}

struct snapshot *snapshot_new(const struct config *config, zones_read_fn read_zone, struct diag *d)
{
    struct snapshot *s = mem_zalloc(sizeof *s);
    size_t errors = d->errors;
    s->refs = 1;
    s->config = config_ref(config);
    s->zones.read = read_zone;
    add_routes(s, d);
    add_ca(s, d);
    add_prompt(s);
    known_hosts_parse(&s->known_hosts, secret_view(&config->ssh_known_hosts.text),
                      config->ssh_known_hosts.at, d);
    if (d->errors > errors) {
        snapshot_unref(s);
        return NULL;
    }
    return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    s->refs++;
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (!s || --s->refs > 0)
        return;
    for (size_t i = 0; i < s->route_count; i++) {
        policy_free(s->routes[i].policy);
        free_keys(&s->routes[i].host_keys);
        free_keys(&s->routes[i].host_cas);
    }
    mem_free(s->routes);
    map_fini(&s->by_name);
    map_fini(&s->by_destination);
    map_fini(&s->by_tail);
    map_fini(&s->by_id);
    mem_free(s->patterns);
    private_key_fini(&s->ca);
    known_hosts_fini(&s->known_hosts);
    zones_fini(&s->zones);
    mem_free(s->prompt_text);
    config_unref(s->config);
    mem_free(s);
}

const struct snapshot_route *snapshot_route(const struct snapshot *s, struct view typed)
{
    ptrdiff_t colon = view_rfind(typed, ':');
    if (colon > 0) {
        uint64_t port;
        struct view digits = view_skip(typed, (size_t)colon + 1);
        if (text_u64(digits, UINT16_MAX, &port) == OK)
            typed = view_take(typed, (size_t)colon);
    }
    AUTO_FREE char *name = mem_strndup(typed.ptr, typed.len);
    text_lower_str(name);
    return map_get(&s->by_name, view_of(name, typed.len));
}

const struct snapshot_route *snapshot_by_id(const struct snapshot *s, struct view id)
{
    return map_get(&s->by_id, id);
}

bool snapshot_keys_has(const struct snapshot_keys *keys, const struct public_key *key)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (public_key_equal(&keys->items[i], key))
            return true;
    }
    return false;
}
