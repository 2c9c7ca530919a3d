/* A server and a client engine back to back, and frames written by hand. */
#ifndef TESTS_UNIT_COMMON_HTTP_H2_PAIR_H
#define TESTS_UNIT_COMMON_HTTP_H2_PAIR_H

#include "common/http/h2.h"
#include "tests/support/test.h"

/* What an engine tells, as text; bytes of a body in one line. */
struct told {
    struct buf text;
    uint32_t body_of;
};

static inline void told_init(struct told *t)
{
    *t = (struct told){0};
    buf_init(&t->text, 64 << 20);
}

static inline void told_head(struct told *t, const struct h2_head *head)
{
    if (head->status)
        CHECK_OK(buf_printf(&t->text, " %u", head->status));
    else
        CHECK_OK(buf_printf(&t->text, " %.*s scheme=%.*s authority=%.*s path=%.*s protocol=%.*s",
                            VIEW_FMT(head->method), VIEW_FMT(head->scheme),
                            VIEW_FMT(head->authority), VIEW_FMT(head->path),
                            VIEW_FMT(head->protocol)));
    CHECK_OK(buf_append_str(&t->text, head->end ? " end" : ""));
    for (size_t i = 0; i < head->fields->count; i++)
        CHECK_OK(buf_printf(&t->text, "|%.*s=%.*s", VIEW_FMT(head->fields->items[i].name),
                            VIEW_FMT(head->fields->items[i].value)));
}

static inline void told_event(struct told *t, const struct h2_event *e)
{
    static const char *const names[] = {"HEAD",  "BODY",   "END",   "RESET",
                                        "DRAIN", "GOAWAY", "FAILED"};
    if (e->type != H2_BODY || t->body_of != e->stream) {
        if (t->text.len)
            CHECK_OK(buf_append_u8(&t->text, '\n'));
        CHECK_OK(buf_printf(&t->text, "%u %s", e->stream, names[e->type]));
        if (e->type == H2_BODY)
            CHECK_OK(buf_append_u8(&t->text, ' '));
    }
    t->body_of = e->type == H2_BODY ? e->stream : 0;
    CHECK_OK(buf_append(&t->text, e->bytes));
    if (e->head)
        told_head(t, e->head);
    if (e->type == H2_RESET || e->type == H2_GOAWAY)
        CHECK_OK(buf_printf(&t->text, " %u", e->code));
    if (e->type == H2_FAILED)
        CHECK_OK(buf_printf(&t->text, " %s", e->text));
}

struct pair;
typedef void (*pair_fn)(struct pair *p, struct h2 *h, const struct h2_event *e);

struct pair {
    struct h2 *client;
    struct h2 *server;
    struct told client_told;
    struct told server_told;
    pair_fn on_server; /* after it was told; NULL: bodies are consumed */
    pair_fn on_client;
    size_t piece;
    uint64_t now;
    size_t moved; /* bytes, by the last pair_flow */
};

static inline void pair_drain(struct pair *p, struct h2 *h)
{
    struct h2_event e;
    bool is_server = h == p->server;
    pair_fn fn = is_server ? p->on_server : p->on_client;
    while (h2_next(h, &e)) {
        told_event(is_server ? &p->server_told : &p->client_told, &e);
        if (fn)
            fn(p, h, &e);
        else if (e.type == H2_BODY)
            h2_consume(h, e.stream, e.bytes.len);
    }
}

static inline size_t pair_move(struct pair *p, struct h2 *from, struct h2 *to)
{
    struct view out = view_take(h2_output(from), p->piece);
    size_t n = h2_feed(to, out, p->now);
    h2_sent(from, n);
    pair_drain(p, to);
    pair_drain(p, from);
    return n;
}

/* Moves bytes both ways until nothing moves. */
static inline void pair_flow(struct pair *p)
{
    size_t n;
    p->moved = 0;
    do {
        n = pair_move(p, p->client, p->server);
        n += pair_move(p, p->server, p->client);
        p->moved += n;
    } while (n);
}

static inline void pair_init(struct pair *p, size_t piece)
{
    *p = (struct pair){.piece = piece, .now = 1000};
    p->client = h2_new(H2_CLIENT, p->now);
    p->server = h2_new(H2_SERVER, p->now);
    told_init(&p->client_told);
    told_init(&p->server_told);
}

static inline void pair_fini(struct pair *p)
{
    h2_free(p->client);
    h2_free(p->server);
    buf_fini(&p->client_told.text);
    buf_fini(&p->server_told.text);
}

static inline void pair_expect(struct pair *p, const char *server, const char *client)
{
    CHECK_VIEW_STR(buf_view(&p->server_told.text), server);
    CHECK_VIEW_STR(buf_view(&p->client_told.text), client);
    buf_clear(&p->server_told.text);
    buf_clear(&p->client_told.text);
    p->server_told.body_of = p->client_told.body_of = 0;
}

static inline uint32_t pair_connect(struct pair *p, const char *authority)
{
    uint32_t id = 0;
    struct h2_head head = {.method = VIEW("CONNECT"), .authority = view_str(authority)};
    CHECK_OK(h2_send_request(p->client, &head, &id));
    return id;
}

/* --- frames by hand --- */

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

static inline void put_frame(struct buf *b, unsigned type, unsigned flags, uint32_t stream,
                             struct view payload)
{
    const uint8_t head[9] = {
        (uint8_t)(payload.len >> 16),
        (uint8_t)(payload.len >> 8),
        (uint8_t)payload.len,
        (uint8_t)type,
        (uint8_t)flags,
        (uint8_t)(stream >> 24),
        (uint8_t)(stream >> 16),
        (uint8_t)(stream >> 8),
        (uint8_t)stream,
    };
    CHECK_OK(buf_append(b, view_of(head, sizeof head)));
    CHECK_OK(buf_append(b, payload));
}

static inline void put_preface(struct buf *b)
{
    CHECK_OK(buf_append_str(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    put_frame(b, SETTINGS, 0, 0, VIEW(""));
}

/* RFC 7541 §6.2.2, without Huffman; lengths below 127. */
static inline void put_field(struct buf *block, struct view name, struct view value)
{
    CHECK_OK(buf_append_u8(block, 0));
    CHECK_OK(buf_append_u8(block, (uint8_t)name.len));
    CHECK_OK(buf_append(block, name));
    CHECK_OK(buf_append_u8(block, (uint8_t)value.len));
    CHECK_OK(buf_append(block, value));
}

/* "name: value\n" lines, ":" of a pseudo field included. */
static inline void put_fields(struct buf *block, const char *text)
{
    struct view rest = view_str(text);
    struct view line;
    while (rest.len && view_next(&rest, '\n', &line)) {
        ptrdiff_t colon = view_search(line, VIEW(": "));
        assert_true(colon >= 0);
        put_field(block, view_take(line, (size_t)colon), view_skip(line, (size_t)colon + 2));
    }
}

static inline void put_headers(struct buf *b, uint32_t stream, unsigned flags, const char *text)
{
    AUTO(buf_fini) struct buf block;
    buf_init(&block, 1 << 20);
    put_fields(&block, text);
    put_frame(b, HEADERS, flags | END_HEADERS, stream, buf_view(&block));
}

/* The payload of the `nth` frame of that type in some output; .ptr is NULL when there is none. */
static inline struct view find_frame(struct view out, unsigned type, uint32_t stream, size_t nth)
{
    while (out.len >= 9) {
        size_t len = (size_t)out.ptr[0] << 16 | (size_t)out.ptr[1] << 8 | out.ptr[2];
        uint32_t id = (uint32_t)out.ptr[5] << 24 | (uint32_t)out.ptr[6] << 16 |
                      (uint32_t)out.ptr[7] << 8 | out.ptr[8];
        if (out.ptr[3] == type && id == stream && !nth--)
            return view_take(view_skip(out, 9), len);
        out = view_skip(out, 9 + len);
    }
    return (struct view){0};
}

static inline size_t count_frames(struct view out, unsigned type, uint32_t stream)
{
    size_t n = 0;
    while (find_frame(out, type, stream, n).ptr)
        n++;
    return n;
}

/* The code of a RST_STREAM, or of a GOAWAY when `stream` is 0; -1 when there is none. */
static inline int reset_code(struct view out, uint32_t stream)
{
    struct view payload = find_frame(out, stream ? RST_STREAM : GOAWAY, stream, 0);
    size_t skip = stream ? 0 : 4;
    return payload.ptr ? payload.ptr[skip + 3] : -1;
}

#endif
