#include "common/config/tree.h"

#include <yaml.h>

#include "common/base/check.h"
#include "common/base/map.h"
#include "common/base/mem.h"

enum { CHUNK_SIZE = 32 << 10, DUPLICATE_SCAN_MAX = 16 };

struct tree_chunk {
    struct tree_chunk *next;
    size_t size;
    size_t used;
    _Alignas(16) uint8_t bytes[];
};

struct tree *tree_new(void)
{
    struct tree *t = mem_zalloc(sizeof *t);
    t->root = tree_alloc(t, sizeof *t->root);
    t->root->weight = 1;
    t->root->text = "";
    return t;
}

void tree_free(struct tree *t)
{
    while (t && t->chunks) {
        struct tree_chunk *c = t->chunks;
        t->chunks = c->next;
        mem_wipe(c->bytes, c->used);
        mem_free(c);
    }
    mem_free(t);
}

void *tree_alloc(struct tree *t, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct tree_chunk *c = t->chunks;
    if (!c || c->size - c->used < size) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        c = mem_zalloc(sizeof *c + room);
        c->size = room;
        c->next = t->chunks;
        t->chunks = c;
    }
    void *p = c->bytes + c->used;
    c->used += size;
    return p;
}

char *tree_strndup(struct tree *t, const char *s, size_t len)
{
    char *copy = tree_alloc(t, len + 1);
    if (len)
        memcpy(copy, s, len);
    return copy;
}

/* A collection that is still open. Its children are gathered in growing arrays, then moved. */
struct frame {
    struct node *node;
    char *anchor;
    const char *key; /* the key that waits for its value */
    struct diag_place key_at;
    const char **keys;
    struct diag_place *key_places;
    struct node **items;
    size_t count;
    size_t cap;
};

struct builder {
    struct tree *tree;
    const char *file;
    struct diag *diag;
    struct map anchors;
    struct frame stack[TREE_DEPTH_MAX];
    size_t depth;
    size_t nodes;
    bool seen_document;
};

static struct diag_place place(const struct builder *b, yaml_mark_t mark)
{
    return (struct diag_place){b->file, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static struct frame *top(struct builder *b)
{
    return b->depth ? &b->stack[b->depth - 1] : NULL;
}

static void frame_fini(struct frame *f)
{
    mem_free(f->anchor);
    mem_free(f->keys);
    mem_free(f->key_places);
    mem_free(f->items);
    *f = (struct frame){0};
}

static enum err refuse(struct builder *b, struct diag_place at, const char *why)
{
    diag_error(b->diag, at, "", "%s", why);
    return ERR_CONFIG;
}

/* Everything that an alias stands for counts again, so a small file cannot stand for a big one. */
static enum err count_nodes(struct builder *b, struct diag_place at, size_t weight)
{
    b->nodes += weight;
    if (b->nodes > TREE_NODES_MAX)
        return refuse(b, at, "the file has too many values (at most 1048576, aliases expanded)");
    return OK;
}

static void frame_add(struct frame *f, struct node *child)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 8;
        f->items = mem_realloc(f->items, f->cap * sizeof(struct node *));
        f->keys = mem_realloc(f->keys, f->cap * sizeof(char *));
        f->key_places = mem_realloc(f->key_places, f->cap * sizeof *f->key_places);
    }
    f->items[f->count] = child;
    f->keys[f->count] = f->key;
    f->key_places[f->count] = f->key_at;
    f->count++;
    f->key = NULL;
    f->node->weight += child->weight;
    if (f->node->height <= child->height)
        f->node->height = child->height + 1;
}

/* A finished node goes where it belongs. */
static enum err place_node(struct builder *b, struct node *n)
{
    struct frame *f = top(b);
    if (!f) {
        b->tree->root = n;
        return OK;
    }
    if (f->node->type == NODE_MAP && !f->key)
        return refuse(b, n->at, "a key must be a plain value");
    if (b->depth + n->height > TREE_DEPTH_MAX)
        return refuse(b, n->at, "nested too deeply (at most 64 levels)");
    frame_add(f, n);
    return OK;
}

static bool is_null_text(struct view v)
{
    return v.len == 0 || view_eq_str(v, "~") || view_eq_str(v, "null") || view_eq_str(v, "Null") ||
           view_eq_str(v, "NULL");
}

static enum err check_tag(struct builder *b, struct diag_place at, const char *tag)
{
    static const char *const known[] = {"str", "int", "float", "bool", "null", "seq", "map"};
    static const char prefix[] = "tag:yaml.org,2002:";
    if (!tag || strcmp(tag, "!") == 0)
        return OK;
    if (strncmp(tag, prefix, sizeof prefix - 1) == 0) {
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            if (strcmp(tag + sizeof prefix - 1, known[i]) == 0)
                return OK;
        }
    }
    return refuse(b, at, "tags (!name) are not supported");
}

static void remember(struct builder *b, const char *anchor, struct node *n)
{
    if (anchor)
        (void)map_put(&b->anchors, view_str(anchor), n);
}

static enum err take_key(struct builder *b, struct frame *f, struct diag_place at, struct view text)
{
    if (view_eq_str(text, "<<"))
        return refuse(b, at, "merge keys (<<) are not supported: write the keys out");
    f->key = tree_strndup(b->tree, (const char *)text.ptr, text.len);
    f->key_at = at;
    return OK;
}

static enum err on_scalar(struct builder *b, const yaml_event_t *e)
{
    struct diag_place at = place(b, e->start_mark);
    struct view text = view_of(e->data.scalar.value, e->data.scalar.length);
    TRY(check_tag(b, at, (const char *)e->data.scalar.tag));
    if (view_find(text, 0) >= 0)
        return refuse(b, at, "a NUL byte is not allowed");
    struct frame *f = top(b);
    if (f && f->node->type == NODE_MAP && !f->key && !e->data.scalar.anchor)
        return take_key(b, f, at, text);
    TRY(count_nodes(b, at, 1));
    struct node *n = tree_alloc(b->tree, sizeof *n);
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !e->data.scalar.tag;
    *n = (struct node){.type = NODE_SCALAR, .quoted = !plain, .at = at, .weight = 1};
    n->text = tree_strndup(b->tree, (const char *)text.ptr, text.len);
    n->len = text.len;
    if (plain && is_null_text(text)) {
        *n = (struct node){.type = NODE_NULL, .at = at, .weight = 1, .text = ""};
    }
    remember(b, (const char *)e->data.scalar.anchor, n);
    return place_node(b, n);
}

static enum err on_alias(struct builder *b, const yaml_event_t *e)
{
    struct diag_place at = place(b, e->start_mark);
    struct node *n = map_get(&b->anchors, view_str((const char *)e->data.alias.anchor));
    if (!n)
        return refuse(b, at, "an alias (*name) without a finished anchor (&name) before it");
    TRY(count_nodes(b, at, n->weight));
    return place_node(b, n);
}

static enum err on_start(struct builder *b, const yaml_event_t *e, enum node_type type)
{
    struct diag_place at = place(b, e->start_mark);
    const yaml_char_t *anchor =
        type == NODE_MAP ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
    const yaml_char_t *tag =
        type == NODE_MAP ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    TRY(check_tag(b, at, (const char *)tag));
    TRY(count_nodes(b, at, 1));
    struct frame *f = top(b);
    if (f && f->node->type == NODE_MAP && !f->key)
        return refuse(b, at, "a key must be a plain value");
    if (b->depth == TREE_DEPTH_MAX)
        return refuse(b, at, "nested too deeply (at most 64 levels)");
    struct node *n = tree_alloc(b->tree, sizeof *n);
    *n = (struct node){.type = type, .at = at, .weight = 1, .height = 1, .text = ""};
    b->stack[b->depth++] = (struct frame){.node = n};
    if (anchor)
        top(b)->anchor = mem_strdup((const char *)anchor);
    return OK;
}

/* Reports keys that are there twice; the first one stays in force, but the file is refused. */
static void check_duplicates(struct builder *b, const struct frame *f)
{
    struct map seen = {0};
    bool hashed = f->count > DUPLICATE_SCAN_MAX;
    for (size_t i = 0; i < f->count; i++) {
        const struct diag_place *before = NULL;
        if (hashed) {
            before = map_put(&seen, view_str(f->keys[i]), &f->key_places[i]);
        } else {
            for (size_t k = 0; k < i && !before; k++)
                before = strcmp(f->keys[k], f->keys[i]) == 0 ? &f->key_places[k] : NULL;
        }
        if (before)
            diag_error(b->diag, f->key_places[i], f->keys[i], "given twice, first in line %u",
                       before->line);
    }
    map_fini(&seen);
}

static enum err on_end(struct builder *b)
{
    struct frame *f = top(b);
    struct node *n = f->node;
    if (n->type == NODE_MAP)
        check_duplicates(b, f);
    n->count = f->count;
    n->items = tree_alloc(b->tree, f->count * sizeof(struct node *));
    if (f->count)
        memcpy(n->items, f->items, f->count * sizeof(struct node *));
    if (n->type == NODE_MAP && f->count) {
        n->keys = tree_alloc(b->tree, f->count * sizeof(char *));
        memcpy(n->keys, f->keys, f->count * sizeof(char *));
        n->key_at = tree_alloc(b->tree, f->count * sizeof *n->key_at);
        memcpy(n->key_at, f->key_places, f->count * sizeof *n->key_at);
    }
    remember(b, f->anchor, n);
    frame_fini(f);
    b->depth--;
    return place_node(b, n);
}

/* What has no row here is of no interest. */
static enum err on_event(struct builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->seen_document)
            return refuse(b, place(b, e->start_mark), "a second document (---) is not allowed");
        b->seen_document = true;
        return OK;
    case YAML_ALIAS_EVENT:
        return on_alias(b, e);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(b, e, NODE_LIST);
    case YAML_MAPPING_START_EVENT:
        return on_start(b, e, NODE_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return OK;
}

static enum err syntax_error(struct builder *b, const yaml_parser_t *p)
{
    if (p->error == YAML_READER_ERROR) {
        diag_error(b->diag, (struct diag_place){.file = b->file}, "",
                   "not a UTF-8 text file: %s at byte %zu", p->problem, p->problem_offset);
        return ERR_CONFIG;
    }
    diag_error(b->diag, place(b, p->problem_mark), "", "not valid YAML: %s%s%s",
               p->problem ? p->problem : "unknown problem", p->context ? ", " : "",
               p->context ? p->context : "");
    return ERR_CONFIG;
}

static enum err build(struct builder *b, yaml_parser_t *p)
{
    bool done = false;
    while (!done) {
        yaml_event_t event;
        if (!yaml_parser_parse(p, &event))
            return syntax_error(b, p);
        done = event.type == YAML_STREAM_END_EVENT;
        enum err e = on_event(b, &event);
        if (event.type == YAML_SCALAR_EVENT)
            mem_wipe(event.data.scalar.value, event.data.scalar.length);
        yaml_event_delete(&event);
        TRY(e);
    }
    return OK;
}

enum err tree_parse(struct view yaml, const char *file, struct diag *d, struct tree **out)
{
    struct builder b = {.file = file, .diag = d};
    if (yaml.len > TREE_SIZE_MAX)
        return refuse(&b, (struct diag_place){.file = file}, "larger than 16 MiB");
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return refuse(&b, (struct diag_place){.file = file}, "out of memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, yaml.len ? yaml.ptr : (const uint8_t *)"", yaml.len);
    b.tree = tree_new();
    size_t errors = d->errors;
    enum err e = build(&b, &parser);
    while (b.depth)
        frame_fini(&b.stack[--b.depth]);
    map_fini(&b.anchors);
    /* The library frees its buffers without wiping them, and the file may hold secrets. */
    mem_wipe(parser.buffer.start, (size_t)(parser.buffer.end - parser.buffer.start));
    mem_wipe(parser.raw_buffer.start, (size_t)(parser.raw_buffer.end - parser.raw_buffer.start));
    yaml_parser_delete(&parser);
    if (e != OK || d->errors > errors) {
        tree_free(b.tree);
        return ERR_CONFIG;
    }
    *out = b.tree;
    return OK;
}
