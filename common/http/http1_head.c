#include "common/http/http1_head.h"

#include "common/base/text.h"
#include "common/http/url.h"

static bool reject(struct http1_reject *out, enum err err, uint16_t status, const char *text)
{
    *out = (struct http1_reject){err, status, text};
    return false;
}

static bool bad(struct http1_reject *out, const char *text)
{
    return reject(out, ERR_SYNTAX, 400, text);
}

/* RFC 9112 §2.3. Minor versions above 1 are read as 1 (RFC 9110 §2.5). */
static bool parse_version(struct view v, struct http1_head *head, struct http1_reject *out)
{
    if (!v.ptr || v.len != 8 || !view_starts_with(v, VIEW("HTTP/")) || !text_is_digit(v.ptr[5]) ||
        v.ptr[6] != '.' || !text_is_digit(v.ptr[7]))
        return bad(out, "malformed version");
    if (v.ptr[5] != '1')
        return reject(out, ERR_VERSION, 505, "another major version");
    head->minor = v.ptr[7] == '0' ? 0 : 1;
    return true;
}

bool http1_is_target(struct view target)
{
    for (size_t i = 0; i < target.len; i++) {
        uint8_t c = target.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return false;
    }
    return target.len > 0;
}

/* RFC 9112 §3: exactly one SP between the parts. */
bool http1_parse_request_line(struct view line, struct http1_head *head, struct http1_reject *out)
{
    ptrdiff_t first = view_find(line, ' ');
    ptrdiff_t last = view_rfind(line, ' ');
    if (first < 0 || first == last)
        return bad(out, "malformed request line");
    struct view method = view_take(line, (size_t)first);
    struct view target = view_skip(view_take(line, (size_t)last), (size_t)first + 1);
    if (!is_token(method))
        return bad(out, "malformed method");
    if (method.len > HTTP1_METHOD_MAX)
        return reject(out, ERR_UNSUPPORTED, 501, "method too long");
    if (target.len > HTTP1_TARGET_MAX)
        return reject(out, ERR_LIMIT, 414, "target too long");
    if (!parse_version(view_skip(line, (size_t)last + 1), head, out))
        return false;
    if (!http1_is_target(target))
        return bad(out, "malformed target");
    head->method = method;
    head->target = target;
    return true;
}

/* RFC 9112 §4; the SP in front of an empty reason may be missing. */
bool http1_parse_status_line(struct view line, struct http1_head *head, struct http1_reject *out)
{
    uint64_t status;
    if (!parse_version(view_take(line, 8), head, out))
        return false;
    if (line.len < 12 || line.ptr[8] != ' ' || (line.len > 12 && line.ptr[12] != ' ') ||
        text_u64(view_of(line.ptr + 9, 3), 599, &status) != OK || status < 100)
        return bad(out, "malformed status line");
    head->status = (uint16_t)status;
    head->reason = view_skip(line, 13);
    return is_field_value(head->reason) || bad(out, "malformed reason");
}

/* RFC 9112 §5: no blank before the colon, no folding (§5.2). */
bool http1_parse_field_line(struct view line, struct fields *fields, struct http1_reject *out)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return bad(out, "folded field line");
    ptrdiff_t colon = view_find(line, ':');
    if (colon < 0)
        return bad(out, "field line without a colon");
    struct view name = view_take(line, (size_t)colon);
    enum err e = fields_add(fields, name, view_skip(line, name.len + 1));
    if (e == ERR_LIMIT)
        return reject(out, ERR_LIMIT, 431, "too many fields");
    return e == OK || bad(out, "malformed field line");
}

bool http1_status_has_body(uint16_t status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* RFC 9112 §6.1: chunked alone is understood. */
static bool finish_transfer_encoding(struct http1_head *head, struct http1_reject *out)
{
    struct view token;
    size_t chunked = 0;
    size_t others = 0;
    bool last_is_chunked = false;
    struct fields_iter i = fields_tokens(head->fields, "Transfer-Encoding");
    while (fields_next_token(&i, &token)) {
        last_is_chunked = view_eq_case(token, VIEW("chunked"));
        chunked += last_is_chunked;
        others += !last_is_chunked;
    }
    if (head->minor == 0)
        return bad(out, "Transfer-Encoding in HTTP/1.0");
    if (fields_count(head->fields, "Content-Length"))
        return bad(out, "Transfer-Encoding and Content-Length");
    if (chunked != 1 || !last_is_chunked)
        return bad(out, "Transfer-Encoding does not end in chunked");
    if (others)
        return reject(out, ERR_UNSUPPORTED, 501, "unknown transfer coding");
    head->body = HTTP1_BODY_CHUNKED;
    return true;
}

/* RFC 9112 §6.3; `otherwise` is for a message without either field. */
static bool finish_framing(struct http1_head *head, enum http1_body otherwise,
                           struct http1_reject *out)
{
    size_t lengths = fields_count(head->fields, "Content-Length");
    head->body = otherwise;
    head->body_len = 0;
    if (fields_count(head->fields, "Transfer-Encoding"))
        return finish_transfer_encoding(head, out);
    if (!lengths)
        return true;
    if (lengths > 1)
        return bad(out, "more than one Content-Length");
    if (text_u64(fields_get(head->fields, "Content-Length"), INT64_MAX, &head->body_len) != OK)
        return bad(out, "malformed Content-Length");
    head->body = HTTP1_BODY_LENGTH;
    return true;
}

/* RFC 9112 §9.3; HTTP/1.0 connections are not kept. */
static void finish_close(struct http1_head *head)
{
    head->close = head->minor == 0 || fields_has_token(head->fields, "Connection", "close");
}

/* RFC 9112 §3.2: one valid Host in every request of HTTP/1.1. */
static bool finish_host(struct http1_head *head, struct http1_reject *out)
{
    struct authority a;
    size_t hosts = fields_count(head->fields, "Host");
    if (hosts > 1)
        return bad(out, "more than one Host");
    if (!hosts)
        return head->minor == 0 || bad(out, "no Host");
    head->authority = fields_get(head->fields, "Host");
    return authority_parse(head->authority, &a) == OK || bad(out, "malformed Host");
}

/* RFC 9112 §3.2.2. A Host that says something else is an attempt to be read in two ways. */
static bool finish_absolute(struct http1_head *head, struct http1_reject *out)
{
    struct url u;
    if (url_parse(head->target, &u) != OK || u.has_userinfo ||
        (!url_is_scheme(&u, "http") && !url_is_scheme(&u, "https")))
        return bad(out, "malformed target");
    if (!u.path.len && u.has_query)
        return bad(out, "absolute target without a path");
    struct view rest = view_skip(head->target, u.scheme.len + 3);
    ptrdiff_t slash = view_find(rest, '/');
    struct view authority = slash < 0 ? rest : view_take(rest, (size_t)slash);
    if (head->authority.len && !view_eq_case(head->authority, authority))
        return bad(out, "Host differs from the target");
    head->authority = authority;
    head->path = slash < 0 ? VIEW("/") : view_skip(rest, (size_t)slash);
    return true;
}

/* RFC 9112 §3.2.3. CONNECT has no body; a framing field could only confuse (RFC 9110 §9.3.6). */
static bool finish_connect(struct http1_head *head, struct http1_reject *out)
{
    struct authority a;
    if (authority_parse(head->target, &a) != OK || !a.port)
        return bad(out, "malformed target of CONNECT");
    if (fields_count(head->fields, "Content-Length") ||
        fields_count(head->fields, "Transfer-Encoding"))
        return bad(out, "CONNECT with a body");
    head->authority = head->target;
    return true;
}

static bool finish_target(struct http1_head *head, struct http1_reject *out)
{
    head->path = (struct view){0};
    head->authority = (struct view){0};
    if (!finish_host(head, out))
        return false;
    if (view_eq_str(head->method, "CONNECT"))
        return finish_connect(head, out);
    if (head->target.ptr[0] != '/' && !view_eq_str(head->target, "*"))
        return finish_absolute(head, out);
    if (head->target.ptr[0] == '*' && !view_eq_str(head->method, "OPTIONS"))
        return bad(out, "malformed target");
    head->path = head->target;
    return true;
}

/* Whoever makes variables of names, as CGI does (RFC 3875 §4.1.18), takes X_Y for X-Y. */
bool http1_has_underscore(const struct fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (view_find(fields->items[i].name, '_') >= 0)
            return true;
    }
    return false;
}

bool http1_finish_request(struct http1_head *head, struct http1_reject *out)
{
    if (http1_has_underscore(head->fields))
        return bad(out, "underscore in a field name");
    if (!finish_target(head, out) || !finish_framing(head, HTTP1_BODY_NONE, out))
        return false;
    finish_close(head);
    head->upgrade = head->minor == 1 && fields_count(head->fields, "Upgrade") &&
                    fields_has_token(head->fields, "Connection", "upgrade");
    head->expect_continue = false;
    if (head->minor == 1 && fields_count(head->fields, "Expect")) {
        /* RFC 9110 §10.1.1 */
        if (!view_eq_case(fields_get(head->fields, "Expect"), VIEW("100-continue")) ||
            fields_count(head->fields, "Expect") > 1)
            return reject(out, ERR_UNSUPPORTED, 417, "unknown expectation");
        head->expect_continue = head->body != HTTP1_BODY_NONE;
    }
    return true;
}

bool http1_finish_response(struct http1_head *head, bool is_head, bool is_connect,
                           struct http1_reject *out)
{
    bool is_tunnel = is_connect && head->status >= 200 && head->status < 300;
    finish_close(head);
    head->body = HTTP1_BODY_NONE;
    head->body_len = 0;
    /* RFC 9112 §6.3 items 1 and 2: whatever the fields say. */
    if (is_tunnel || head->status < 200 || head->status == 204)
        return true;
    if (!finish_framing(head, HTTP1_BODY_CLOSE, out))
        return false;
    if (is_head || head->status == 304) {
        /* The length that a GET would have is kept for who passes it on. */
        if (head->body != HTTP1_BODY_LENGTH)
            head->body = HTTP1_BODY_NONE;
    } else if (head->body == HTTP1_BODY_CLOSE) {
        head->close = true;
    }
    return true;
}
