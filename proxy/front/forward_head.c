#include "proxy/front/forward_head.h"

#include "common/base/mem.h"

/* RFC 9113 §8.2.3: HTTP/2 may cut a Cookie into several fields; HTTP/1.1 has one. */
static enum err join_cookies(struct fields *f)
{
    AUTO(buf_wipe) struct buf all;
    buf_init(&all, FIELDS_BYTES_MAX);
    if (fields_count(f, "Cookie") < 2)
        return OK;
    for (size_t i = 0; i < f->count; i++) {
        if (!view_eq_case(f->items[i].name, VIEW("Cookie")))
            continue;
        if (all.len)
            TRY(buf_append_str(&all, "; "));
        TRY(buf_append(&all, f->items[i].value));
    }
    return fields_set(f, "Cookie", buf_view(&all));
}

enum err forward_head(const struct forward_head *h, struct fields *f)
{
    fields_remove_hop_by_hop(f);
    (void)fields_remove_prefix(f, "X-Forwarded-");
    (void)fields_remove(f, "Forwarded");
    (void)fields_remove(f, "X-Real-IP");
    (void)fields_remove(f, "X-Request-Id");
    /* The engine has waited for nobody: the body is asked for when authenticate is there. */
    (void)fields_remove(f, "Expect");
    (void)fields_remove(f, "Upgrade");
    TRY(join_cookies(f));
    /* RFC 9112 §3.2.2: the target's authority, where it has one, is the host. */
    TRY(fields_set(f, "Host", h->authority));
    TRY(fields_set(f, "X-Forwarded-For", view_str(h->ip)));
    TRY(fields_set(f, "X-Forwarded-Proto", view_str(h->proto)));
    return fields_set(f, "X-Request-Id", view_str(h->request_id));
}
