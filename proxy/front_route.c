#include "common/base/text.h"
#include "common/http/url.h"
#include "proxy/front_parts.h"

struct view front_log_path(struct view target)
{
    ptrdiff_t query = view_find(target, '?');
    return query < 0 ? target : view_take(target, (size_t)query);
}

enum front_route front_route(struct view authority, struct view path, const char *authenticate_host)
{
    struct view file = front_log_path(path);
    if (view_eq(file, VIEW("/ping")) || view_eq(file, VIEW("/healthz")))
        return FRONT_ALIVE;
    if (view_eq(file, VIEW("/.pomerium")) || view_starts_with(file, VIEW("/.pomerium/")))
        return FRONT_FORWARD;
    struct authority a;
    if (file.len == 0 || file.ptr[0] != '/' || authority_parse(authority, &a) != OK)
        return FRONT_NOT_FOUND;
    return view_eq_case(a.host, view_str(authenticate_host)) ? FRONT_FORWARD : FRONT_NOT_FOUND;
}

enum err front_forward_head(struct http1_head *head, const struct address *peer, const char *id)
{
    struct fields *f = head->fields;
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(peer, ip);
    fields_remove_hop_by_hop(f);
    (void)fields_remove_prefix(f, "X-Forwarded-");
    (void)fields_remove(f, "Forwarded");
    (void)fields_remove(f, "X-Real-IP");
    (void)fields_remove(f, "X-Request-Id");
    /* The engine has waited for nobody: the body is asked for when authenticate is there. */
    (void)fields_remove(f, "Expect");
    (void)fields_remove(f, "Upgrade");
    /* RFC 9112 §3.2.2: the target's authority, where it has one, is the host. */
    TRY(fields_set(f, "Host", head->authority));
    TRY(fields_set(f, "X-Forwarded-For", view_str(ip)));
    TRY(fields_set(f, "X-Forwarded-Proto", VIEW("https")));
    TRY(fields_set(f, "X-Request-Id", view_str(id)));
    head->target = head->path;
    head->close = true;
    return OK;
}
