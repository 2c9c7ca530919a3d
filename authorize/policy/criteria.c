#include "authorize/policy/criterion.h"
#include "common/base/check.h"
#include "common/base/mem.h"

static const struct criterion_type *const criteria[] = {
    &criterion_accept,
    &criterion_reject,
    &criterion_authenticated_user,
    &criterion_user,
    &criterion_email,
    &criterion_domain,
    &criterion_claim,
    &criterion_groups,
    &criterion_source_ip,
    &criterion_ssh_publickey,
    &criterion_ssh_ca,
    &criterion_ssh_username,
    &criterion_ssh_username_matches_email,
    &criterion_ssh_username_matches_claim,
    &criterion_http_method,
    &criterion_http_path,
    &criterion_cors_preflight,
    &criterion_client_certificate,
    &criterion_invalid_client_certificate,
    &criterion_identity,
    &criterion_device,
    &criterion_date,
    &criterion_day_of_week,
    &criterion_time_of_day,
};

const struct criterion_type *criterion_type_find(struct view name)
{
    for (size_t i = 0; i < ARRAY_LEN(criteria); i++) {
        if (view_eq_str(name, criteria[i]->name))
            return criteria[i];
    }
    return NULL;
}

void criterion_fini(struct criterion *c)
{
    mem_free(c->path);
    matcher_fini(&c->matcher);
    keyset_fini(&c->keys);
    mem_free(c->nets);
    client_rule_free(c->client);
    mem_free(c->clock);
    *c = (struct criterion){0};
}

void criterion_parse_string(struct criterion *c, const struct policy_source *s,
                            const struct node *data)
{
    matcher_parse_string(&c->matcher, s, data);
}

void criterion_parse_list(struct criterion *c, const struct policy_source *s,
                          const struct node *data)
{
    matcher_parse_list(&c->matcher, s, data);
}
