/* ssh_username_matches_claim: the login is one of the values of that claim. */
#include "authorize/policy/criterion.h"
#include "common/base/mem.h"

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    if (data->type != NODE_SCALAR || data->len == 0)
        policy_error(s, data, "expected the name of a claim, not %s", node_type_name(data));
    else
        c->path = mem_strdup(data->text);
}

static bool match(const struct criterion *c, const struct facts *f)
{
    const struct claim *claim = facts_claim(f, view_str(c->path));
    for (size_t i = 0; claim && i < claim->count; i++) {
        if (view_eq_str(f->login, claim->values[i]))
            return true;
    }
    return false;
}

const struct criterion_type criterion_ssh_username_matches_claim = {
    .name = "ssh_username_matches_claim",
    .about = CRITERION_ABOUT_PERSON | CRITERION_ABOUT_LOGIN,
    .only = CRITERION_SSH,
    .ok = REASON_SSH_USERNAME_OK,
    .not_ok = REASON_SSH_USERNAME_UNAUTHORIZED,
    .parse = parse,
    .match = match,
};
