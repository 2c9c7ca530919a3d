/*
 * identity: what kind of identity it is, "user" or "service_account". Other words are errors: a
 * slip would turn a deny into nothing.
 */
#include "authorize/policy/criterion.h"

static void check_word(const struct policy_source *s, const struct node *n)
{
    struct view v = node_view(n);
    if (n->type == NODE_SCALAR && !view_eq_str(v, "user") && !view_eq_str(v, "service_account"))
        policy_error(s, n, "expected user or service_account");
}

static bool is_whole(const char *op)
{
    static const char *const ops[] = {"is", "not", "in", "not_in"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(op, ops[i]) == 0)
            return true;
    }
    return false;
}

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    criterion_parse_string(c, s, data);
    check_word(s, data);
    for (size_t i = 0; data->type == NODE_MAP && i < data->count; i++) {
        const struct node *value = data->items[i];
        if (!is_whole(data->keys[i]))
            continue;
        check_word(s, value);
        for (size_t k = 0; value->type == NODE_LIST && k < value->count; k++)
            check_word(s, value->items[k]);
    }
}

static bool match(const struct criterion *c, const struct facts *f)
{
    return matcher_string(&c->matcher,
                          f->is_service_account ? VIEW("service_account") : VIEW("user"));
}

const struct criterion_type criterion_identity = {
    .name = "identity",
    .about = CRITERION_ABOUT_PERSON,
    .ok = REASON_IDENTITY_OK,
    .not_ok = REASON_IDENTITY_UNAUTHORIZED,
    .parse = parse,
    .match = match,
};
