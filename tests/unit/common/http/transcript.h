/* What an http1 engine tells, as text: the same however the bytes were cut. */
#ifndef TESTS_UNIT_COMMON_HTTP_TRANSCRIPT_H
#define TESTS_UNIT_COMMON_HTTP_TRANSCRIPT_H

#include "common/http/http1.h"
#include "tests/support/test.h"

struct transcript {
    struct buf text;
    bool in_body;
};

static inline void transcript_init(struct transcript *t)
{
    *t = (struct transcript){0};
    buf_init(&t->text, 16 << 20);
}

static inline void transcript_head(struct transcript *t, const struct http1_head *head)
{
    static const char *const bodies[] = {"none", "length", "chunked", "close"};
    if (head->status)
        CHECK_OK(buf_printf(&t->text, "%u", head->status));
    else
        CHECK_OK(buf_printf(&t->text, "%.*s %.*s host=%.*s path=%.*s", VIEW_FMT(head->method),
                            VIEW_FMT(head->target), VIEW_FMT(head->authority),
                            VIEW_FMT(head->path)));
    CHECK_OK(buf_printf(&t->text, " %s", bodies[head->body]));
    if (head->body == HTTP1_BODY_LENGTH)
        CHECK_OK(buf_printf(&t->text, "=%llu", (unsigned long long)head->body_len));
    CHECK_OK(buf_printf(&t->text, "%s%s%s", head->close ? " close" : "",
                        head->upgrade ? " upgrade" : "", head->expect_continue ? " expect" : ""));
    for (size_t i = 0; i < head->fields->count; i++)
        CHECK_OK(buf_printf(&t->text, "|%.*s=%.*s", VIEW_FMT(head->fields->items[i].name),
                            VIEW_FMT(head->fields->items[i].value)));
}

/* One line per event; the bytes of a body in one line. */
static inline void transcript_event(struct transcript *t, const struct http1_event *e)
{
    static const char *const names[] = {"HEAD ",   "INTERIM ", "BODY ",  "END",
                                        "TUNNEL ", "CLOSED",   "FAILED "};
    bool is_bytes = e->type == HTTP1_BODY || e->type == HTTP1_TUNNEL;
    if (!(is_bytes && t->in_body)) {
        if (t->text.len)
            CHECK_OK(buf_append_u8(&t->text, '\n'));
        CHECK_OK(buf_append_str(&t->text, names[e->type]));
    }
    t->in_body = is_bytes;
    if (is_bytes)
        CHECK_OK(buf_append(&t->text, e->bytes));
    if (e->head)
        transcript_head(t, e->head);
    if (e->type == HTTP1_FAILED)
        CHECK_OK(buf_printf(&t->text, "%u %s", e->status, e->text));
}

/* Feeds everything; `turn` takes the events, as an owner would. */
typedef void (*transcript_turn_fn)(struct http1 *h, struct transcript *t);

static inline void transcript_feed(struct http1 *h, struct transcript *t, struct view bytes,
                                   transcript_turn_fn turn)
{
    while (bytes.len) {
        size_t n = http1_feed(h, bytes);
        bytes = view_skip(bytes, n);
        turn(h, t);
        if (!n && !http1_room(h))
            break;
    }
}

#endif
