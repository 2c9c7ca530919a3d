/* The route keys that stand for a policy (Pomerium's config/policy_ppl.go). */
#include "authorize/policy/rules.h"
#include "common/base/mem.h"

static void add_string(struct block *b, const struct criterion_type *type, const char *value)
{
    matcher_is(&block_add(b, type)->matcher, value);
}

static void add_claim(struct block *b, const char *name, const char *value)
{
    struct criterion *c = block_add(b, &criterion_claim);
    c->path = mem_strdup(name);
    matcher_has(&c->matcher, value);
}

static void add_claims(struct block *b, const struct policy_source *s, const struct node *claims)
{
    if (claims->type != NODE_MAP) {
        policy_error(s, claims, "expected a map of claim to list of values, not %s",
                     node_type_name(claims));
        return;
    }
    for (size_t i = 0; i < claims->count; i++) {
        const struct node *values = claims->items[i];
        if (values->type == NODE_SCALAR) {
            add_claim(b, claims->keys[i], values->text);
        } else if (values->type != NODE_LIST) {
            policy_error(s, values, "expected a list of values, not %s", node_type_name(values));
        } else {
            for (size_t v = 0; v < values->count; v++) {
                if (values->items[v]->type == NODE_SCALAR)
                    add_claim(b, claims->keys[i], values->items[v]->text);
                else
                    policy_error(s, values->items[v], "expected a value, not %s",
                                 node_type_name(values->items[v]));
            }
        }
    }
}

static void check_contradictions(const struct route *route, struct diag *d)
{
    bool lists = route->allowed_users.count || route->allowed_domains.count ||
                 (route->allowed_idp_claims && route->allowed_idp_claims->count);
    if (route->allow_public_unauthenticated_access &&
        (lists || route->allow_any_authenticated_user))
        diag_error(d, route->at, "allow_public_unauthenticated_access",
                   "the route is public and has a list of who is allowed; only one can be meant");
    if (route->allow_any_authenticated_user && lists)
        diag_error(d, route->at, "allow_any_authenticated_user",
                   "the route allows every user and has a list of who is allowed; only one can be "
                   "meant");
}

void policy_add_route(struct policy *p, const struct route *route, struct diag *d)
{
    struct policy_source s = {d, "allowed_idp_claims", p->zones};
    struct block *b = blocks_add(&p->allow, BLOCK_OR);
    check_contradictions(route, d);
    if (route->allow_public_unauthenticated_access)
        block_add(b, &criterion_accept);
    if (route->allow_any_authenticated_user)
        block_add(b, &criterion_authenticated_user);
    for (size_t i = 0; i < route->allowed_domains.count; i++)
        add_string(b, &criterion_domain, route->allowed_domains.items[i].text);
    if (route->allowed_idp_claims)
        add_claims(b, &s, route->allowed_idp_claims);
    for (size_t i = 0; i < route->allowed_users.count; i++) {
        add_string(b, &criterion_user, route->allowed_users.items[i].text);
        add_string(b, &criterion_email, route->allowed_users.items[i].text);
    }
    if (b->count == 0)
        p->allow.count--;
    if (route->policy)
        policy_add(p, route->policy, "policy", d);
}
