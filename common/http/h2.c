#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/h2_state.h"

/* RFC 9113 §3.4 */
enum { PREFACE_LEN = 24 };

struct h2 *h2_new(enum h2_role role, uint64_t now_ms)
{
    struct h2 *h = mem_zalloc(sizeof *h);
    h->role = role;
    h->now = h->meter.since = now_ms;
    h->preface = role == H2_SERVER ? PREFACE_LEN : 0;
    buf_init(&h->in, H2_INPUT_MAX);
    buf_init(&h->out, H2_OUTPUT_MAX + 2 * H2_HEAD_MAX);
    h2_session_new(h);
    return h;
}

void h2_free(struct h2 *h)
{
    if (!h)
        return;
    nghttp2_session_del(h->session);
    h2_streams_free(h);
    buf_fini(&h->in);
    buf_fini(&h->out);
    mem_free(h);
}

/* --- reading --- */

static bool is_due(const struct h2 *h)
{
    return h->due_first < h->due_count;
}

/* No event that is due speaks of these bytes. */
static void drop_taken(struct h2 *h)
{
    if (!h->taken || is_due(h))
        return;
#ifdef POSTERN_POISON
    memset(buf_ptr(&h->in), 0xdd, h->taken);
#endif
    buf_consume(&h->in, h->taken);
    buf_trim(&h->in);
    h->taken = 0;
}

/*
 * A full output alone is no reason to stop reading: two peers that both did so would wait for each
 * other. What a peer that does not read can make us answer is.
 */
static bool is_clogged(const struct h2 *h)
{
    return h->out.len >= H2_OUTPUT_MAX &&
           nghttp2_session_get_outbound_queue_size(h->session) > H2_QUEUE_MAX;
}

size_t h2_room(const struct h2 *h)
{
    if (h->failure || h->peer_ended || is_clogged(h))
        return 0;
    return buf_room(&h->in) + (is_due(h) ? 0 : h->taken);
}

size_t h2_feed(struct h2 *h, struct view bytes, uint64_t now_ms)
{
    h->now = now_ms;
    drop_taken(h);
    struct view part = view_take(bytes, h2_room(h));
    return buf_append(&h->in, part) == OK ? part.len : 0;
}

void h2_feed_end(struct h2 *h)
{
    h->peer_ended = true;
}

/* nghttp2 gets one frame at a time, so that what it tells stays small. 0: more bytes are needed. */
static size_t next_piece(struct h2 *h)
{
    struct view in = buf_view(&h->in);
    if (h->preface)
        return h->preface < in.len ? h->preface : in.len;
    if (!h->frame_left) {
        if (in.len < H2_FRAME_HEAD)
            return 0;
        h->frame_left =
            H2_FRAME_HEAD + ((size_t)in.ptr[0] << 16 | (size_t)in.ptr[1] << 8 | in.ptr[2]);
    }
    return h->frame_left < in.len ? h->frame_left : in.len;
}

static void count_piece(struct h2 *h, size_t n)
{
    h->taken = n;
    if (h->preface)
        h->preface -= n;
    else
        h->frame_left -= n;
}

static bool tell_failure(struct h2 *h)
{
    if (h->failure_told)
        return false;
    h->failure_told = true;
    for (size_t i = 0; i < H2_BUCKETS; i++) {
        while (h->buckets[i])
            h2_stream_closed(h, h->buckets[i], NGHTTP2_INTERNAL_ERROR);
    }
    h2_push(h, H2_FAILED, NULL, 0);
    return true;
}

/* False when nothing more can be told. */
static bool step(struct h2 *h)
{
    h2_bury(h);
    drop_taken(h);
    if (h->failure)
        return tell_failure(h);
    size_t n = next_piece(h);
    if (!n) {
        if (h->peer_ended)
            h->failure = "the peer closed the connection";
        h2_pump(h);
        return h->peer_ended || is_due(h);
    }
    ssize_t used = nghttp2_session_mem_recv(h->session, buf_view(&h->in).ptr, n);
    if (used < 0)
        h2_fail(h, NGHTTP2_PROTOCOL_ERROR, nghttp2_strerror((int)used));
    count_piece(h, n);
    h2_pump(h);
    return true;
}

bool h2_next(struct h2 *h, struct h2_event *out)
{
    if (h->shown_head) {
        h2_head_clear(h->shown_head);
        h->shown_head = NULL;
    }
    do {
        if (h2_pop(h, out))
            return true;
    } while (step(h));
    return false;
}

/* --- heads --- */

/* What was submitted with a head. */
static void head_is_sent(struct h2_stream *s, bool end)
{
    s->head_sent = true;
    s->end_due = end;
}

enum err h2_send_request(struct h2 *h, const struct h2_head *head, uint32_t *out_stream)
{
    struct h2_fields fields;
    if (h->role != H2_CLIENT)
        return ERR_STATE;
    if (h->failure || h->no_new || !nghttp2_session_check_request_allowed(h->session))
        return ERR_CLOSED;
    if (head->protocol.len && !h2_has_extended_connect(h))
        return ERR_UNSUPPORTED;
    if (h->count >=
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
        return ERR_LIMIT;
    TRY(h2_fields_of(head, H2_CLIENT, NULL, &fields));
    nghttp2_data_provider body = h2_provider();
    int32_t id = nghttp2_submit_request(h->session, NULL, fields.items, fields.count,
                                        head->end ? NULL : &body, NULL);
    mem_free(fields.items);
    if (id < 0)
        return ERR_CLOSED;
    struct h2_stream *s = h2_stream_new(h, (uint32_t)id);
    s->told = true;
    head_is_sent(s, head->end);
    *out_stream = s->id;
    return OK;
}

bool h2_is_ready(const struct h2 *h)
{
    return h->ready;
}

bool h2_has_extended_connect(const struct h2 *h)
{
    return h->ready && nghttp2_session_get_remote_settings(
                           h->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

enum err h2_send_response(struct h2 *h, uint32_t stream, const struct h2_head *head)
{
    char status[4];
    struct h2_fields fields;
    struct h2_stream *s = h2_find(h, stream);
    if (!s)
        return ERR_NOT_FOUND;
    if (h->role != H2_SERVER || s->head_sent || !s->head_done)
        return ERR_STATE;
    if (head->status < 200 || head->status > 599)
        return ERR_SYNTAX;
    TRY(h2_fields_of(head, H2_SERVER, status, &fields));
    nghttp2_data_provider body = h2_provider();
    int rc = nghttp2_submit_response(h->session, (int32_t)stream, fields.items, fields.count,
                                     head->end ? NULL : &body);
    mem_free(fields.items);
    if (rc != 0)
        return ERR_NOT_FOUND;
    head_is_sent(s, head->end);
    return OK;
}

/* --- bodies --- */

static void wake(struct h2 *h, struct h2_stream *s)
{
    if (!s->deferred)
        return;
    s->deferred = false;
    (void)nghttp2_session_resume_data(h->session, (int32_t)s->id);
}

size_t h2_writable(const struct h2 *h, uint32_t stream)
{
    const struct h2_stream *s = h2_find(h, stream);
    return s && s->head_sent && !s->end_due ? H2_STREAM_OUTPUT_MAX - s->queue.len : 0;
}

size_t h2_pending(const struct h2 *h, uint32_t stream)
{
    const struct h2_stream *s = h2_find(h, stream);
    return s ? s->queue.len : 0;
}

enum err h2_send_body(struct h2 *h, uint32_t stream, struct view bytes)
{
    struct h2_stream *s = h2_find(h, stream);
    if (!s)
        return ERR_NOT_FOUND;
    if (!s->head_sent || s->end_due)
        return ERR_STATE;
    if (bytes.len > H2_STREAM_OUTPUT_MAX - s->queue.len) {
        s->was_high = true; /* it will be told when to try again */
        return ERR_LIMIT;
    }
    if (!bytes.len)
        return OK;
    wake(h, s);
    /* Much goes straight into the output as far as the windows let it. */
    if (bytes.len >= H2_DIRECT_MIN && !s->queue.len) {
        s->direct = bytes;
        h2_pump(h);
        bytes = s->direct;
        s->direct = (struct view){0};
    }
    IGNORE(buf_append(&s->queue, bytes), "there is room");
    s->was_high = s->was_high || s->queue.len > H2_STREAM_OUTPUT_MAX / 2;
    return OK;
}

enum err h2_send_end(struct h2 *h, uint32_t stream)
{
    struct h2_stream *s = h2_find(h, stream);
    if (!s)
        return ERR_NOT_FOUND;
    if (!s->head_sent || s->end_due)
        return ERR_STATE;
    s->end_due = true;
    wake(h, s);
    return OK;
}

void h2_reset(struct h2 *h, uint32_t stream, uint32_t code)
{
    struct h2_stream *s = h2_find(h, stream);
    if (!s)
        return;
    h2_stream_kill(h, s);
    if (code == NGHTTP2_NO_ERROR && s->end_due && !s->end_sent) {
        s->reset_after_end = true;
        return;
    }
    (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, (int32_t)stream, code);
}

void h2_consume(struct h2 *h, uint32_t stream, size_t n)
{
    struct h2_stream *s = h2_find(h, stream);
    if (!s)
        return;
    CHECK(n <= s->unconsumed);
    s->unconsumed -= n;
    (void)nghttp2_session_consume(h->session, (int32_t)stream, n);
}

/* --- streams --- */

void h2_set_owner(struct h2 *h, uint32_t stream, void *owner)
{
    struct h2_stream *s = h2_find(h, stream);
    /* Events of a stream that is closed by now may still be due. */
    for (struct h2_stream *closed = h->closed; !s && closed; closed = closed->next)
        s = closed->id == stream ? closed : NULL;
    if (s)
        s->owner = owner;
}

void *h2_owner(const struct h2 *h, uint32_t stream)
{
    const struct h2_stream *s = h2_find(h, stream);
    return s ? s->owner : NULL;
}

size_t h2_count(const struct h2 *h)
{
    return h->count;
}

void h2_each(struct h2 *h, void (*fn)(void *ctx, uint32_t stream, void *owner), void *ctx)
{
    size_t count = 0;
    AUTO_FREE uint32_t *ids = mem_zalloc_array(h->count, sizeof *ids);
    for (size_t i = 0; i < H2_BUCKETS; i++) {
        for (const struct h2_stream *s = h->buckets[i]; s; s = s->next) {
            if (!s->dead && s->owner)
                ids[count++] = s->id;
        }
    }
    for (size_t i = 0; i < count; i++) {
        void *owner = h2_owner(h, ids[i]);
        if (owner)
            fn(ctx, ids[i], owner);
    }
}

void h2_goaway(struct h2 *h)
{
    if (h->goaway_sent || h->failure)
        return;
    h->goaway = h->no_new = true;
    (void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    /* From here on what comes is refused. */
    h2_pump(h);
}

/* --- output --- */

struct view h2_output(struct h2 *h)
{
    h2_pump(h);
    h->last_output = h->out.len;
    return buf_view(&h->out);
}

void h2_sent(struct h2 *h, size_t n)
{
    buf_consume(&h->out, n);
    /* Whoever has become quiet does not keep what bulk needed. */
    if (!h->out.len && h->last_output < h->out.cap / 4)
        buf_trim(&h->out);
}

bool h2_should_close(const struct h2 *h)
{
    if (h->out.len)
        return false;
    if (h->failure)
        return h->goaway_sent || h->peer_ended || !nghttp2_session_want_write(h->session);
    return h->goaway && !h->count && !nghttp2_session_want_write(h->session);
}
