/* What holds of every request, whichever version of HTTP it came in. */
#ifndef TESTS_FUZZ_PROXY_FRONT_FRONT_CHECKS_H
#define TESTS_FUZZ_PROXY_FRONT_FRONT_CHECKS_H

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/url.h"
#include "common/json/json.h"
#include "proxy/front/credentials.h"
#include "proxy/front/forward_head.h"
#include "proxy/front/local_reply.h"
#include "proxy/front/request.h"
#include "proxy/front/status.h"

static inline void check_destination(const struct request *r)
{
    struct authority a;
    CHECK(strlen(r->destination) < sizeof r->destination);
    CHECK(authority_parse(view_str(r->destination), &a) == OK && a.port);
    for (const char *c = r->destination; *c; c++)
        CHECK(*c > ' ' && *c < 0x7f && *c != '/' && *c != '@' && !(*c >= 'A' && *c <= 'Z'));
}

static inline void check_request(const struct request_head *head)
{
    struct request r = request_read(head, "auth.test");
    bool is_tunnel = r.kind == REQUEST_TCP || r.kind == REQUEST_UDP;
    CHECK((r.kind == REQUEST_REFUSED) == (r.status == 400 || r.status == 501));
    CHECK(is_tunnel == (r.destination[0] != 0));
    CHECK(!r.host_is_destination || (r.kind == REQUEST_UDP && !head->is_h2));
    CHECK(r.kind != REQUEST_TCP || view_eq_str(head->method, "CONNECT"));
    if (is_tunnel)
        check_destination(&r);
}

static inline void check_reply(enum accept_kind accept, const char *text)
{
    AUTO(fields_fini) struct fields f = {0};
    AUTO(buf_fini) struct buf body;
    AUTO(json_free_ptr) struct json *v = NULL;
    buf_init(&body, LOCAL_REPLY_MAX);
    const struct local_reply r = {.status = 403,
                                  .reason = "Forbidden",
                                  .sentence = text,
                                  .request_id = "x",
                                  .accept = accept};
    if (local_reply_fields(&r, &f) != OK || local_reply_body(&r, &body) != OK)
        return;
    if (accept == ACCEPT_JSON)
        CHECK(json_parse(buf_view(&body), &v) == OK);
    else if (accept == ACCEPT_HTML || accept == ACCEPT_NONE)
        CHECK(view_search(buf_view(&body), VIEW("<script")) < 0);
}

static inline void check_forwarded(struct view authority, struct fields *f)
{
    const struct forward_head ours = {authority, "192.0.2.1", "https", "id"};
    if (!authority.len || forward_head(&ours, f) != OK)
        return;
    CHECK(fields_count(f, "Host") == 1 && fields_count(f, "Cookie") <= 1);
    CHECK(view_eq_str(fields_get(f, "X-Forwarded-For"), "192.0.2.1"));
    CHECK(fields_count(f, "X-Forwarded-For") == 1 && !fields_count(f, "Forwarded"));
    CHECK(!fields_count(f, "Transfer-Encoding") && !fields_count(f, "Connection"));
}

/* `fields` are changed. */
static inline void check_head(const struct request_head *head, struct fields *fields)
{
    check_request(head);
    struct credentials c = credentials_find(fields, head->path, "_pomerium");
    CHECK((c.place == TUNNEL_TOKEN_NONE) == (c.token.len == 0));
    enum accept_kind accept = accept_kind(fields);
    unsigned status = status_of(TUNNEL_TOKEN_INVALID, c.place, accept);
    CHECK(status == 401 || (status == 302 && c.place != TUNNEL_TOKEN_HEADER));
    AUTO_FREE char *text = mem_strndup(head->path.ptr, head->path.len);
    check_reply(accept, text);
    check_forwarded(head->authority, fields);
}

#endif
