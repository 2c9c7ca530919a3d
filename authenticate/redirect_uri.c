#include "authenticate/redirect_uri.h"

/* Names below .localhost are left to the resolver by some programs: they are not this machine. */
static bool is_loopback(const struct authority *a)
{
    struct view suffix = VIEW(".localhost");
    return authority_is_loopback(a) &&
           !(a->host.len > suffix.len &&
             view_eq_case(view_skip(a->host, a->host.len - suffix.len), suffix));
}

static bool is_listed(struct view host, const struct config_list *domains)
{
    for (size_t i = 0; i < domains->count; i++) {
        if (view_eq_case(host, view_str(domains->items[i].text)))
            return true;
    }
    return false;
}

static enum err parse(struct view uri, struct url *out)
{
    if (uri.len > REDIRECT_URI_MAX)
        return ERR_LIMIT;
    TRY(url_parse(uri, out));
    bool is_web = url_is_scheme(out, "http") || url_is_scheme(out, "https");
    return is_web && !out->has_userinfo ? OK : ERR_SYNTAX;
}

enum err redirect_uri_check(struct view uri, const struct config_list *domains)
{
    struct url u;
    TRY(parse(uri, &u));
    if (u.has_fragment)
        return ERR_SYNTAX;
    if (is_loopback(&u.authority))
        return OK;
    return url_is_scheme(&u, "https") && is_listed(u.authority.host, domains) ? OK : ERR_DENIED;
}

enum err redirect_uri_origin(struct view uri, struct buf *out)
{
    struct url u;
    TRY(parse(uri, &u));
    return url_write_origin(&u, out);
}
