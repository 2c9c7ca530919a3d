#include "authorize/policy/rules.h"
#include "common/base/check.h"
#include "common/base/mem.h"

static const struct {
    const char *name;
    enum block_op op;
} block_ops[] = {
    {"and", BLOCK_AND},
    {"or", BLOCK_OR},
    {"not", BLOCK_NOT},
    {"nor", BLOCK_NOR},
};

/* An error at the i-th key of a map. */
static void key_error(const struct policy_source *s, const struct node *map, size_t i,
                      const char *what, const char *known)
{
    diag_error(s->diag, map->key_at[i], s->key, "unknown %s \"%s\"; known are %s", what,
               map->keys[i], known);
}

static void parse_criterion(struct block *b, const struct policy_source *s, const struct node *n)
{
    if (n->type != NODE_MAP || n->count != 1) {
        policy_error(s, n, "a criterion is a map with exactly one key, not %s",
                     n->type == NODE_MAP ? "one with several or none" : node_type_name(n));
        return;
    }
    struct view name = view_str(n->keys[0]);
    ptrdiff_t slash = view_find(name, '/');
    struct view path = slash < 0 ? view_str("") : view_skip(name, (size_t)slash + 1);
    const struct criterion_type *type =
        criterion_type_find(slash < 0 ? name : view_take(name, (size_t)slash));
    if (!type) {
        diag_error(s->diag, n->key_at[0], s->key, "unknown criterion \"%s\"", n->keys[0]);
        return;
    }
    if (type->takes_path != (path.len > 0)) {
        diag_error(s->diag, n->key_at[0], s->key,
                   type->takes_path ? "criterion \"%s\" wants a path: %s/NAME"
                                    : "unknown criterion \"%s\": %s takes no path",
                   n->keys[0], type->name);
        return;
    }
    struct criterion *c = block_add(b, type);
    if (path.len)
        c->path = mem_strndup(path.ptr, path.len);
    if (type->parse)
        type->parse(c, s, n->items[0]);
}

static void parse_block(struct blocks *blocks, const struct policy_source *s,
                        const struct node *map, size_t i)
{
    const struct node *list = map->items[i];
    for (size_t op = 0; op < ARRAY_LEN(block_ops); op++) {
        if (strcmp(map->keys[i], block_ops[op].name) != 0)
            continue;
        if (list->type != NODE_LIST || list->count == 0) {
            policy_error(s, list, "\"%s\" wants a list of criteria, not %s", map->keys[i],
                         list->type == NODE_LIST ? "an empty one" : node_type_name(list));
            return;
        }
        struct block *b = blocks_add(blocks, block_ops[op].op);
        for (size_t c = 0; c < list->count; c++)
            parse_criterion(b, s, list->items[c]);
        return;
    }
    key_error(s, map, i, "operator", "and, or, not, nor");
}

static void parse_rule(struct policy *p, const struct policy_source *s, const struct node *n)
{
    if (n->type != NODE_MAP || n->count == 0) {
        policy_error(s, n, "a rule is a map with allow or deny, not %s",
                     n->type == NODE_MAP ? "an empty one" : node_type_name(n));
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        const struct node *condition = n->items[i];
        bool allow = strcmp(n->keys[i], "allow") == 0;
        if (!allow && strcmp(n->keys[i], "deny") != 0) {
            key_error(s, n, i, "action", "allow, deny");
            continue;
        }
        if (condition->type != NODE_MAP || condition->count == 0) {
            policy_error(s, condition, "\"%s\" wants a map of and, or, not, nor, not %s",
                         n->keys[i],
                         condition->type == NODE_MAP ? "an empty one" : node_type_name(condition));
            continue;
        }
        for (size_t c = 0; c < condition->count; c++)
            parse_block(allow ? &p->allow : &p->deny, s, condition, c);
    }
}

static void parse_policy(struct policy *p, const struct policy_source *s, const struct node *n)
{
    if (n->type != NODE_LIST) {
        parse_rule(p, s, n);
        return;
    }
    for (size_t i = 0; i < n->count; i++)
        parse_rule(p, s, n->items[i]);
}

/* Places in a policy that is a string are counted within the string. */
static void parse_string(struct policy *p, const struct policy_source *s, const struct node *n)
{
    AUTO_FREE char *file = mem_printf("%s:%u (policy)", n->at.file ? n->at.file : "", n->at.line);
    struct tree *tree = NULL;
    if (tree_parse(node_view(n), file, s->diag, &tree) != OK)
        return;
    struct policy_source inner = {s->diag, s->key, s->zones};
    if (tree->root->type == NODE_SCALAR)
        policy_error(s, n, "expected a rule or a list of rules, not a value");
    else if (tree->root->type != NODE_NULL)
        parse_policy(p, &inner, tree->root);
    tree_free(tree);
}

void policy_add(struct policy *p, const struct node *ppl, const char *key, struct diag *d)
{
    struct policy_source s = {d, key, p->zones};
    switch (ppl->type) {
    case NODE_NULL:
        break;
    case NODE_SCALAR:
        parse_string(p, &s, ppl);
        break;
    case NODE_LIST:
    case NODE_MAP:
        parse_policy(p, &s, ppl);
        break;
    }
}
