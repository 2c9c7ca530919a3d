#include "common/http/http1.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/http1_head.h"
#include "common/http/http1_state.h"

enum { HTTP1_INTERIM_MAX = 16 };

/* What a state's step leaves the caller with. */
enum step {
    STEP_MORE,  /* nothing to tell now */
    STEP_AGAIN, /* another state: take its step */
    STEP_EVENT,
};

void http1_init(struct http1 *h, enum http1_role role)
{
    *h = (struct http1){.role = role, .peer_minor = 1};
    buf_init(&h->in, HTTP1_INPUT_MAX);
    /* A head always fits behind a full body window. */
    buf_init(&h->out, HTTP1_OUTPUT_MAX + 2 * HTTP1_HEAD_MAX);
    buf_init(&h->start_line, HTTP1_HEAD_MAX);
    buf_init(&h->authority, HTTP1_TARGET_MAX + HTTP1_HEAD_MAX);
    h->head.fields = &h->fields;
}

void http1_fini(struct http1 *h)
{
    buf_fini(&h->in);
    buf_fini(&h->out);
    buf_fini(&h->start_line);
    buf_fini(&h->authority);
    fields_fini(&h->fields);
}

/* The bytes of the last event are done with. */
static void drop_shown(struct http1 *h)
{
    if (!h->shown)
        return;
#ifdef POSTERN_POISON
    memset(buf_ptr(&h->in), 0xdd, h->shown);
#endif
    buf_consume(&h->in, h->shown);
    h->shown = 0;
}

size_t http1_room(const struct http1 *h)
{
    if (h->read_state == HTTP1_READ_STOPPED || h->peer_ended)
        return 0;
    return buf_room(&h->in) + h->shown;
}

size_t http1_feed(struct http1 *h, struct view bytes)
{
    drop_shown(h);
    struct view taken = view_take(bytes, http1_room(h));
    if (buf_append(&h->in, taken) != OK)
        return 0;
    return taken.len;
}

void http1_feed_end(struct http1 *h)
{
    h->peer_ended = true;
}

static enum step fail(struct http1 *h, const struct http1_reject *why, struct http1_event *e)
{
    bool may_answer = h->role == HTTP1_SERVER && h->write_state == HTTP1_WRITE_IDLE;
    h->read_state = HTTP1_READ_STOPPED;
    h->closing = true;
    h->fail_status = may_answer ? why->status : 0;
    *e = (struct http1_event){
        .type = HTTP1_FAILED, .err = why->err, .status = h->fail_status, .text = why->text};
    return STEP_EVENT;
}

static enum step fail_ended(struct http1 *h, struct http1_event *e)
{
    return fail(h, &(struct http1_reject){ERR_CLOSED, 0, "the peer closed within a message"}, e);
}

static enum step closed(struct http1 *h, struct http1_event *e)
{
    h->read_state = HTTP1_READ_STOPPED;
    h->closing = true;
    *e = (struct http1_event){.type = HTTP1_CLOSED};
    return STEP_EVENT;
}

void http1_settle(struct http1 *h)
{
    bool written = h->write_state == HTTP1_WRITE_DONE;
    if (h->read_state != HTTP1_READ_WAIT || h->tunnel_due)
        return;
    if (h->closing && (written || h->role == HTTP1_CLIENT)) {
        h->read_state = HTTP1_READ_STOPPED;
        h->write_state = HTTP1_WRITE_DONE;
    } else if (written) {
        h->read_state = HTTP1_READ_START;
        h->write_state = HTTP1_WRITE_IDLE;
        h->head_size = 0;
        h->interims = 0;
        h->continue_due = false;
        h->is_head = h->is_connect = h->is_upgrade = false;
        buf_trim(&h->in);
        buf_trim(&h->out);
    }
}

/*
 * The next line, which stays in front of `in` until drop_line. OK, ERR_MORE, ERR_LIMIT above `max`
 * or ERR_SYNTAX for a bare LF (RFC 9112 §2.2).
 */
static enum err peek_line(struct http1 *h, size_t max, struct view *out_line)
{
    struct view in = buf_view(&h->in);
    ptrdiff_t lf = view_find(view_skip(in, h->scanned), '\n');
    if (lf < 0) {
        h->scanned = in.len;
        return in.len >= max ? ERR_LIMIT : ERR_MORE;
    }
    size_t len = h->scanned + (size_t)lf;
    if (len + 1 > max)
        return ERR_LIMIT;
    if (len == 0 || in.ptr[len - 1] != '\r')
        return ERR_SYNTAX;
    *out_line = view_take(in, len - 1);
    return OK;
}

static void drop_line(struct http1 *h, struct view line)
{
    h->head_size += line.len + 2;
    h->scanned = 0;
    buf_consume(&h->in, line.len + 2);
}

static struct http1_reject line_reject(enum err e, bool is_start)
{
    if (e == ERR_LIMIT)
        return is_start ? (struct http1_reject){e, 414, "start line too long"}
                        : (struct http1_reject){e, 431, "head too large"};
    return (struct http1_reject){e, 400, "line does not end in CRLF"};
}

static enum step parse_start(struct http1 *h, struct view line, struct http1_event *e)
{
    struct http1_reject why;
    /* A copy: the line leaves `in`, the head is used much longer. */
    fields_clear(&h->fields);
    buf_clear(&h->start_line);
    h->head = (struct http1_head){.fields = &h->fields};
    IGNORE(buf_append(&h->start_line, line), "no line is longer than its maximum");
    drop_line(h, line);
    struct view copy = buf_view(&h->start_line);
    bool good = h->role == HTTP1_SERVER ? http1_parse_request_line(copy, &h->head, &why)
                                        : http1_parse_status_line(copy, &h->head, &why);
    if (!good)
        return fail(h, &why, e);
    h->read_state = HTTP1_READ_FIELDS;
    return STEP_AGAIN;
}

static enum step step_start(struct http1 *h, struct http1_event *e)
{
    bool is_expected = h->role == HTTP1_SERVER || h->write_state != HTTP1_WRITE_IDLE;
    struct view line;
    if (h->role == HTTP1_SERVER && h->out.len > HTTP1_OUTPUT_MAX / 2)
        return STEP_MORE;
    if (!h->in.len) {
        if (!h->peer_ended)
            return STEP_MORE;
        bool between = h->head_size == 0 && (h->role == HTTP1_SERVER || !is_expected);
        return between ? closed(h, e) : fail_ended(h, e);
    }
    if (!is_expected)
        return fail(h, &(struct http1_reject){ERR_PROTOCOL, 0, "bytes without a request"}, e);
    enum err err = peek_line(h, HTTP1_TARGET_MAX + HTTP1_METHOD_MAX + 16, &line);
    if (err == ERR_MORE)
        return h->peer_ended ? fail_ended(h, e) : STEP_MORE;
    struct http1_reject why = line_reject(err, h->role == HTTP1_SERVER);
    if (err != OK)
        return fail(h, &why, e);
    /* RFC 9112 §2.2: one empty line in front of a request is skipped. */
    if (!line.len && h->head_size == 0 && h->role == HTTP1_SERVER) {
        drop_line(h, line);
        return STEP_AGAIN;
    }
    return parse_start(h, line, e);
}

static enum step begin_body(struct http1 *h, struct http1_event *e)
{
    bool has_body = h->head.body != HTTP1_BODY_NONE;
    if (h->role == HTTP1_CLIENT && (h->is_head || !http1_status_has_body(h->head.status)))
        has_body = false;
    if (h->head.body == HTTP1_BODY_LENGTH && !h->head.body_len)
        has_body = false;
    h->read_body = h->head.body;
    h->body_left = h->head.body_len;
    h->chunks = (struct chunk_decoder){0};
    h->read_state = has_body ? HTTP1_READ_BODY : HTTP1_READ_END;
    *e = (struct http1_event){.type = HTTP1_HEAD, .head = &h->head};
    return STEP_EVENT;
}

static enum step finish_request(struct http1 *h, struct http1_event *e)
{
    struct http1_reject why;
    if (!http1_finish_request(&h->head, &why))
        return fail(h, &why, e);
    /* A copy: the owner may change the fields. */
    buf_clear(&h->authority);
    IGNORE(buf_append(&h->authority, h->head.authority), "a part of the head");
    h->head.authority = buf_view(&h->authority);
    h->is_head = view_eq_str(h->head.method, "HEAD");
    h->is_connect = view_eq_str(h->head.method, "CONNECT");
    h->is_upgrade = h->head.upgrade;
    h->peer_minor = h->head.minor;
    h->continue_due = h->head.expect_continue;
    h->closing = h->head.close;
    return begin_body(h, e);
}

static enum step finish_response(struct http1 *h, struct http1_event *e)
{
    struct http1_reject why;
    uint16_t status = h->head.status;
    if (!http1_finish_response(&h->head, h->is_head, h->is_connect, &why))
        return fail(h, &why, e);
    if (status < 200 && status != 101) {
        if (++h->interims > HTTP1_INTERIM_MAX)
            return fail(h, &(struct http1_reject){ERR_LIMIT, 0, "too many 1xx"}, e);
        h->read_state = HTTP1_READ_START;
        h->head_size = 0;
        *e = (struct http1_event){.type = HTTP1_INTERIM, .head = &h->head};
        return STEP_EVENT;
    }
    if (status == 101 && !h->is_upgrade)
        return fail(h, &(struct http1_reject){ERR_PROTOCOL, 0, "101 without Upgrade"}, e);
    if (status == 101 || (h->is_connect && status < 300))
        h->tunnel_due = true;
    h->closing = h->closing || h->head.close;
    return begin_body(h, e);
}

static enum step step_fields(struct http1 *h, struct http1_event *e)
{
    struct view line;
    struct http1_reject why;
    enum err err = peek_line(h, HTTP1_HEAD_MAX - h->head_size, &line);
    if (err == ERR_MORE)
        return h->peer_ended ? fail_ended(h, e) : STEP_MORE;
    why = line_reject(err, false);
    if (err != OK)
        return fail(h, &why, e);
    if (!line.len) {
        drop_line(h, line);
        return h->role == HTTP1_SERVER ? finish_request(h, e) : finish_response(h, e);
    }
    if (!http1_parse_field_line(line, &h->fields, &why))
        return fail(h, &why, e);
    drop_line(h, line);
    return STEP_AGAIN;
}

static enum step show(struct http1 *h, enum http1_event_type type, struct view bytes, size_t used,
                      struct http1_event *e)
{
    h->shown = used;
    h->continue_due = false;
    *e = (struct http1_event){.type = type, .bytes = bytes};
    return STEP_EVENT;
}

static enum step step_chunked(struct http1 *h, struct http1_event *e)
{
    size_t used;
    struct view data;
    enum err err = chunk_decode(&h->chunks, buf_view(&h->in), &used, &data);
    if (err == ERR_MORE)
        return h->peer_ended ? fail_ended(h, e) : STEP_MORE;
    if (err != OK)
        return fail(h, &(struct http1_reject){err, 400, "malformed chunked body"}, e);
    if (data.len)
        return show(h, HTTP1_BODY, data, used, e);
    buf_consume(&h->in, used);
    if (h->chunks.state == CHUNK_DONE)
        h->read_state = HTTP1_READ_END;
    return STEP_AGAIN;
}

static enum step step_body(struct http1 *h, struct http1_event *e)
{
    if (h->read_body == HTTP1_BODY_CHUNKED)
        return step_chunked(h, e);
    bool until_close = h->read_body == HTTP1_BODY_CLOSE;
    struct view bytes = buf_view(&h->in);
    if (!bytes.len) {
        if (!h->peer_ended)
            return STEP_MORE;
        if (!until_close)
            return fail_ended(h, e);
        h->read_state = HTTP1_READ_END;
        return STEP_AGAIN;
    }
    if (!until_close) {
        bytes = view_take(bytes, h->body_left > SIZE_MAX ? SIZE_MAX : (size_t)h->body_left);
        h->body_left -= bytes.len;
        if (!h->body_left)
            h->read_state = HTTP1_READ_END;
    }
    return show(h, HTTP1_BODY, bytes, bytes.len, e);
}

static enum step step_end(struct http1 *h, struct http1_event *e)
{
    h->read_state = HTTP1_READ_WAIT;
    http1_settle(h);
    *e = (struct http1_event){.type = HTTP1_END};
    return STEP_EVENT;
}

static enum step step_wait(struct http1 *h, struct http1_event *e)
{
    if (!h->tunnel_due)
        return STEP_MORE;
    h->tunnel_due = false;
    h->read_state = HTTP1_READ_TUNNEL;
    if (h->role == HTTP1_CLIENT)
        h->write_state = HTTP1_WRITE_TUNNEL;
    *e = (struct http1_event){.type = HTTP1_TUNNEL};
    return STEP_EVENT;
}

static enum step step_tunnel(struct http1 *h, struct http1_event *e)
{
    struct view bytes = buf_view(&h->in);
    if (bytes.len)
        return show(h, HTTP1_TUNNEL, bytes, bytes.len, e);
    return h->peer_ended ? closed(h, e) : STEP_MORE;
}

static enum step step_stopped(struct http1 *h, struct http1_event *e)
{
    (void)h;
    (void)e;
    return STEP_MORE;
}

bool http1_next(struct http1 *h, struct http1_event *out_event)
{
    static enum step (*const steps[])(struct http1 *, struct http1_event *) = {
        [HTTP1_READ_START] = step_start,     [HTTP1_READ_FIELDS] = step_fields,
        [HTTP1_READ_BODY] = step_body,       [HTTP1_READ_END] = step_end,
        [HTTP1_READ_WAIT] = step_wait,       [HTTP1_READ_TUNNEL] = step_tunnel,
        [HTTP1_READ_STOPPED] = step_stopped,
    };
    enum step step;
    drop_shown(h);
    do
        step = steps[h->read_state](h, out_event);
    while (step == STEP_AGAIN);
    return step == STEP_EVENT;
}

bool http1_is_idle(const struct http1 *h)
{
    return h->read_state == HTTP1_READ_START && h->write_state == HTTP1_WRITE_IDLE &&
           h->head_size == 0 && h->in.len == h->shown && h->out.len == 0 && !h->closing &&
           !h->peer_ended;
}

bool http1_in_head(const struct http1 *h)
{
    if (h->role != HTTP1_SERVER)
        return false;
    return h->read_state == HTTP1_READ_FIELDS ||
           (h->read_state == HTTP1_READ_START && (h->head_size > 0 || h->in.len > h->shown));
}

bool http1_is_tunnel(const struct http1 *h)
{
    return h->read_state == HTTP1_READ_TUNNEL || h->write_state == HTTP1_WRITE_TUNNEL;
}

bool http1_should_close(const struct http1 *h)
{
    return h->read_state == HTTP1_READ_STOPPED && h->out.len == 0 &&
           (h->write_state == HTTP1_WRITE_DONE || h->write_state == HTTP1_WRITE_IDLE);
}

enum err http1_detach(struct http1 *h, struct buf *out_rest)
{
    bool is_read = h->read_state == HTTP1_READ_WAIT || h->read_state == HTTP1_READ_END;
    bool begun = is_read && h->tunnel_due;
    if (!begun && h->read_state != HTTP1_READ_TUNNEL)
        return ERR_STATE;
    drop_shown(h);
    *out_rest = h->in;
    buf_init(&h->in, HTTP1_INPUT_MAX);
    http1_abort(h);
    return OK;
}
