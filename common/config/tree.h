/*
 * YAML as a tree in which every node knows its place. One document; aliases are resolved within
 * the limits; duplicate keys, merge keys (<<), tags of applications, keys that are no scalars and
 * NUL bytes are errors. Errors are collected in a struct diag, several per run.
 */
#ifndef COMMON_CONFIG_TREE_H
#define COMMON_CONFIG_TREE_H

#include "common/base/buf.h"
#include "common/base/diag.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum {
    TREE_SIZE_MAX = 16 << 20,
    TREE_DEPTH_MAX = 64,
    TREE_NODES_MAX = 1 << 20, /* an alias counts as all that it stands for */
};

enum node_type {
    NODE_NULL, /* nothing, ~ or null */
    NODE_SCALAR,
    NODE_LIST,
    NODE_MAP,
};

struct node {
    enum node_type type;
    bool quoted; /* a scalar that was written in quotes or as a block: never a number or bool */
    struct diag_place at;
    const char *text; /* scalar: NUL terminated, no NUL within; null: "" */
    size_t len;
    const char **keys;         /* map: count names, */
    struct node **items;       /* map: their values; list: the elements */
    struct diag_place *key_at; /* map: where each name was written */
    size_t count;
    uint32_t height; /* 0 for scalars */
    uint32_t weight; /* nodes below and including this one */
};

struct tree {
    struct node *root; /* never NULL: an empty document is NODE_NULL */
    struct tree_chunk *chunks;
};

/*
 * `file` is the name for messages; all places point to it, so it outlives them. On failure
 * (ERR_CONFIG; the reason is in `d`) *out is untouched. The tree copies what it needs of `yaml`.
 */
enum err tree_parse(struct view yaml, const char *file, struct diag *d, struct tree **out);

/* Wipes all texts. NULL is fine. */
void tree_free(struct tree *t);

/* A tree of nothing: for its memory. */
struct tree *tree_new(void);

/* Memory that lives and is wiped with the tree; zeroed. */
void *tree_alloc(struct tree *t, size_t size);
char *tree_strndup(struct tree *t, const char *s, size_t len);

/* The value of `key` of a map; NULL when absent or when `n` is no map. */
const struct node *node_get(const struct node *n, const char *key);

/* The text of a scalar as a view. */
struct view node_view(const struct node *n);

/* "a list", "a map", "a value", "nothing" for messages. */
const char *node_type_name(const struct node *n);

/* True and *out for true/false (1, 0, t, f in any case of Go's strconv); quoting is allowed. */
bool node_bool(const struct node *n, bool *out);

/*
 * Appends the normal form: keys sorted, lengths before texts, nothing of comments, quotes or the
 * order of keys. Two files with the same meaning have the same form. Keys of the root for which
 * `skip` says so are left out, as are those of maps below for `skip_below`; both may be NULL.
 * ERR_LIMIT when `out` is full.
 */
enum err node_canonical(const struct node *root, bool (*skip)(const char *key),
                        bool (*skip_below)(const char *key), struct buf *out);

#endif
