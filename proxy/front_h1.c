#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "proxy/front_parts.h"

/* A connection of HTTP/1: one exchange after the other. */
struct front_h1_state {
    struct front_exchange exchange;
    struct http_link link;
    struct buf early; /* raw: of the client, not yet shown */
    bool busy;        /* the exchange is not over */
    bool raw;         /* a tunnel: the engine has gone */
    bool early_due;   /* raw: reading has not begun */
    bool early_end;
};

static struct front_h1_state *state_of(const struct front_conn *c)
{
    return c->state;
}

/* --- the carrier --- */

static enum err h1_head(struct front_exchange *x, const struct http1_head *head)
{
    return http1_send_head(&state_of(x->conn)->link.http, head);
}

static size_t h1_writable(const struct front_exchange *x)
{
    const struct front_h1_state *s = state_of(x->conn);
    return s->raw ? stream_room(x->conn->stream) : http1_writable(&s->link.http);
}

static enum err h1_body(struct front_exchange *x, struct view bytes)
{
    struct front_h1_state *s = state_of(x->conn);
    return s->raw ? stream_write(x->conn->stream, bytes) : http1_send_body(&s->link.http, bytes);
}

static void h1_abort(struct front_exchange *x)
{
    struct front_h1_state *s = state_of(x->conn);
    s->busy = false;
    http1_abort(&s->link.http);
}

static void h1_end(struct front_exchange *x)
{
    struct front_h1_state *s = state_of(x->conn);
    s->busy = false;
    if (http1_send_end(&s->link.http) != OK)
        http1_abort(&s->link.http);
}

static void h1_proceed(struct front_exchange *x)
{
    IGNORE(http1_send_continue(&state_of(x->conn)->link.http), "the output is empty");
}

/* Of what is left when the exchange is over, the connection takes care. */
static size_t h1_pending(const struct front_exchange *x)
{
    (void)x;
    return 0;
}

static uint64_t h1_progress(const struct front_exchange *x)
{
    return stream_bytes_out(x->conn->stream);
}

/* What the engine and the link hold behind the head is the tunnel's. */
static void take_early(struct front_h1_state *s)
{
    struct buf rest;
    CHECK(http1_detach(&s->link.http, &rest) == OK);
    buf_init(&s->early, HTTP1_INPUT_MAX + LOOP_SCRATCH);
    CHECK(buf_append(&s->early, buf_view(&rest)) == OK);
    CHECK(buf_append(&s->early, buf_view(&s->link.rest)) == OK);
    buf_wipe(&rest);
    s->early_end = s->link.ended;
}

static void h1_accept(struct front_exchange *x, const struct fields *fields)
{
    struct front_h1_state *s = state_of(x->conn);
    AUTO(fields_fini) struct fields f = {0};
    bool is_udp = x->kind == REQUEST_UDP;
    bool upgrade = is_udp && !x->host_is_destination;
    CHECK(fields_append(&f, fields) == OK);
    if (upgrade)
        CHECK(fields_add_str(&f, "Upgrade", "connect-udp") == OK);
    const struct http1_head head = {
        .status = upgrade ? 101 : 200, .fields = &f, .tunnel = is_udp && !upgrade};
    front_count_status(head.status);
    CHECK(http1_send_head(&s->link.http, &head) == OK);
    take_early(s);
    IGNORE(stream_write(x->conn->stream, http1_output(&s->link.http)),
           "the queue is empty; a stream that has failed tells so");
    s->link.stream = NULL;
    http_link_fini(&s->link);
    s->raw = true;
    s->early_due = true;
    stream_set_read_max(x->conn->stream, LOOP_READ_MAX);
    /* Until what came early has been shown, and whoever paused before must not be passed by. */
    stream_pause(x->conn->stream);
    front_deadline_set(x->conn->front, &x->conn->deadline, FRONT_PHASE_NONE, 0);
}

static void h1_pause(struct front_exchange *x, bool pause)
{
    struct front_h1_state *s = state_of(x->conn);
    if (!s->raw)
        return;
    if (pause)
        stream_pause(x->conn->stream);
    else if (!s->early_due)
        stream_resume(x->conn->stream);
}

static void h1_finish(struct front_exchange *x)
{
    stream_shutdown(x->conn->stream);
}

static void h1_close(struct front_exchange *x)
{
    front_end_tunnel(x->conn);
}

static const struct front_carrier carrier = {.name = "HTTP/1.1",
                                             .head = h1_head,
                                             .writable = h1_writable,
                                             .body = h1_body,
                                             .end = h1_end,
                                             .abort = h1_abort,
                                             .proceed = h1_proceed,
                                             .pending = h1_pending,
                                             .progress = h1_progress,
                                             .accept = h1_accept,
                                             .pause = h1_pause,
                                             .finish = h1_finish,
                                             .close = h1_close};

/* --- requests --- */

static void begin_request(struct front_conn *c, struct http1_head *head)
{
    struct front_h1_state *s = state_of(c);
    const struct front_request r = {.head = {.method = head->method,
                                             .authority = head->authority,
                                             .path = head->path,
                                             .upgrade = head->upgrade,
                                             .has_body = head->body != HTTP1_BODY_NONE,
                                             .fields = head->fields},
                                    .fields = head->fields,
                                    .body = head->body,
                                    .body_len = head->body_len};
    s->busy = true;
    front_exchange_begin(&s->exchange, &r);
}

/* Malformed, or refused by the engine. What was under way cannot be completed. */
static void fail_request(struct front_conn *c, const struct http1_event *e)
{
    struct front_h1_state *s = state_of(c);
    if (s->busy) {
        front_forward_end(&s->exchange);
        front_tunnel_gone(&s->exchange, "the request is malformed");
    }
    s->busy = true;
    if (e->status)
        front_reply(&s->exchange, e->status, message_text(MESSAGE_FRONT_MALFORMED), true);
    else
        h1_abort(&s->exchange);
}

static void take_event(struct front_conn *c, const struct http1_event *e)
{
    struct front_h1_state *s = state_of(c);
    switch (e->type) {
    case HTTP1_HEAD:
        begin_request(c, e->head);
        break;
    case HTTP1_BODY:
        /* When it is over, this is the rest of a request that has been answered. */
        if (s->busy)
            front_exchange_body(&s->exchange, e->bytes);
        break;
    case HTTP1_END:
        if (s->busy)
            front_exchange_finish(&s->exchange);
        break;
    case HTTP1_FAILED:
        fail_request(c, e);
        break;
    case HTTP1_CLOSED:
    case HTTP1_INTERIM:
    case HTTP1_TUNNEL:
        h1_abort(&s->exchange);
        break;
    }
}

/* A tunnel that waits for its answer takes the end of the request, which has no body. */
static bool takes(const struct front_h1_state *s)
{
    const struct front_exchange *x = &s->exchange;
    bool waits = x->work == FRONT_WORK_TUNNEL && !x->live;
    /* A full output waits for its reader before the next request is looked at. */
    return s->busy ? waits || front_exchange_takes(x) : http1_output(&s->link.http).len == 0;
}

static bool step_request(struct front_conn *c)
{
    struct front_h1_state *s = state_of(c);
    struct http1_event e;
    if (s->raw || !takes(s) || !http_link_next(&s->link, &e))
        return false;
    take_event(c, &e);
    return true;
}

/* True when what was to be sent is gone, so that the next request may be looked at. */
static bool flush(struct front_h1_state *s)
{
    bool was_full = http1_output(&s->link.http).len > 0;
    (void)http_link_flush(&s->link);
    return was_full && http1_output(&s->link.http).len == 0;
}

/* --- the tunnel's bytes --- */

/* The state may be gone after each call of the tunnel; then so is the stream. */
static void show_early(struct front_conn *c)
{
    struct front_h1_state *s = state_of(c);
    struct front_exchange *x = &s->exchange;
    if (!s->early_due || x->paused)
        return;
    if (s->early.len) {
        struct buf early = s->early;
        s->early = (struct buf){0};
        front_exchange_body(x, buf_view(&early));
        buf_wipe(&early);
    }
    if (!c->stream || x->paused)
        return;
    bool ended = s->early_end;
    s->early_due = false;
    stream_resume(c->stream);
    if (ended)
        front_exchange_finish(x);
}

/* --- the protocol --- */

static void protocol_open(struct front_conn *c)
{
    struct front_h1_state *s = mem_zalloc(sizeof *s);
    c->state = s;
    http_link_init(&s->link, HTTP1_SERVER);
    s->link.stream = c->stream;
    front_exchange_init(&s->exchange, c, &carrier);
}

static void protocol_read(struct front_conn *c, struct view bytes)
{
    struct front_h1_state *s = state_of(c);
    if (s->raw)
        front_exchange_body(&s->exchange, bytes);
    else
        http_link_take(&s->link, bytes);
}

static void protocol_end(struct front_conn *c)
{
    struct front_h1_state *s = state_of(c);
    if (s->raw)
        front_exchange_finish(&s->exchange);
    else
        http_link_end(&s->link);
}

static void set_deadline(struct front_conn *c)
{
    const struct front_h1_state *s = state_of(c);
    const struct http1 *http = &s->link.http;
    enum front_phase phase = FRONT_PHASE_BODY;
    if (s->busy)
        phase = FRONT_PHASE_NONE;
    else if (http1_output(http).len || stream_pending(c->stream) > 1)
        phase = FRONT_PHASE_WRITE;
    else if (http1_in_head(http))
        phase = FRONT_PHASE_HEAD;
    else if (http1_is_idle(http))
        phase = c->deadline.phase == FRONT_PHASE_HEAD ? FRONT_PHASE_HEAD : FRONT_PHASE_IDLE;
    front_deadline_set(c->front, &c->deadline, phase, stream_bytes_out(c->stream));
}

static void protocol_turn(struct front_conn *c)
{
    struct front_h1_state *s = state_of(c);
    bool more = true;
    if (s->raw) {
        show_early(c);
        return;
    }
    while (more && c->stream && !s->raw) {
        more = step_request(c);
        more = front_exchange_step(&s->exchange) || more;
        more = flush(s) || more;
    }
    if (!c->stream || s->raw)
        return;
    bool idle_end = c->front->draining && http1_is_idle(&s->link.http);
    if (!s->busy && (http1_should_close(&s->link.http) || idle_end)) {
        front_close_conn(c, "");
        return;
    }
    front_exchange_set_deadline(&s->exchange);
    set_deadline(c);
}

static void protocol_drain(struct front_conn *c)
{
    struct front_h1_state *s = state_of(c);
    if (s->raw)
        front_exchange_drain(&s->exchange);
}

/* RFC 9110 §15.5.9. The engine is in the middle of a head: this is written beside it. */
static void answer_late(struct front_conn *c)
{
    AUTO(fields_fini) struct fields f = {0};
    AUTO(buf_fini) struct buf out;
    const struct local_reply r = {.status = 408,
                                  .reason = http1_reason(408),
                                  .sentence = message_text(MESSAGE_FRONT_LATE),
                                  .request_id = "",
                                  .accept = ACCEPT_PLAIN};
    buf_init(&out, 2 * LOCAL_REPLY_MAX);
    front_count_status(408);
    bool ok = local_reply_fields(&r, &f) == OK && fields_add_str(&f, "Connection", "close") == OK &&
              buf_printf(&out, "HTTP/1.1 408 %s\r\n", r.reason) == OK &&
              fields_write(&f, &out) == OK &&
              buf_printf(&out, "Content-Length: %zu\r\n\r\n", strlen(r.sentence) + 1) == OK &&
              local_reply_body(&r, &out) == OK;
    if (ok)
        IGNORE(stream_write(c->stream, buf_view(&out)), "it is closed now anyway");
}

static void protocol_deadline(struct front_conn *c)
{
    const struct front_h1_state *s = state_of(c);
    if (!s->raw && !s->busy && http1_in_head(&s->link.http))
        answer_late(c);
    front_close_conn(c, "nothing came in time");
}

static bool protocol_is_idle(const struct front_conn *c)
{
    const struct front_h1_state *s = state_of(c);
    return !s->raw && !s->busy && http1_is_idle(&s->link.http);
}

static void protocol_close(struct front_conn *c, const char *why)
{
    struct front_h1_state *s = state_of(c);
    c->state = NULL;
    front_exchange_fini(&s->exchange, why);
    if (!s->raw)
        http_link_fini(&s->link);
    buf_wipe(&s->early);
    mem_free(s);
}

const struct front_protocol front_h1 = {.open = protocol_open,
                                        .read = protocol_read,
                                        .end = protocol_end,
                                        .turn = protocol_turn,
                                        .drain = protocol_drain,
                                        .deadline = protocol_deadline,
                                        .is_idle = protocol_is_idle,
                                        .close = protocol_close};
