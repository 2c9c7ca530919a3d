/*
 * Two engines back to back do what the input says: open, answer, send, end, reset, give back, move
 * some bytes. What arrives is what was sent, in order, and a stream ends as its sides have said.
 */
#include "common/base/check.h"
#include "common/http/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS = 16, CLIENT = 0, SERVER = 1 };

/* One direction of a stream. */
struct way {
    size_t sent;
    size_t received;
    size_t held; /* received and not given back */
    bool ended;
    bool end_told;
};

struct stream {
    struct way ways[2]; /* by who sends */
    bool answered;
    bool was_reset; /* by either side, or refused */
};

struct world {
    struct h2 *ends[2];
    struct stream streams[STREAMS];
    size_t opened;
};

static uint8_t byte_at(uint32_t id, int from, size_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 8) + id * 31 + (size_t)from);
}

static struct stream *stream_of(struct world *w, uint32_t id)
{
    CHECK(id % 2 && id / 2 < STREAMS);
    return &w->streams[id / 2];
}

static void take_body(struct world *w, int to, const struct h2_event *e)
{
    struct way *way = &stream_of(w, e->stream)->ways[!to];
    for (size_t i = 0; i < e->bytes.len; i++)
        CHECK(e->bytes.ptr[i] == byte_at(e->stream, !to, way->received + i));
    way->received += e->bytes.len;
    way->held += e->bytes.len;
    CHECK(way->received <= way->sent && way->held <= H2_WINDOW && !way->end_told);
}

static void take(struct world *w, int to, const struct h2_event *e)
{
    struct way *way;
    switch (e->type) {
    case H2_HEAD:
        CHECK(to == SERVER || stream_of(w, e->stream)->answered);
        break;
    case H2_BODY:
        take_body(w, to, e);
        break;
    case H2_END:
        way = &stream_of(w, e->stream)->ways[!to];
        CHECK(way->ended && way->received == way->sent && !way->end_told);
        way->end_told = true;
        break;
    case H2_RESET:
        CHECK(stream_of(w, e->stream)->was_reset);
        break;
    case H2_DRAIN:
        CHECK(h2_writable(w->ends[to], e->stream) > 0 || stream_of(w, e->stream)->ways[to].ended ||
              h2_pending(w->ends[to], e->stream) > 0 || stream_of(w, e->stream)->was_reset);
        break;
    case H2_GOAWAY:
    case H2_FAILED:
        CHECK(false);
        break;
    }
}

static void drain(struct world *w, int end)
{
    struct h2_event e;
    while (h2_next(w->ends[end], &e))
        take(w, end, &e);
}

static size_t move(struct world *w, int from, size_t most)
{
    struct view out = view_take(h2_output(w->ends[from]), most);
    size_t n = h2_feed(w->ends[!from], out, 1);
    h2_sent(w->ends[from], n);
    drain(w, !from);
    drain(w, from);
    return n;
}

static void send_bytes(struct world *w, int from, uint32_t id, size_t len)
{
    static uint8_t block[1 << 17];
    struct way *way = &stream_of(w, id)->ways[from];
    size_t room = h2_writable(w->ends[from], id);
    len = len < room ? len : room;
    for (size_t i = 0; i < len; i++)
        block[i] = byte_at(id, from, way->sent + i);
    if (!len || h2_send_body(w->ends[from], id, view_of(block, len)) != OK)
        return;
    way->sent += len;
}

static void open_stream(struct world *w)
{
    uint32_t id;
    const struct h2_head head = {.method = VIEW("CONNECT"), .authority = VIEW("a:1")};
    if (w->opened == STREAMS || h2_send_request(w->ends[CLIENT], &head, &id) != OK)
        return;
    CHECK(id == 2 * w->opened + 1);
    w->opened++;
}

static void act(struct world *w, uint8_t op, uint8_t which, uint8_t amount)
{
    int end = op >> 7;
    uint32_t id = 2U * (which % STREAMS) + 1;
    struct stream *s = stream_of(w, id);
    switch (op & 7) {
    case 0:
        open_stream(w);
        break;
    case 1:
        if (h2_send_response(w->ends[SERVER], id, &(struct h2_head){.status = 200}) == OK)
            s->answered = true;
        break;
    case 2:
    case 3:
        send_bytes(w, end, id, (size_t)amount * (op & 1 ? 1 : 511));
        break;
    case 4:
        if (h2_send_end(w->ends[end], id) == OK)
            s->ways[end].ended = true;
        break;
    case 5:
        /* Rarely, else nothing lives long. */
        if (amount < 32) {
            s->was_reset = true;
            h2_reset(w->ends[end], id, amount & 8);
        }
        break;
    case 6:
        h2_consume(w->ends[end], id, s->ways[!end].held);
        s->ways[!end].held = 0;
        break;
    default:
        (void)move(w, end, (size_t)amount * which + 1);
        break;
    }
}

/* Everything is given back and moved until nothing moves; then all that was not reset is there. */
static void settle(struct world *w)
{
    size_t n;
    do {
        for (uint32_t i = 0; i < STREAMS; i++) {
            for (int end = 0; end < 2; end++) {
                h2_consume(w->ends[end], 2 * i + 1, w->streams[i].ways[!end].held);
                w->streams[i].ways[!end].held = 0;
            }
        }
        n = move(w, CLIENT, SIZE_MAX) + move(w, SERVER, SIZE_MAX);
    } while (n);
    for (size_t i = 0; i < w->opened; i++) {
        const struct stream *s = &w->streams[i];
        for (int from = 0; from < 2 && !s->was_reset; from++) {
            CHECK(s->ways[from].received == s->ways[from].sent);
            CHECK(s->ways[from].end_told == s->ways[from].ended);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.ends = {h2_new(H2_CLIENT, 1), h2_new(H2_SERVER, 1)}};
    for (size_t i = 0; i + 2 < size && i < 3000; i += 3)
        act(&w, data[i], data[i + 1], data[i + 2]);
    settle(&w);
    h2_free(w.ends[CLIENT]);
    h2_free(w.ends[SERVER]);
    return 0;
}
