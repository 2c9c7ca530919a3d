/* ssh_publickey: the offered blob is exactly one of these; a certificate is not its plain key. */
#include "authorize/policy/criterion.h"

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    keyset_parse(&c->keys, s, data, false);
}

static bool match(const struct criterion *c, const struct facts *f)
{
    return keyset_has(&c->keys, f->key);
}

const struct criterion_type criterion_ssh_publickey = {
    .name = "ssh_publickey",
    .about = CRITERION_ABOUT_KEY,
    .only = CRITERION_SSH,
    .ok = REASON_SSH_PUBLICKEY_OK,
    .not_ok = REASON_SSH_PUBLICKEY_UNAUTHORIZED,
    .parse = parse,
    .match = match,
};
