#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/http/h2_state.h"
#include "common/http/http1.h"
#include "common/http/http1_head.h"
#include "common/http/url.h"

/* RFC 9113 §6.5.2 */
enum { FIELD_OVERHEAD = 32 };

enum err h2_head_add(struct h2_stream *s, struct view name, struct view value)
{
    s->head_size += name.len + value.len + FIELD_OVERHEAD;
    if (s->head_size > H2_HEAD_MAX)
        s->refusal = 431;
    if (s->refusal)
        return OK;
    bool is_pseudo = name.len && name.ptr[0] == ':';
    enum err e = is_pseudo ? fields_add(&s->pseudo, view_skip(name, 1), value)
                           : fields_add(&s->fields, name, value);
    if (e != ERR_LIMIT)
        return e;
    s->refusal = 431;
    return OK;
}

void h2_head_clear(struct h2_stream *s)
{
    fields_fini(&s->pseudo);
    fields_fini(&s->fields);
    s->head = (struct h2_head){.fields = &s->fields};
    s->head_size = 0;
}

/* RFC 9113 §8.2.3: a cookie that came in crumbs is one field for who reads it. */
static enum err join_cookies(struct fields *f)
{
    if (fields_count(f, "cookie") < 2)
        return OK;
    AUTO(buf_fini) struct buf whole;
    buf_init(&whole, H2_HEAD_MAX);
    for (size_t i = 0; i < f->count; i++) {
        if (!view_eq_case(f->items[i].name, VIEW("cookie")))
            continue;
        TRY(buf_append_str(&whole, whole.len ? "; " : ""));
        TRY(buf_append(&whole, f->items[i].value));
    }
    return fields_set(f, "cookie", buf_view(&whole));
}

/* RFC 9113 §8.3.1: Host and :authority do not differ, and neither has userinfo. */
static enum err finish_authority(struct h2_stream *s)
{
    struct authority a;
    struct view host = fields_get(&s->fields, "host");
    struct view given = fields_get(&s->pseudo, "authority");
    if (fields_count(&s->fields, "host") > 1)
        return ERR_SYNTAX;
    if (given.ptr && host.ptr && !view_eq_case(given, host))
        return ERR_SYNTAX;
    s->head.authority = given.ptr ? given : host;
    TRY(authority_parse(s->head.authority, &a));
    /* RFC 9113 §8.5: a destination of CONNECT has a port. */
    bool is_plain = s->is_connect && !s->head.protocol.len;
    return is_plain && !a.port ? ERR_SYNTAX : OK;
}

/* nghttp2 has checked which of them must be there (RFC 9113 §8.3.1, RFC 8441 §4). */
static enum err finish_request(struct h2_stream *s)
{
    struct h2_head *head = &s->head;
    head->method = fields_get(&s->pseudo, "method");
    head->scheme = fields_get(&s->pseudo, "scheme");
    head->path = fields_get(&s->pseudo, "path");
    head->protocol = fields_get(&s->pseudo, "protocol");
    s->is_connect = view_eq_str(head->method, "CONNECT");
    if (!is_token(head->method))
        return ERR_SYNTAX;
    if (head->method.len > HTTP1_METHOD_MAX)
        s->refusal = 501;
    if (head->path.len > HTTP1_TARGET_MAX)
        s->refusal = 414;
    if (head->protocol.ptr && (!s->is_connect || !is_token(head->protocol)))
        return ERR_SYNTAX;
    TRY(finish_authority(s));
    if (s->is_connect && !head->protocol.len)
        return head->path.ptr || head->scheme.ptr ? ERR_SYNTAX : OK;
    if (!view_eq_case(head->scheme, VIEW("https")) && !view_eq_case(head->scheme, VIEW("http")))
        return ERR_SYNTAX;
    bool is_star = view_eq_str(head->path, "*") && view_eq_str(head->method, "OPTIONS");
    if (!is_star && (!head->path.len || head->path.ptr[0] != '/'))
        return ERR_SYNTAX;
    return http1_is_target(head->path) ? OK : ERR_SYNTAX;
}

static enum err finish_response(struct h2_stream *s)
{
    uint64_t status;
    struct view text = fields_get(&s->pseudo, "status");
    if (text.len != 3 || text_u64(text, 599, &status) != OK || status < 100)
        return ERR_SYNTAX;
    s->head.status = (uint16_t)status;
    return s->refusal ? ERR_LIMIT : OK;
}

enum err h2_head_finish(struct h2_stream *s, enum h2_role role)
{
    if (role == H2_CLIENT)
        return finish_response(s);
    /* What was not stored cannot be judged. */
    if (s->refusal)
        return OK;
    TRY(finish_request(s));
    if (http1_has_underscore(&s->fields))
        s->refusal = 400;
    return join_cookies(&s->fields) == OK ? OK : ERR_SYNTAX;
}

/* --- writing --- */

/* RFC 9113 §8.2.2, and what the framing says. */
static bool is_of_connection(struct view name)
{
    static const char *const names[] = {"Connection",        "Keep-Alive", "Proxy-Connection",
                                        "Transfer-Encoding", "Upgrade",    "Host"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (view_eq_case(name, view_str(names[i])))
            return true;
    }
    return false;
}

/* RFC 7541 §7.1.3: not to be guessed from the size of later heads. */
static bool is_secret(struct view name)
{
    static const char *const names[] = {"Authorization", "Proxy-Authorization", "Cookie",
                                        "Set-Cookie", "X-Pomerium-Authorization"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (view_eq_case(name, view_str(names[i])))
            return true;
    }
    return false;
}

static void add(struct h2_fields *f, struct view name, struct view value)
{
    f->items[f->count++] = (nghttp2_nv){
        .name = (uint8_t *)name.ptr,
        .value = (uint8_t *)value.ptr,
        .namelen = name.len,
        .valuelen = value.len,
        .flags = is_secret(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
    };
}

static enum err add_pseudo(struct h2_fields *f, const char *name, struct view value)
{
    if (!value.len)
        return OK;
    if (!is_field_value(value))
        return ERR_SYNTAX;
    add(f, view_str(name), value);
    return OK;
}

static enum err add_request(struct h2_fields *f, const struct h2_head *head)
{
    bool is_plain = view_eq_str(head->method, "CONNECT") && !head->protocol.len;
    if (!is_token(head->method) || !head->authority.len)
        return ERR_SYNTAX;
    if (!is_plain && (!head->scheme.len || !http1_is_target(head->path)))
        return ERR_SYNTAX;
    TRY(add_pseudo(f, ":method", head->method));
    TRY(add_pseudo(f, ":protocol", head->protocol));
    if (!is_plain) {
        TRY(add_pseudo(f, ":scheme", head->scheme));
        TRY(add_pseudo(f, ":path", head->path));
    }
    return add_pseudo(f, ":authority", head->authority);
}

static enum err add_all(struct h2_fields *f, const struct h2_head *head, enum h2_role role,
                        char status[4])
{
    if (role == H2_CLIENT) {
        TRY(add_request(f, head));
    } else {
        for (size_t i = 0, n = head->status; i < 3; i++, n /= 10)
            status[2 - i] = (char)('0' + n % 10);
        status[3] = 0;
        TRY(add_pseudo(f, ":status", view_of(status, 3)));
    }
    for (size_t i = 0; head->fields && i < head->fields->count; i++) {
        const struct field *item = &head->fields->items[i];
        if (!is_of_connection(item->name))
            add(f, item->name, item->value);
    }
    return OK;
}

enum err h2_fields_of(const struct h2_head *head, enum h2_role role, char status[4],
                      struct h2_fields *out)
{
    size_t most = 5 + (head->fields ? head->fields->count : 0);
    struct h2_fields f = {.items = mem_zalloc_array(most, sizeof *f.items)};
    enum err e = add_all(&f, head, role, status);
    if (e != OK)
        mem_free(f.items);
    else
        *out = f;
    return e;
}
