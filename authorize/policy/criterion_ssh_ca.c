/*
 * ssh_ca: the offered key is a user certificate by one of these CAs, valid now, for this login and,
 * if it says so, from this address (PROTOCOL.certkeys). Another critical option than
 * source-address means a demand that nobody here would enforce: false.
 */
#include "authorize/policy/criterion.h"

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    keyset_parse(&c->keys, s, data, true);
}

/* A certificate without principals would be good for every login; here it is good for none. */
static bool has_principal(const struct facts_certificate *cert, struct view login)
{
    for (size_t i = 0; i < cert->principal_count; i++) {
        if (view_eq(cert->principals[i], login))
            return true;
    }
    return false;
}

static bool are_options_met(const struct facts_certificate *cert, const struct ip *source)
{
    for (size_t i = 0; i < cert->critical_count; i++) {
        if (!view_eq_str(cert->critical[i].name, "source-address") ||
            !ip_list_has(cert->critical[i].value, source))
            return false;
    }
    return true;
}

static bool match(const struct criterion *c, const struct facts *f)
{
    const struct facts_certificate *cert = f->certificate;
    return cert && cert->is_user && cert->is_verified && keyset_has(&c->keys, cert->ca_key) &&
           cert->valid_after_s <= f->now_s && f->now_s < cert->valid_before_s &&
           has_principal(cert, f->login) && are_options_met(cert, &f->source);
}

const struct criterion_type criterion_ssh_ca = {
    .name = "ssh_ca",
    .about = CRITERION_ABOUT_KEY,
    .only = CRITERION_SSH,
    .ok = REASON_SSH_PUBLICKEY_OK,
    .not_ok = REASON_SSH_PUBLICKEY_UNAUTHORIZED,
    .parse = parse,
    .match = match,
};
