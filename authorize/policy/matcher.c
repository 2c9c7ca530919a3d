#include "authorize/policy/matcher.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"

struct matcher_op {
    const char *name;
    bool takes_list;
    bool (*string)(const struct matcher_test *t, struct view value);
    bool (*list)(const struct matcher_test *t, const char *const *values, size_t count);
};

struct matcher_test {
    const struct matcher_op *op;
    char **values; /* one but for in and not_in */
    size_t count;
};

void policy_error(const struct policy_source *s, const struct node *n, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    diag_error(s->diag, n->at, s->key, "%s", text);
}

static bool is_in(const struct matcher_test *t, struct view value)
{
    for (size_t i = 0; i < t->count; i++) {
        if (view_eq_str(value, t->values[i]))
            return true;
    }
    return false;
}

static bool is_not_in(const struct matcher_test *t, struct view value)
{
    return !is_in(t, value);
}

static bool is_containing(const struct matcher_test *t, struct view value)
{
    return view_search(value, view_str(t->values[0])) >= 0;
}

static bool is_starting(const struct matcher_test *t, struct view value)
{
    return view_starts_with(value, view_str(t->values[0]));
}

static bool is_ending(const struct matcher_test *t, struct view value)
{
    return view_ends_with(value, view_str(t->values[0]));
}

static bool list_has(const struct matcher_test *t, const char *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(values[i], t->values[0]) == 0)
            return true;
    }
    return false;
}

static bool list_is(const struct matcher_test *t, const char *const *values, size_t count)
{
    return count == 1 && list_has(t, values, count);
}

static bool list_excludes(const struct matcher_test *t, const char *const *values, size_t count)
{
    return !list_has(t, values, count);
}

static const struct matcher_op string_ops[] = {
    {"is", false, is_in, NULL},
    {"not", false, is_not_in, NULL},
    {"contains", false, is_containing, NULL},
    {"starts_with", false, is_starting, NULL},
    {"ends_with", false, is_ending, NULL},
    {"in", true, is_in, NULL},
    {"not_in", true, is_not_in, NULL},
};

static const struct matcher_op list_ops[] = {
    {"has", false, NULL, list_has},
    {"is", false, NULL, list_is},
    {"exclude", false, NULL, list_excludes},
};

struct op_table {
    const struct matcher_op *ops;
    size_t count;
    const char *names; /* for errors */
};

static const struct op_table string_table = {
    string_ops, ARRAY_LEN(string_ops), "is, not, contains, starts_with, ends_with, in, not_in"};
static const struct op_table list_table = {list_ops, ARRAY_LEN(list_ops), "has, is, exclude"};

static struct matcher_test *add_test(struct matcher *m, const struct matcher_op *op)
{
    m->tests = mem_realloc(m->tests, (m->count + 1) * sizeof *m->tests);
    struct matcher_test *t = &m->tests[m->count++];
    *t = (struct matcher_test){.op = op};
    return t;
}

static void add_value(struct matcher_test *t, const char *value)
{
    t->values = mem_realloc(t->values, (t->count + 1) * sizeof(char *));
    t->values[t->count++] = mem_strdup(value);
}

static void parse_test(struct matcher *m, const struct matcher_op *op,
                       const struct policy_source *s, const struct node *n)
{
    if (!op->takes_list) {
        if (n->type != NODE_SCALAR) {
            policy_error(s, n, "\"%s\" wants a value, not %s", op->name, node_type_name(n));
            return;
        }
        add_value(add_test(m, op), n->text);
        return;
    }
    if (n->type != NODE_LIST) {
        policy_error(s, n, "\"%s\" wants a list, not %s", op->name, node_type_name(n));
        return;
    }
    struct matcher_test *t = add_test(m, op);
    for (size_t i = 0; i < n->count; i++) {
        if (n->items[i]->type == NODE_SCALAR)
            add_value(t, n->items[i]->text);
        else
            policy_error(s, n->items[i], "\"%s\" wants a list of values", op->name);
    }
}

static const struct matcher_op *find_op(const struct op_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->ops[i].name, name) == 0)
            return &table->ops[i];
    }
    return NULL;
}

static void parse(struct matcher *m, const struct op_table *table, const struct policy_source *s,
                  const struct node *n)
{
    if (n->type == NODE_SCALAR) {
        parse_test(m, &table->ops[0], s, n);
        return;
    }
    if (n->type != NODE_MAP || n->count == 0) {
        policy_error(s, n, "expected a value or a map of operators (%s), not %s", table->names,
                     n->type == NODE_MAP ? "an empty map" : node_type_name(n));
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        const struct matcher_op *op = find_op(table, n->keys[i]);
        if (op)
            parse_test(m, op, s, n->items[i]);
        else
            policy_error(s, n->items[i], "unknown operator \"%s\"; known are %s", n->keys[i],
                         table->names);
    }
}

void matcher_parse_string(struct matcher *m, const struct policy_source *s, const struct node *n)
{
    parse(m, &string_table, s, n);
}

void matcher_parse_list(struct matcher *m, const struct policy_source *s, const struct node *n)
{
    parse(m, &list_table, s, n);
}

void matcher_is(struct matcher *m, const char *value)
{
    add_value(add_test(m, &string_ops[0]), value);
}

void matcher_has(struct matcher *m, const char *value)
{
    add_value(add_test(m, &list_ops[0]), value);
}

void matcher_fini(struct matcher *m)
{
    for (size_t i = 0; i < m->count; i++) {
        for (size_t v = 0; v < m->tests[i].count; v++)
            mem_free(m->tests[i].values[v]);
        mem_free(m->tests[i].values);
    }
    mem_free(m->tests);
    *m = (struct matcher){0};
}

bool matcher_string(const struct matcher *m, struct view value)
{
    for (size_t i = 0; i < m->count; i++) {
        if (!m->tests[i].op->string(&m->tests[i], value))
            return false;
    }
    return true;
}

bool matcher_list(const struct matcher *m, const char *const *values, size_t count)
{
    for (size_t i = 0; i < m->count; i++) {
        if (!m->tests[i].op->list(&m->tests[i], values, count))
            return false;
    }
    return true;
}
