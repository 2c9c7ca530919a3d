#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/config/tree.h"

const struct node *node_get(const struct node *n, const char *key)
{
    if (!n || n->type != NODE_MAP)
        return NULL;
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->keys[i], key) == 0)
            return n->items[i];
    }
    return NULL;
}

struct view node_view(const struct node *n)
{
    return view_of(n->text, n->len);
}

const char *node_type_name(const struct node *n)
{
    static const char *const names[] = {[NODE_NULL] = "nothing",
                                        [NODE_SCALAR] = "a value",
                                        [NODE_LIST] = "a list",
                                        [NODE_MAP] = "a map"};
    return names[n->type];
}

bool node_bool(const struct node *n, bool *out)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"true", true},   {"True", true}, {"TRUE", true},   {"t", true},
                 {"T", true},      {"1", true},    {"false", false}, {"False", false},
                 {"FALSE", false}, {"f", false},   {"F", false},     {"0", false}};
    for (size_t i = 0; n->type == NODE_SCALAR && i < ARRAY_LEN(words); i++) {
        if (view_eq_str(node_view(n), words[i].text)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

struct entry {
    const char *key;
    const struct node *value;
};

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->key, ((const struct entry *)b)->key);
}

/* The depth is that of the tree: at most TREE_DEPTH_MAX. */
static enum err write_node(const struct node *n, bool (*skip)(const char *key),
                           bool (*skip_below)(const char *key), struct buf *out)
{
    if (n->type == NODE_NULL)
        return buf_append_str(out, "~");
    if (n->type == NODE_SCALAR) {
        TRY(buf_printf(out, "%zu:", n->len));
        return buf_append(out, node_view(n));
    }
    bool map = n->type == NODE_MAP;
    TRY(buf_append_str(out, map ? "{" : "["));
    AUTO_FREE struct entry *entries = mem_zalloc_array(n->count, sizeof *entries);
    for (size_t i = 0; i < n->count; i++)
        entries[i] = (struct entry){map ? n->keys[i] : "", n->items[i]};
    if (map && n->count > 1)
        qsort(entries, n->count, sizeof *entries, by_key);
    for (size_t i = 0; i < n->count; i++) {
        if (map && skip && skip(entries[i].key))
            continue;
        if (map)
            TRY(buf_printf(out, "%zu:%s=", strlen(entries[i].key), entries[i].key));
        TRY(write_node(entries[i].value, skip_below, skip_below, out));
    }
    return buf_append_str(out, map ? "}" : "]");
}

enum err node_canonical(const struct node *root, bool (*skip)(const char *key),
                        bool (*skip_below)(const char *key), struct buf *out)
{
    return write_node(root, skip, skip_below, out);
}
