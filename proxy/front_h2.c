#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/http/h2.h"
#include "proxy/front_parts.h"

enum {
    SHOWN_AT_ONCE = 16384, /* of bytes that were held */
    RESET_NO_ERROR = 0,    /* RFC 9113 §7 */
    RESET_INTERNAL = 2,
    RESET_CANCEL = 8,
};

/* One request of a connection of HTTP/2. It is freed at the end of a turn and nowhere else. */
struct front_stream {
    struct front_exchange exchange;
    struct front_stream *next;
    struct front_stream *previous;
    uint32_t id;
    struct buf held; /* of the client, not yet shown: its window is not given back before */
    bool peer_ended;
    bool end_shown;
    bool has_no_body; /* of the response */
    bool begun;       /* the response's head was sent */
    bool ended;       /* END_STREAM is behind what was sent */
    bool over;        /* nothing more to do but to send what is queued */
    bool gone;        /* not even that */
    uint64_t sent;
};

struct front_h2_state {
    struct h2 *h2;
    struct buf rest; /* read and not yet taken by the engine */
    struct front_stream *first;
    struct front_stream *gathering; /* whose bytes `gathered` of the front has; NULL: nobody's */
    size_t count;
    bool paused;
    bool has_begun; /* a request has come */
    bool is_leaving;
};

static struct front_h2_state *state_of(const struct front_conn *c)
{
    return c->state;
}

static struct front_stream *stream_of(const struct front_exchange *x)
{
    return (struct front_stream *)x; /* its first member */
}

static struct h2 *engine_of(const struct front_exchange *x)
{
    return state_of(x->conn)->h2;
}

/* True when the engine has nothing more to send now. */
static bool flush(struct front_conn *c)
{
    struct h2 *h2 = state_of(c)->h2;
    for (;;) {
        struct view out = h2_output(h2);
        struct view now = view_take(out, stream_room(c->stream));
        if (!out.len)
            return true;
        if (!now.len || stream_write(c->stream, now) != OK)
            return false;
        h2_sent(h2, now.len);
    }
}

/* Within a turn that is its end's business. */
static void flush_outside(struct front_conn *c)
{
    if (!c->in_turn && c->stream)
        (void)flush(c);
}

/* --- the carrier --- */

static enum err send_head(struct front_stream *s, uint16_t status, struct fields *f, bool end)
{
    s->begun = true;
    s->ended = end;
    return h2_send_response(engine_of(&s->exchange), s->id,
                            &(struct h2_head){.status = status, .fields = f, .end = end});
}

/* RFC 9113 §8.2.2: what is about a connection of HTTP/1 has no place here. */
static enum err carrier_head(struct front_exchange *x, const struct http1_head *head)
{
    struct front_stream *s = stream_of(x);
    AUTO(fields_fini) struct fields f = {0};
    AUTO(buf_fini) struct buf length;
    buf_init(&length, 32);
    TRY(fields_append(&f, head->fields));
    fields_remove_hop_by_hop(&f);
    if (head->body == HTTP1_BODY_LENGTH) {
        TRY(buf_printf(&length, "%llu", (unsigned long long)head->body_len));
        TRY(fields_set(&f, "Content-Length", buf_view(&length)));
    }
    if (head->status < 200 || head->status == 204 || head->status == 304)
        s->has_no_body = true;
    bool is_empty =
        head->body == HTTP1_BODY_NONE || (head->body == HTTP1_BODY_LENGTH && !head->body_len);
    return send_head(s, head->status, &f, is_empty || s->has_no_body);
}

static size_t carrier_writable(const struct front_exchange *x)
{
    return h2_writable(engine_of(x), stream_of(x)->id);
}

static enum err carrier_body(struct front_exchange *x, struct view bytes)
{
    struct front_stream *s = stream_of(x);
    if (s->has_no_body || !bytes.len)
        return OK;
    if (s->ended)
        return ERR_STATE;
    TRY(h2_send_body(engine_of(x), s->id, bytes));
    s->sent += bytes.len;
    flush_outside(x->conn);
    return OK;
}

static void carrier_finish(struct front_exchange *x)
{
    struct front_stream *s = stream_of(x);
    if (!s->ended)
        IGNORE(h2_send_end(engine_of(x), s->id), "a stream that is gone has ended");
    s->ended = true;
    flush_outside(x->conn);
}

static void carrier_end(struct front_exchange *x)
{
    carrier_finish(x);
    stream_of(x)->over = true;
}

static void carrier_abort(struct front_exchange *x)
{
    struct front_stream *s = stream_of(x);
    h2_reset(engine_of(x), s->id, s->ended ? RESET_CANCEL : RESET_INTERNAL);
    s->over = s->gone = true;
    flush_outside(x->conn);
}

static void carrier_proceed(struct front_exchange *x)
{
    (void)x; /* nobody waits for it: windows say what may be sent */
}

static size_t carrier_pending(const struct front_exchange *x)
{
    return h2_pending(engine_of(x), stream_of(x)->id);
}

static uint64_t carrier_progress(const struct front_exchange *x)
{
    return stream_of(x)->sent - carrier_pending(x);
}

static void carrier_accept(struct front_exchange *x, const struct fields *fields)
{
    AUTO(fields_fini) struct fields f = {0};
    CHECK(fields_append(&f, fields) == OK);
    front_count_status(200);
    IGNORE(send_head(stream_of(x), 200, &f, false), "a stream that is gone has told so");
    flush_outside(x->conn);
}

static void carrier_pause(struct front_exchange *x, bool pause)
{
    (void)x; /* what comes is held, and its window not given back */
    (void)pause;
}

static const struct front_carrier carrier = {.name = "HTTP/2",
                                             .head = carrier_head,
                                             .writable = carrier_writable,
                                             .body = carrier_body,
                                             .end = carrier_end,
                                             .abort = carrier_abort,
                                             .proceed = carrier_proceed,
                                             .pending = carrier_pending,
                                             .progress = carrier_progress,
                                             .accept = carrier_accept,
                                             .pause = carrier_pause,
                                             .finish = carrier_finish,
                                             .close = carrier_end};

/* --- requests --- */

static void begin_stream(struct front_conn *c, uint32_t id, struct h2_head *head)
{
    struct front_h2_state *state = state_of(c);
    struct front_stream *s = mem_zalloc(sizeof *s);
    uint64_t len = 0;
    bool has_len = text_u64(fields_get(head->fields, "Content-Length"), INT64_MAX, &len) == OK;
    front_exchange_init(&s->exchange, c, &carrier);
    buf_init(&s->held, H2_WINDOW);
    s->id = id;
    s->has_no_body = view_eq_str(head->method, "HEAD");
    s->next = state->first;
    if (s->next)
        s->next->previous = s;
    state->first = s;
    state->count++;
    state->has_begun = true;
    h2_set_owner(state->h2, id, s);
    const struct front_request r = {.head = {.is_h2 = true,
                                             .method = head->method,
                                             .authority = head->authority,
                                             .path = head->path,
                                             .protocol = head->protocol,
                                             .has_body = !head->end,
                                             .fields = head->fields},
                                    .fields = head->fields,
                                    .body = head->end ? HTTP1_BODY_NONE
                                            : has_len ? HTTP1_BODY_LENGTH
                                                      : HTTP1_BODY_CHUNKED,
                                    .body_len = len};
    front_exchange_begin(&s->exchange, &r);
}

static void free_stream(struct front_h2_state *state, struct front_stream *s, const char *why)
{
    *(s->previous ? &s->previous->next : &state->first) = s->next;
    if (s->next)
        s->next->previous = s->previous;
    state->count--;
    front_exchange_fini(&s->exchange, why);
    buf_wipe(&s->held);
    mem_free(s);
}

static void drop(struct front_conn *c, struct front_stream *s, size_t n)
{
    h2_consume(state_of(c)->h2, s->id, n);
}

static void take_body(struct front_conn *c, struct front_stream *s, struct view bytes)
{
    struct front_exchange *x = &s->exchange;
    if (s->over) {
        drop(c, s, bytes.len);
    } else if (!s->held.len && front_exchange_takes(x)) {
        front_exchange_body(x, bytes);
        drop(c, s, bytes.len);
    } else if (buf_append(&s->held, bytes) != OK) {
        carrier_abort(x); /* beyond its window, which the engine does not let happen */
    }
}

/* True when there was something. */
static bool show_gathered(struct front_conn *c)
{
    struct front_h2_state *state = state_of(c);
    struct front_stream *s = state->gathering;
    if (!s)
        return false;
    state->gathering = NULL;
    take_body(c, s, buf_view(&c->front->gathered));
    buf_clear(&c->front->gathered);
    return true;
}

/*
 * Frames are small, and each write of a tunnel costs a system call: what came for one tunnel in one
 * turn is shown to it at once.
 */
static void gather(struct front_conn *c, struct front_stream *s, struct view bytes)
{
    struct front_h2_state *state = state_of(c);
    struct buf *gathered = &c->front->gathered;
    bool is_tunnel = s->exchange.work == FRONT_WORK_TUNNEL;
    if (state->gathering != s || !is_tunnel || bytes.len > buf_room(gathered))
        (void)show_gathered(c);
    if (is_tunnel && buf_append(gathered, bytes) == OK)
        state->gathering = s;
    else
        take_body(c, s, bytes);
}

static void reset_stream(struct front_stream *s)
{
    struct front_exchange *x = &s->exchange;
    s->over = s->gone = true;
    front_forward_end(x);
    front_tunnel_gone(x, "the client has reset the stream");
    x->work = FRONT_WORK_NONE;
}

static void take_event(struct front_conn *c, const struct h2_event *e)
{
    struct front_stream *s = e->owner;
    if (e->type != H2_BODY)
        (void)show_gathered(c);
    switch (e->type) {
    case H2_HEAD:
        begin_stream(c, e->stream, e->head);
        break;
    case H2_BODY:
        if (s)
            gather(c, s, e->bytes);
        else
            h2_consume(state_of(c)->h2, e->stream, e->bytes.len);
        break;
    case H2_END:
        if (s)
            s->peer_ended = true;
        break;
    case H2_RESET:
        if (s)
            reset_stream(s);
        break;
    case H2_DRAIN:
        if (s)
            front_exchange_drain(&s->exchange);
        break;
    case H2_GOAWAY:
    case H2_FAILED:
        break;
    }
}

/* Bytes that were held, and the end behind them. */
static bool show_held(struct front_conn *c, struct front_stream *s)
{
    struct front_exchange *x = &s->exchange;
    if (s->over || !front_exchange_takes(x))
        return false;
    if (s->held.len) {
        struct view piece = view_take(buf_view(&s->held), SHOWN_AT_ONCE);
        front_exchange_body(x, piece);
        drop(c, s, piece.len);
        buf_consume(&s->held, piece.len);
        buf_trim(&s->held);
        return true;
    }
    if (!s->peer_ended || s->end_shown)
        return false;
    s->end_shown = true;
    front_exchange_finish(x);
    return true;
}

static bool step_streams(struct front_conn *c)
{
    bool more = false;
    for (struct front_stream *s = state_of(c)->first; s; s = s->next) {
        more = show_held(c, s) || more;
        more = (!s->over && front_exchange_step(&s->exchange)) || more;
    }
    return more;
}

/* True when the engine has got something. */
static bool feed_rest(struct front_conn *c)
{
    struct front_h2_state *state = state_of(c);
    if (state->rest.len) {
        size_t n = h2_feed(state->h2, buf_view(&state->rest), loop_now_ms(c->front->loop));
        buf_consume(&state->rest, n);
        if (state->rest.len)
            return n > 0;
        buf_trim(&state->rest);
        return true;
    }
    if (state->paused) {
        state->paused = false;
        stream_resume(c->stream);
    }
    return false;
}

static bool step_events(struct front_conn *c)
{
    struct front_h2_state *state = state_of(c);
    struct h2_event e;
    bool more = false;
    while (h2_next(state->h2, &e)) {
        take_event(c, &e);
        more = true;
    }
    more = show_gathered(c) || more;
    return feed_rest(c) || more;
}

/*
 * RFC 9113 §8.1: a response that is complete before its request is followed by RST_STREAM with
 * NO_ERROR: the client is to stop, and to keep the answer.
 */
static void sweep(struct front_conn *c, bool is_flushed)
{
    struct front_h2_state *state = state_of(c);
    struct front_stream *next;
    for (struct front_stream *s = state->first; s; s = next) {
        next = s->next;
        bool is_sent = is_flushed && !h2_pending(state->h2, s->id);
        if (!s->over || (!s->gone && !is_sent)) {
            front_exchange_set_deadline(&s->exchange);
            continue;
        }
        h2_set_owner(state->h2, s->id, NULL);
        drop(c, s, s->held.len);
        if (!s->gone && !s->peer_ended)
            h2_reset(state->h2, s->id, RESET_NO_ERROR);
        free_stream(state, s, "");
    }
}

/* --- the protocol --- */

static void protocol_open(struct front_conn *c)
{
    struct front_h2_state *state = mem_zalloc(sizeof *state);
    state->h2 = h2_new(H2_SERVER, loop_now_ms(c->front->loop));
    buf_init(&state->rest, LOOP_SCRATCH);
    c->state = state;
}

static void protocol_read(struct front_conn *c, struct view bytes)
{
    struct front_h2_state *state = state_of(c);
    size_t n = state->rest.len ? 0 : h2_feed(state->h2, bytes, loop_now_ms(c->front->loop));
    if (n == bytes.len)
        return;
    /* Reading stops while there is a rest, so one read always fits. */
    CHECK(buf_append(&state->rest, view_skip(bytes, n)) == OK);
    state->paused = true;
    stream_pause(c->stream);
}

/* A client that ends its connection wants no more of its streams. */
static void protocol_end(struct front_conn *c)
{
    front_close_conn(c, "the client has closed its connection");
}

static void set_deadline(struct front_conn *c)
{
    const struct front_h2_state *state = state_of(c);
    enum front_phase phase = FRONT_PHASE_NONE;
    if (!state->count)
        phase = state->has_begun ? FRONT_PHASE_IDLE : FRONT_PHASE_HEAD;
    front_deadline_set(c->front, &c->deadline, phase, 0);
}

static void protocol_turn(struct front_conn *c)
{
    struct front_h2_state *state = state_of(c);
    bool more = true;
    if (c->front->draining && !state->is_leaving) {
        state->is_leaving = true;
        h2_goaway(state->h2);
    }
    while (more) {
        more = step_events(c);
        more = step_streams(c) || more;
    }
    sweep(c, flush(c));
    (void)flush(c);
    if (h2_should_close(state->h2))
        front_close_conn(c, "");
    else
        set_deadline(c);
}

static void protocol_drain(struct front_conn *c)
{
    (void)flush(c);
}

static void protocol_deadline(struct front_conn *c)
{
    struct front_h2_state *state = state_of(c);
    h2_goaway(state->h2);
    (void)flush(c);
    front_close_conn(c, "nothing came in time");
}

static bool protocol_is_idle(const struct front_conn *c)
{
    (void)c;
    return false; /* the turn says GOAWAY and closes */
}

static void protocol_close(struct front_conn *c, const char *why)
{
    struct front_h2_state *state = state_of(c);
    while (state->first)
        free_stream(state, state->first, why);
    c->state = NULL;
    h2_free(state->h2);
    buf_wipe(&state->rest);
    mem_free(state);
}

const struct front_protocol front_h2 = {.open = protocol_open,
                                        .read = protocol_read,
                                        .end = protocol_end,
                                        .turn = protocol_turn,
                                        .drain = protocol_drain,
                                        .deadline = protocol_deadline,
                                        .is_idle = protocol_is_idle,
                                        .close = protocol_close};
