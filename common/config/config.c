#include "common/config/config.h"

#include <stdatomic.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/value.h"

enum { CANONICAL_MAX = 64 << 20, ENV_MAX = 4 << 20 };

struct config *config_ref(const struct config *c)
{
    (void)atomic_fetch_add(&c->internal->refs, 1);
    return (struct config *)(uintptr_t)c;
}

static void config_free(struct config *c)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++)
        value_fini(keys[i].type, (char *)c + keys[i].offset);
    for (size_t i = 0; i < c->certificate_count; i++) {
        secret_fini(&c->certificates[i].chain.text);
        secret_fini(&c->certificates[i].key.text);
    }
    for (size_t i = 0; i < c->internal->tree_count; i++)
        tree_free(c->internal->trees[i]);
    tree_free(c->internal->arena);
    buf_fini(&c->internal->canonical);
    mem_free(c->internal);
    mem_wipe(c, sizeof *c);
    mem_free(c);
}

void config_unref(const struct config *c)
{
    if (c && atomic_fetch_sub(&c->internal->refs, 1) == 1)
        config_free((struct config *)(uintptr_t)c);
}

struct view config_canonical(const struct config *c)
{
    return buf_view(&c->internal->canonical);
}

enum err config_callback_url(const struct config *c, struct buf *out)
{
    const char *url = c->authenticate_service_url.text;
    if (!url)
        return ERR_NOT_FOUND;
    return buf_printf(out, "%s/oauth2/callback", url);
}

static void keep_tree(struct parse *p, struct tree *t)
{
    struct config_internal *in = p->config->internal;
    CHECK(in->tree_count < ARRAY_LEN(in->trees));
    in->trees[in->tree_count++] = t;
}

/* --- file and environment merged: the environment wins --- */

static struct node *scalar_node(struct parse *p, const char *text, struct diag_place at)
{
    struct node *n = tree_alloc(p->arena, sizeof *n);
    size_t len = strlen(text);
    *n = (struct node){.type = NODE_SCALAR, .at = at, .weight = 1, .len = len};
    n->text = tree_strndup(p->arena, text, len);
    return n;
}

/* ROUTES and POLICY are base64 of a YAML or JSON list, as in Pomerium; other structures plain. */
static struct node *structure_node(struct parse *p, const struct config_key *k, const char *text,
                                   struct diag_place at)
{
    bool encoded = offsetof(struct config, routes) == k->offset;
    AUTO(buf_wipe) struct buf plain;
    buf_init(&plain, ENV_MAX);
    enum err e =
        encoded ? text_unbase64(view_trim(view_str(text)), &plain) : buf_append_str(&plain, text);
    if (e != OK) {
        diag_error(p->diag, at, k->name, "expected base64 of a YAML or JSON list");
        return NULL;
    }
    struct tree *t;
    if (tree_parse(buf_view(&plain), at.file, p->diag, &t) != OK)
        return NULL;
    keep_tree(p, t);
    return t->root;
}

static bool is_structure(const struct config_key *k)
{
    return k->type == CONFIG_TYPE_PAIRS || k->offset == offsetof(struct config, routes) ||
           k->offset == offsetof(struct config, idp_local_users) ||
           k->offset == offsetof(struct config, certificates) ||
           k->offset == offsetof(struct config, downstream_mtls);
}

static void root_put(struct node *root, const char *name, struct node *value)
{
    for (size_t i = 0; i < root->count; i++) {
        if (strcmp(root->keys[i], name) == 0) {
            root->items[i] = value;
            root->key_at[i] = value->at;
            return;
        }
    }
    root->keys[root->count] = name;
    root->items[root->count] = value;
    root->key_at[root->count++] = value->at;
}

static void root_remove(struct node *root, const char *name)
{
    for (size_t i = 0; i < root->count; i++) {
        if (strcmp(root->keys[i], name) != 0)
            continue;
        size_t rest = --root->count - i;
        memmove(&root->keys[i], &root->keys[i + 1], rest * sizeof(char *));
        memmove(&root->items[i], &root->items[i + 1], rest * sizeof(struct node *));
        memmove(&root->key_at[i], &root->key_at[i + 1], rest * sizeof *root->key_at);
        return;
    }
}

/* `other` is the form of the same key that the environment's wins over. */
static void merge_env(struct parse *p, const struct config_key *k, const char *name,
                      const char *other)
{
    char *variable = tree_strndup(p->arena, name, strlen(name));
    for (char *c = variable; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - ('a' - 'A')) : *c;
    const char *text = p->source->env(p->source->ctx, variable);
    if (!text || !*text)
        return;
    AUTO_FREE char *where = mem_printf("environment variable %s", variable);
    struct diag_place at = {.file = value_str(p, view_str(where))};
    bool file = name != k->name;
    struct node *n =
        is_structure(k) && !file ? structure_node(p, k, text, at) : scalar_node(p, text, at);
    if (!n)
        return;
    root_put(p->root, name, n);
    if (other)
        root_remove(p->root, other);
}

static const char *file_form(struct parse *p, const struct config_key *k)
{
    AUTO_FREE char *name = mem_printf("%s_file", k->name);
    return value_str(p, view_str(name));
}

static void merge(struct parse *p, const struct node *file_root)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    size_t cap = file_root->count + 2 * count;
    struct node *root = p->root = tree_alloc(p->arena, sizeof *root);
    *root = (struct node){.type = NODE_MAP, .at = file_root->at, .text = ""};
    root->keys = tree_alloc(p->arena, cap * sizeof(char *));
    root->items = tree_alloc(p->arena, cap * sizeof(struct node *));
    root->key_at = tree_alloc(p->arena, cap * sizeof *root->key_at);
    for (size_t i = 0; i < file_root->count; i++) {
        root->keys[i] = file_root->keys[i];
        root->items[i] = file_root->items[i];
        root->key_at[i] = file_root->key_at[i];
    }
    root->count = file_root->count;
    for (size_t i = 0; p->source->env && i < count; i++) {
        const char *file = keys[i].flags & CONFIG_FILE_FORM ? file_form(p, &keys[i]) : NULL;
        merge_env(p, &keys[i], keys[i].name, file);
        if (file)
            merge_env(p, &keys[i], file, keys[i].name);
    }
}

/* Nothing and an empty text mean what leaving the key out means. */
static bool is_absent(const struct node *n)
{
    return !n || n->type == NODE_NULL || (n->type == NODE_SCALAR && n->len == 0);
}

const struct node *parse_given(const struct parse *p, const char *key)
{
    const struct node *n = node_get(p->root, key);
    if (is_absent(n)) {
        AUTO_FREE char *file = mem_printf("%s_file", key);
        n = node_get(p->root, file);
    }
    return is_absent(n) ? NULL : n;
}

/* --- one key --- */

/* Of a key that is not supported: false and an empty list ask for nothing. */
static bool means_nothing(const struct node *n)
{
    bool b;
    return is_absent(n) || (node_bool(n, &b) && !b) ||
           ((n->type == NODE_LIST || n->type == NODE_MAP) && n->count == 0);
}

static void unknown_key(struct parse *p, const char *name, struct diag_place at,
                        const struct node *n)
{
    bool refused;
    const char *why = config_unsupported(name, &refused);
    if (!why && strncmp(name, "otel_", 5) == 0) {
        diag_error(p->diag, at, name, "not in this release: there is no tracing yet");
    } else if (why && refused && !means_nothing(n)) {
        diag_error(p->diag, at, name, "not supported: %s", why);
    } else if (why) {
        diag_warn(p->diag, at, name, "not supported, ignored: %s", why);
    } else {
        const char *close = config_key_closest(name);
        diag_warn(p->diag, at, name, "unknown key, ignored%s%s%s", close ? ": did you mean " : "",
                  close ? close : "", close ? "?" : "");
    }
}

/* What a key of another service is parsed into. */
union scratch {
    struct config_blob blob;
    struct config_blobs blobs;
    struct secret secret;
    struct config_url url;
    struct config_urls urls;
    struct config_list list;
    struct config_pairs pairs;
    const char *text;
    uint64_t number;
    int choice;
    bool flag;
};

static unsigned readers(const struct parse *p, const struct config_key *k)
{
    bool derived =
        !parse_given(p, "service_certificate_authority") && !parse_given(p, "service_certificate");
    return k->services | (derived && (k->flags & CONFIG_DERIVES) ? CONFIG_ALL : 0);
}

static void apply_known(struct parse *p, const struct config_key *k, const char *name,
                        const struct node *n, bool file)
{
    bool own = readers(p, k) & p->config->service;
    union scratch scratch = {0};
    /* Blobs keep the name, the file's tree may go. */
    const char *kept = value_str(p, view_str(name));
    struct value v = {.key = k, .name = kept, .node = n, .file = file, .own = own};
    v.field = own ? (void *)((char *)p->config + k->offset) : &scratch;
    value_apply(p, &v);
    if (!own)
        value_fini(k->type, &scratch);
}

static void apply_key(struct parse *p, size_t i)
{
    const char *name = p->root->keys[i];
    const struct node *n = p->root->items[i];
    bool file = false;
    const struct config_key *k = config_key_find(name, &file);
    if (!k) {
        unknown_key(p, name, p->root->key_at[i], n);
    } else if (!is_absent(n)) {
        apply_known(p, k, name, n, file);
    }
}

/* Both forms of one key: the file wins, as in Pomerium. */
static void drop_shadowed(struct parse *p)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        const char *file = keys[i].flags & CONFIG_FILE_FORM ? file_form(p, &keys[i]) : NULL;
        const struct node *plain = node_get(p->root, keys[i].name);
        const struct node *named = file ? node_get(p->root, file) : NULL;
        if (!is_absent(plain) && !is_absent(named)) {
            diag_warn(p->diag, plain->at, keys[i].name, "ignored: %s is given too", file);
            root_remove(p->root, keys[i].name);
        }
    }
}

static void apply_defaults(struct parse *p)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        void *field = (char *)p->config + keys[i].offset;
        if (keys[i].initial) {
            struct node *n = scalar_node(p, keys[i].initial, (struct diag_place){0});
            struct value v = {
                .key = &keys[i], .name = keys[i].name, .node = n, .field = field, .own = true};
            value_apply(p, &v);
        } else if (keys[i].offset == offsetof(struct config, metrics_address) ||
                   keys[i].type == CONFIG_TYPE_STRING || keys[i].type == CONFIG_TYPE_ADDRESS) {
            *(const char **)field = "";
        }
    }
}

/* Which service a process is and where it listens is its own: replicas differ in it. */
static bool is_left_out(const char *name)
{
    bool file = false;
    const struct config_key *k = config_key_find(name, &file);
    return strcmp(name, "services") == 0 || strcmp(name, "metrics_address") == 0 ||
           (k && (k->type == CONFIG_TYPE_ADDRESS || (k->flags & CONFIG_HIDDEN)));
}

/* A route's own secret: what is below the root has no row in the table of keys. */
static bool is_secret_of_route(const char *name)
{
    return strcmp(name, "tls_client_key") == 0;
}

static void parse_all(struct parse *p, const struct node *file_root)
{
    apply_defaults(p);
    if (file_root->type != NODE_MAP && file_root->type != NODE_NULL) {
        diag_error(p->diag, file_root->at, "", "expected keys and values, got %s",
                   node_type_name(file_root));
        return;
    }
    merge(p, file_root);
    drop_shadowed(p);
    for (size_t i = 0; i < p->root->count; i++)
        apply_key(p, i);
    rules_apply(p);
    struct buf *canonical = &p->config->internal->canonical;
    buf_init(canonical, CANONICAL_MAX);
    if (node_canonical(p->root, is_left_out, is_secret_of_route, canonical) != OK)
        diag_error(p->diag, file_root->at, "", "larger than 64 MiB with aliases expanded");
}

enum err config_parse(const struct config_source *source, struct diag *d, struct config **out)
{
    struct tree *t;
    struct config *c = mem_zalloc(sizeof *c);
    c->internal = mem_zalloc(sizeof *c->internal);
    c->internal->refs = 1;
    c->internal->arena = tree_new();
    c->service = source->service;
    struct parse p = {.config = c, .source = source, .diag = d, .arena = c->internal->arena};
    c->file = value_str(&p, view_str(source->file));
    size_t errors = d->errors;
    if (tree_parse(source->yaml, c->file, d, &t) == OK) {
        parse_all(&p, t->root);
        /* Policies are parsed by authorize, out of the tree; the others forget it, and wipe it. */
        if (source->service == CONFIG_AUTHORIZE)
            keep_tree(&p, t);
        else
            tree_free(t);
    }
    if (d->errors > errors) {
        config_unref(c);
        return ERR_CONFIG;
    }
    *out = c;
    return OK;
}
