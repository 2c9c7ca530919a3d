/* nghttp2 behind the engine: its callbacks only note down what is due. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/h2_state.h"

enum {
    /* Answers to SETTINGS and PING that a peer does not read. */
    ACKS_MAX = 200,
    URGENCY = 3, /* RFC 9218 §4.1: the default */
};

/* Dead ones too: nghttp2 knows them until they are closed. */
static struct h2_stream *find_any(const struct h2 *h, int32_t id)
{
    struct h2_stream *s = h->buckets[((uint32_t)id >> 1) % H2_BUCKETS];
    while (s && s->id != (uint32_t)id)
        s = s->next;
    return s;
}

bool h2_count_up(struct h2 *h, unsigned *counter, const char *why)
{
    if (h->now - h->meter.since >= H2_METER_MS)
        h->meter = (struct h2_meter){.since = h->now};
    if (++*counter <= H2_RESETS_MAX)
        return true;
    h2_fail(h, NGHTTP2_ENHANCE_YOUR_CALM, why);
    return false;
}

void h2_fail(struct h2 *h, uint32_t code, const char *why)
{
    if (h->failure)
        return;
    h->failure = why;
    (void)nghttp2_session_terminate_session(h->session, code);
}

static int reset_malformed(struct h2 *h, int32_t id)
{
    (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* --- reading --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct h2 *h = ctx;
    struct h2_stream *s = find_any(h, frame->hd.stream_id);
    if (!s && h->role == H2_SERVER && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        (void)h2_stream_new(h, (uint32_t)frame->hd.stream_id);
        /* Tunnels take turns: none waits for the end of another. */
        const nghttp2_extpri turns = {.urgency = URGENCY, .inc = 1};
        (void)nghttp2_session_change_extpri_stream_priority(session, frame->hd.stream_id, &turns,
                                                            1);
    } else if (s && !s->head_done) {
        h2_head_clear(s); /* of a 1xx */
    }
    return 0;
}

/* nghttp2's signature. NOLINTNEXTLINE(readability-function-size) */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *ctx)
{
    (void)session;
    (void)flags;
    struct h2 *h = ctx;
    struct h2_stream *s = find_any(h, frame->hd.stream_id);
    /* Trailers are checked by nghttp2 and dropped. */
    if (!s || s->dead || s->head_done)
        return 0;
    if (h2_head_add(s, view_of(name, name_len), view_of(value, value_len)) != OK)
        return reset_malformed(h, frame->hd.stream_id);
    return 0;
}

/* RFC 9113 §8.2.1: by itself nghttp2 would only leave such a field out.
 * nghttp2's signature. NOLINTNEXTLINE(readability-function-size) */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *ctx)
{
    (void)session;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    (void)flags;
    return reset_malformed(ctx, frame->hd.stream_id);
}

/* Answers without asking the owner. */
static void refuse(struct h2 *h, struct h2_stream *s)
{
    char status[4];
    struct h2_fields fields;
    const struct h2_head head = {.status = s->refusal};
    h2_stream_kill(h, s);
    s->head_sent = s->end_due = s->reset_after_end = true;
    if (h2_fields_of(&head, H2_SERVER, status, &fields) != OK)
        return;
    (void)nghttp2_submit_response(h->session, (int32_t)s->id, fields.items, fields.count, NULL);
    mem_free(fields.items);
}

static void take_head(struct h2 *h, struct h2_stream *s, bool end)
{
    if (h2_head_finish(s, h->role) != OK) {
        (void)reset_malformed(h, (int32_t)s->id);
        return;
    }
    if (h->role == H2_CLIENT && s->head.status < 200)
        return;
    s->head_done = true;
    s->head.end = end;
    if (s->refusal) {
        s->end_received = end;
        refuse(h, s);
        return;
    }
    s->told = true;
    h2_push(h, H2_HEAD, s, 0);
}

static void take_end(struct h2 *h, struct h2_stream *s)
{
    s->end_received = true;
    if (s->told && !s->dead)
        h2_push(h, H2_END, s, 0);
}

static void take_stream_frame(struct h2 *h, const nghttp2_frame *frame)
{
    struct h2_stream *s = find_any(h, frame->hd.stream_id);
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_DATA && !end && frame->hd.length <= frame->data.padlen &&
        !h2_count_up(h, &h->meter.empties, "too many empty DATA frames"))
        return;
    if (!s)
        return;
    if (frame->hd.type == NGHTTP2_HEADERS && !s->dead && !s->head_done)
        take_head(h, s, end);
    if (end)
        take_end(h, s);
}

static void take_settings(struct h2 *h, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_ACK)
        return;
    h->ready = true;
    (void)h2_count_up(h, &h->meter.controls, "too many SETTINGS or PING frames");
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    (void)session;
    struct h2 *h = ctx;
    const struct h2_stream *s;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        take_stream_frame(h, frame);
        break;
    case NGHTTP2_RST_STREAM:
        s = find_any(h, frame->hd.stream_id);
        if (h->role == H2_SERVER && s && !s->head_sent)
            (void)h2_count_up(h, &h->meter.resets, "too many streams were reset");
        break;
    case NGHTTP2_SETTINGS:
        take_settings(h, frame);
        break;
    case NGHTTP2_PING:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            (void)h2_count_up(h, &h->meter.controls, "too many SETTINGS or PING frames");
        break;
    case NGHTTP2_GOAWAY:
        h->goaway = h->no_new = true;
        h2_push(h, H2_GOAWAY, NULL, frame->goaway.error_code);
        break;
    default:
        break;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *ctx)
{
    (void)flags;
    struct h2 *h = ctx;
    struct h2_stream *s = find_any(h, id);
    if (!s || s->dead) {
        (void)nghttp2_session_consume_connection(session, len);
        return 0;
    }
    s->unconsumed += len;
    h2_push_body(h, s, view_of(data, len));
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    (void)session;
    struct h2 *h = ctx;
    struct h2_stream *s = find_any(h, id);
    if (s)
        h2_stream_closed(h, s, code);
    return 0;
}

/* --- writing --- */

static struct view to_send(const struct h2_stream *s)
{
    return s->queue.len ? buf_view(&s->queue) : s->direct;
}

/* nghttp2's signature. NOLINTNEXTLINE(readability-function-size) */
static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max,
                       uint32_t *out_flags, nghttp2_data_source *source, void *ctx)
{
    (void)session;
    (void)buf;
    (void)source;
    struct h2_stream *s = find_any(ctx, id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t have = to_send(s).len;
    size_t n = have < max ? have : max;
    if (n == have && s->end_due)
        *out_flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (!n) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n)
        *out_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)n;
}

static void drop_sent(struct h2 *h, struct h2_stream *s, size_t n)
{
    if (!s->queue.len) {
        s->direct = view_skip(s->direct, n);
        return;
    }
    buf_consume(&s->queue, n);
    buf_trim(&s->queue);
    if (s->was_high && s->queue.len <= H2_STREAM_OUTPUT_MAX / 2) {
        s->was_high = false;
        if (!s->dead)
            h2_push(h, H2_DRAIN, s, 0);
    }
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t len, nghttp2_data_source *source, void *ctx)
{
    (void)session;
    (void)source;
    struct h2 *h = ctx;
    struct h2_stream *s = find_any(h, frame->hd.stream_id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    struct view bytes = view_take(to_send(s), len);
    /* h2_pump leaves room for more than a frame. */
    CHECK(buf_append(&h->out, view_of(head, H2_FRAME_HEAD)) == OK);
    CHECK(buf_append(&h->out, bytes) == OK);
    drop_sent(h, s, len);
    return h->out.len < H2_OUTPUT_MAX ? 0 : NGHTTP2_ERR_PAUSE;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct h2 *h = ctx;
    struct h2_stream *s = find_any(h, frame->hd.stream_id);
    bool has_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        h->goaway = h->goaway_sent = true;
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR && !h->failure)
            h->failure = "the peer broke HTTP/2";
    }
    /* What a peer makes us reset costs as much as what it resets. */
    if (frame->hd.type == NGHTTP2_RST_STREAM && h->role == H2_SERVER && s && !s->head_sent)
        (void)h2_count_up(h, &h->meter.resets, "too many streams were reset");
    if (s && has_end && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        s->end_sent = true;
        if (s->reset_after_end && !s->end_received)
            (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                            NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* A request that did not get out before the peer's GOAWAY, or was reset before it was sent. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int code,
                             void *ctx)
{
    (void)session;
    (void)code;
    struct h2 *h = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_stream *s = find_any(h, frame->hd.stream_id);
    if (s)
        h2_stream_closed(h, s, NGHTTP2_REFUSED_STREAM);
    return 0;
}

nghttp2_data_provider h2_provider(void)
{
    return (nghttp2_data_provider){.read_callback = on_read};
}

void h2_pump(struct h2 *h)
{
    while (h->out.len < H2_OUTPUT_MAX && !(h->failure && h->goaway_sent)) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(h->session, &data);
        if (n < 0 && !h->failure)
            h->failure = nghttp2_strerror((int)n);
        if (n <= 0)
            return;
        CHECK(buf_append(&h->out, view_of(data, (size_t)n)) == OK);
    }
}

/* --- beginning --- */

static void set_callbacks(nghttp2_session_callbacks *c)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
}

static void set_options(nghttp2_option *o)
{
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
    nghttp2_option_set_peer_max_concurrent_streams(o, H2_STREAMS_MAX);
}

static int submit_settings(struct h2 *h)
{
    static const nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_MAX},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    static const nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEAD_MAX},
    };
    bool is_server = h->role == H2_SERVER;
    return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, is_server ? server : client,
                                   is_server ? ARRAY_LEN(server) : ARRAY_LEN(client));
}

void h2_session_new(struct h2 *h)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&options) == 0);
    set_callbacks(callbacks);
    set_options(options);
    int rc = h->role == H2_SERVER ? nghttp2_session_server_new2(&h->session, callbacks, h, options)
                                  : nghttp2_session_client_new2(&h->session, callbacks, h, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    CHECK(rc == 0 && submit_settings(h) == 0);
    CHECK(nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                H2_CONNECTION_WINDOW) == 0);
}
