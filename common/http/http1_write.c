#include <inttypes.h>

#include "common/base/check.h"
#include "common/http/http1.h"
#include "common/http/http1_head.h"
#include "common/http/http1_state.h"

static const struct {
    uint16_t status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {495, "SSL Certificate Error"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http1_reason(uint16_t status)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "";
}

/* What the engine writes itself. */
static bool is_framing(struct view name)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                        "Keep-Alive"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (view_eq_case(name, view_str(names[i])))
            return true;
    }
    return false;
}

static enum err write_fields(struct http1 *h, const struct http1_head *head)
{
    bool upgrade = head->fields && fields_count(head->fields, "Upgrade");
    for (size_t i = 0; head->fields && i < head->fields->count; i++) {
        struct field *item = &head->fields->items[i];
        if (is_framing(item->name))
            continue;
        struct fields one = {.items = item, .count = 1};
        TRY(fields_write(&one, &h->out));
    }
    bool close = h->closing && (!h->tunnel_due || head->tunnel);
    if (!upgrade && !close)
        return OK;
    return buf_printf(&h->out, "Connection: %s%s%s\r\n", close ? "close" : "",
                      close && upgrade ? ", " : "", upgrade ? "upgrade" : "");
}

static enum err write_framing(struct http1 *h, const struct http1_head *head)
{
    if (h->write_body == HTTP1_BODY_CHUNKED)
        return buf_append_str(&h->out, "Transfer-Encoding: chunked\r\n\r\n");
    if (h->write_body == HTTP1_BODY_LENGTH)
        return buf_printf(&h->out, "Content-Length: %" PRIu64 "\r\n\r\n", head->body_len);
    return buf_append_str(&h->out, "\r\n");
}

/* RFC 9110 §8.6: a response without content says so, unless its status or method does. */
static enum http1_body response_body(const struct http1 *h, const struct http1_head *head)
{
    bool never = head->status < 200 || head->status == 204 || h->tunnel_due;
    if (never)
        return HTTP1_BODY_NONE;
    switch (head->body) {
    case HTTP1_BODY_NONE:
        return h->is_head || head->status == 304 ? HTTP1_BODY_NONE : HTTP1_BODY_LENGTH;
    case HTTP1_BODY_LENGTH:
        return HTTP1_BODY_LENGTH;
    case HTTP1_BODY_CHUNKED:
    case HTTP1_BODY_CLOSE:
        if (head->status == 304)
            return HTTP1_BODY_NONE;
        return h->peer_minor == 0 ? HTTP1_BODY_CLOSE : HTTP1_BODY_CHUNKED;
    }
    return HTTP1_BODY_NONE;
}

static enum err write_interim(struct http1 *h, const struct http1_head *head)
{
    if (h->peer_minor == 0)
        return OK;
    if (head->status == 100)
        h->continue_due = false;
    TRY(buf_printf(&h->out, "HTTP/1.1 %u %s\r\n", (unsigned)head->status,
                   http1_reason(head->status)));
    if (head->fields)
        TRY(fields_write(head->fields, &h->out));
    return buf_append_str(&h->out, "\r\n");
}

static bool is_success(uint16_t status)
{
    return status >= 200 && status < 300;
}

static enum err write_response(struct http1 *h, const struct http1_head *head)
{
    bool request_read = h->read_state == HTTP1_READ_BODY || h->read_state == HTTP1_READ_END ||
                        h->read_state == HTTP1_READ_WAIT;
    if (h->write_state != HTTP1_WRITE_IDLE || (!request_read && !h->fail_status))
        return ERR_STATE;
    if (head->status < 100 || head->status > 599)
        return ERR_SYNTAX;
    if ((head->status == 101 || head->tunnel) && (!h->is_upgrade || h->fail_status))
        return ERR_STATE;
    if (head->tunnel && (!is_success(head->status) || h->is_head))
        return ERR_SYNTAX;
    if (head->status < 200 && head->status != 101)
        return write_interim(h, head);
    bool tunnel = head->status == 101 || head->tunnel ||
                  (!h->fail_status && h->is_connect && is_success(head->status));
    /* RFC 9110 §10.1.1: without a 100, the peer may or may not send its body. */
    if (head->close || h->continue_due || head->tunnel || (h->is_connect && !tunnel))
        h->closing = true;
    h->tunnel_due = tunnel;
    h->write_body = response_body(h, head);
    h->write_left = head->body == HTTP1_BODY_LENGTH ? head->body_len : 0;
    h->no_body = h->is_head || !http1_status_has_body(head->status);
    if (h->write_body == HTTP1_BODY_CLOSE)
        h->closing = true;
    TRY(buf_printf(&h->out, "HTTP/1.1 %u %s\r\n", (unsigned)head->status,
                   http1_reason(head->status)));
    TRY(write_fields(h, head));
    struct http1_head framing = {.body_len = h->write_left};
    TRY(write_framing(h, &framing));
    h->write_state = tunnel ? HTTP1_WRITE_TUNNEL : HTTP1_WRITE_BODY;
    return OK;
}

/* RFC 9110 §8.6: these are expected to have a body, so an empty one is said. */
static bool is_body_method(struct view method)
{
    return view_eq_str(method, "POST") || view_eq_str(method, "PUT") ||
           view_eq_str(method, "PATCH");
}

static enum err write_request(struct http1 *h, const struct http1_head *head)
{
    if (h->read_state != HTTP1_READ_START || h->write_state != HTTP1_WRITE_IDLE || h->closing ||
        h->peer_ended || h->in.len > h->shown || head->body == HTTP1_BODY_CLOSE)
        return ERR_STATE;
    h->is_connect = view_eq_str(head->method, "CONNECT");
    if (!is_token(head->method) || head->method.len > HTTP1_METHOD_MAX ||
        !http1_is_target(head->target) || head->target.len > HTTP1_TARGET_MAX || !head->fields ||
        fields_count(head->fields, "Host") != 1 || (h->is_connect && head->body != HTTP1_BODY_NONE))
        return ERR_SYNTAX;
    h->is_head = view_eq_str(head->method, "HEAD");
    h->is_upgrade = fields_count(head->fields, "Upgrade") > 0;
    h->closing = head->close;
    h->write_body = head->body;
    h->write_left = head->body == HTTP1_BODY_LENGTH ? head->body_len : 0;
    if (h->write_body == HTTP1_BODY_NONE && is_body_method(head->method))
        h->write_body = HTTP1_BODY_LENGTH;
    h->no_body = false;
    TRY(buf_append(&h->out, head->method));
    TRY(buf_append_u8(&h->out, ' '));
    TRY(buf_append(&h->out, head->target));
    TRY(buf_append_str(&h->out, " HTTP/1.1\r\n"));
    TRY(write_fields(h, head));
    struct http1_head framing = {.body_len = h->write_left};
    TRY(write_framing(h, &framing));
    h->write_state = HTTP1_WRITE_BODY;
    return OK;
}

enum err http1_send_head(struct http1 *h, const struct http1_head *head)
{
    size_t before = h->out.len;
    enum err e = h->role == HTTP1_SERVER ? write_response(h, head) : write_request(h, head);
    if (e != OK)
        buf_truncate(&h->out, before);
    return e;
}

enum err http1_send_continue(struct http1 *h)
{
    if (!h->continue_due || h->write_state != HTTP1_WRITE_IDLE)
        return OK;
    return http1_send_head(h, &(struct http1_head){.status = 100});
}

size_t http1_writable(const struct http1 *h)
{
    bool open = h->write_state == HTTP1_WRITE_BODY || h->write_state == HTTP1_WRITE_TUNNEL;
    size_t used = h->out.len + CHUNK_OVERHEAD;
    return open && used < HTTP1_OUTPUT_MAX ? HTTP1_OUTPUT_MAX - used : 0;
}

enum err http1_send_body(struct http1 *h, struct view bytes)
{
    if (h->write_state == HTTP1_WRITE_TUNNEL)
        return bytes.len > http1_writable(h) ? ERR_LIMIT : buf_append(&h->out, bytes);
    if (h->write_state != HTTP1_WRITE_BODY)
        return ERR_STATE;
    if (h->no_body || !bytes.len)
        return OK;
    if (bytes.len > http1_writable(h))
        return ERR_LIMIT;
    switch (h->write_body) {
    case HTTP1_BODY_NONE:
        return ERR_STATE;
    case HTTP1_BODY_LENGTH:
        if (bytes.len > h->write_left)
            return ERR_STATE;
        h->write_left -= bytes.len;
        return buf_append(&h->out, bytes);
    case HTTP1_BODY_CHUNKED:
        return chunk_write(bytes, &h->out);
    case HTTP1_BODY_CLOSE:
        return buf_append(&h->out, bytes);
    }
    return ERR_STATE;
}

/* A server's response is over and the request is not: read what is left, or close. */
static void end_early(struct http1 *h)
{
    bool is_read = h->read_state == HTTP1_READ_WAIT || h->read_state == HTTP1_READ_END;
    bool is_little = h->read_state == HTTP1_READ_BODY && h->read_body == HTTP1_BODY_LENGTH &&
                     h->body_left <= HTTP1_DRAIN_MAX;
    if (is_read || (is_little && !h->closing))
        return;
    h->closing = true;
    h->read_state = HTTP1_READ_STOPPED;
}

enum err http1_send_end(struct http1 *h)
{
    if (h->write_state == HTTP1_WRITE_TUNNEL) {
        h->write_state = HTTP1_WRITE_DONE;
        return OK;
    }
    if (h->write_state != HTTP1_WRITE_BODY)
        return ERR_STATE;
    if (!h->no_body && h->write_body == HTTP1_BODY_LENGTH && h->write_left) {
        http1_abort(h);
        return ERR_STATE;
    }
    if (!h->no_body && h->write_body == HTTP1_BODY_CHUNKED)
        TRY(chunk_write_end(&h->out));
    h->write_state = HTTP1_WRITE_DONE;
    if (h->role == HTTP1_SERVER)
        end_early(h);
    http1_settle(h);
    return OK;
}

void http1_abort(struct http1 *h)
{
    h->closing = true;
    h->tunnel_due = false;
    h->read_state = HTTP1_READ_STOPPED;
    h->write_state = HTTP1_WRITE_DONE;
}

struct view http1_output(const struct http1 *h)
{
    return buf_view(&h->out);
}

void http1_sent(struct http1 *h, size_t n)
{
    buf_consume(&h->out, n);
}
