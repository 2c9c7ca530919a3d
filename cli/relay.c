#include "cli/relay.h"

void relay_init(struct relay *r, struct stream *local, struct link *link)
{
    *r = (struct relay){.local = local, .link = link};
    buf_init(&r->up, RELAY_HOLD_MAX);
    buf_init(&r->down, RELAY_HOLD_MAX);
}

void relay_fini(struct relay *r)
{
    buf_fini(&r->up);
    buf_fini(&r->down);
}

static void turn_up(struct relay *r)
{
    struct view now = view_take(buf_view(&r->up), link_room(r->link));
    if (now.len && link_write(r->link, now) == OK) {
        r->bytes_up += now.len;
        buf_consume(&r->up, now.len);
    }
    if (r->up.len == 0)
        buf_trim(&r->up);
    if (r->local_ended && r->up.len == 0 && !r->up_shut && !r->hold_up_end) {
        r->up_shut = true;
        link_shutdown(r->link);
    }
    if (r->up.len || link_room(r->link) < RELAY_ROOM)
        stream_pause(r->local);
    else
        stream_resume(r->local);
}

static void turn_down(struct relay *r)
{
    struct view now = view_take(buf_view(&r->down), stream_room(r->local));
    if (now.len && stream_write(r->local, now) == OK) {
        r->bytes_down += now.len;
        buf_consume(&r->down, now.len);
    }
    if (r->down.len == 0)
        buf_trim(&r->down);
    if (r->link_ended && r->down.len == 0 && !r->down_shut && !r->hold_down_end) {
        r->down_shut = true;
        stream_shutdown(r->local);
    }
    if (r->link_ended)
        return;
    if (r->down.len || stream_room(r->local) < RELAY_ROOM)
        link_pause(r->link);
    else
        link_resume(r->link);
}

void relay_turn(struct relay *r)
{
    turn_up(r);
    turn_down(r);
}

enum err relay_local_read(struct relay *r, struct view bytes)
{
    if (r->up.len == 0 && link_write(r->link, bytes) == OK)
        r->bytes_up += bytes.len;
    else
        TRY(buf_append(&r->up, bytes));
    turn_up(r);
    return OK;
}

enum err relay_link_read(struct relay *r, struct view bytes)
{
    if (r->down.len == 0 && stream_write(r->local, bytes) == OK)
        r->bytes_down += bytes.len;
    else
        TRY(buf_append(&r->down, bytes));
    turn_down(r);
    return OK;
}

void relay_local_end(struct relay *r)
{
    r->local_ended = true;
    turn_up(r);
}

void relay_link_end(struct relay *r)
{
    r->link_ended = true;
    turn_down(r);
}

void relay_release(struct relay *r)
{
    r->hold_up_end = r->hold_down_end = false;
    relay_turn(r);
}

bool relay_is_done(const struct relay *r)
{
    return r->up_shut && r->down_shut;
}
