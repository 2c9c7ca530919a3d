#include "common/io/http_link.h"

#include "common/base/check.h"

void http_link_init(struct http_link *l, enum http1_role role)
{
    *l = (struct http_link){0};
    http1_init(&l->http, role);
    buf_init(&l->rest, LOOP_SCRATCH);
}

void http_link_fini(struct http_link *l)
{
    http1_fini(&l->http);
    buf_wipe(&l->rest);
}

void http_link_take(struct http_link *l, struct view bytes)
{
    size_t n = l->rest.len ? 0 : http1_feed(&l->http, bytes);
    if (n == bytes.len)
        return;
    /* Reading stops while there is a rest, so one read always fits. */
    CHECK(buf_append(&l->rest, view_skip(bytes, n)) == OK);
    l->paused = true;
    if (l->stream)
        stream_pause(l->stream);
}

void http_link_end(struct http_link *l)
{
    l->ended = true;
}

/* True when the engine has got something that it had not. */
static bool feed_rest(struct http_link *l)
{
    if (l->rest.len) {
        size_t n = http1_feed(&l->http, buf_view(&l->rest));
        buf_consume(&l->rest, n);
        if (l->rest.len)
            return n > 0;
        buf_trim(&l->rest);
        if (n > 0)
            return true;
    }
    if (l->paused && l->stream) {
        l->paused = false;
        stream_resume(l->stream);
    }
    if (!l->ended || l->told_end)
        return false;
    l->told_end = true;
    http1_feed_end(&l->http);
    return true;
}

bool http_link_next(struct http_link *l, struct http1_event *out)
{
    do {
        if (http1_next(&l->http, out))
            return true;
    } while (feed_rest(l));
    return false;
}

bool http_link_flush(struct http_link *l)
{
    if (!l->stream)
        return false;
    struct view out = http1_output(&l->http);
    struct view now = view_take(out, stream_room(l->stream));
    if (now.len == 0 || stream_write(l->stream, now) != OK)
        return false;
    http1_sent(&l->http, now.len);
    return true;
}
