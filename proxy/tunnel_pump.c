/*
 * The bytes of an open tunnel. Each side is paused while the other has no room, so what is held
 * here is at most one read of each.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "proxy/tunnel_internal.h"

static void touch(struct tunnel *u)
{
    u->active_at = loop_now_ms(u->tunnels->loop);
}

/* --- to the client --- */

static void pause_target(struct tunnel *u, bool pause)
{
    if (pause == u->target_paused || !u->stream)
        return;
    u->target_paused = pause;
    if (pause)
        stream_pause(u->stream);
    else
        stream_resume(u->stream);
}

/* The target's end goes on to the client once all that it sent has. */
static void pass_end(struct tunnel *u)
{
    if (u->phase == TUNNEL_CLOSING) {
        tunnel_end(u, u->reason);
    } else if (u->client_ended) {
        tunnel_end(u, message_text(MESSAGE_TUNNEL_DONE));
    } else if (!u->told_end) {
        u->told_end = true;
        tunnel_arm(u);
        u->client->finish(u->ctx);
    }
}

/* Writes what goes from the front of *bytes. */
static void write_client(struct tunnel *u, struct view *bytes)
{
    while (bytes->len && u->phase != TUNNEL_OVER) {
        struct view part = view_take(*bytes, u->client->room(u->ctx));
        if (!part.len || u->client->write(u->ctx, part) != OK)
            break;
        *bytes = view_skip(*bytes, part.len);
    }
}

void tunnel_pump_target(struct tunnel *u, struct view bytes)
{
    u->bytes_out += bytes.len;
    touch(u);
    if (!u->to_client.len)
        write_client(u, &bytes);
    if (u->phase == TUNNEL_OVER)
        return;
    CHECK(buf_append(&u->to_client, bytes) == OK); /* one read, after which the target is paused */
    pause_target(u, u->to_client.len || u->client->room(u->ctx) == 0);
}

void tunnel_drain(struct tunnel *u)
{
    if (u->phase != TUNNEL_OPEN && u->phase != TUNNEL_CLOSING)
        return;
    if (u->udp)
        return; /* nothing waits */
    struct view rest = buf_view(&u->to_client);
    size_t had = rest.len;
    if (had) {
        write_client(u, &rest);
        if (u->phase == TUNNEL_OVER)
            return;
        buf_consume(&u->to_client, had - rest.len);
        touch(u);
    }
    if (u->to_client.len)
        return;
    buf_trim(&u->to_client);
    if (u->target_ended)
        pass_end(u);
    else
        pause_target(u, u->client->room(u->ctx) == 0);
}

/* --- to the target --- */

static void shut_target(struct tunnel *u)
{
    stream_shutdown(u->stream);
    if (u->target_ended && !u->to_client.len)
        tunnel_end(u, message_text(MESSAGE_TUNNEL_DONE));
}

static void write_target(struct tunnel *u, struct view *bytes)
{
    while (bytes->len) {
        struct view part = view_take(*bytes, stream_room(u->stream));
        if (!part.len || stream_write(u->stream, part) != OK)
            break;
        *bytes = view_skip(*bytes, part.len);
    }
}

void tunnel_read(struct tunnel *u, struct view bytes)
{
    if (u->phase != TUNNEL_OPEN || u->client_ended)
        return;
    if (u->udp) {
        tunnel_udp_read(u, bytes);
        return;
    }
    if (u->packets) {
        tunnel_udp_forward(u, bytes);
        return;
    }
    u->bytes_in += bytes.len;
    touch(u);
    if (!u->to_target.len)
        write_target(u, &bytes);
    if (buf_append(&u->to_target, bytes) != OK) {
        tunnel_end(u, message_text(MESSAGE_TUNNEL_FLOOD));
        return;
    }
    if (!u->client_paused && stream_pending(u->stream) > TUNNEL_QUEUE_LOW) {
        u->client_paused = true;
        u->client->pause(u->ctx);
    }
}

void tunnel_finish(struct tunnel *u)
{
    if (u->phase != TUNNEL_OPEN || u->client_ended)
        return;
    if (u->udp) {
        tunnel_udp_finish(u);
        return;
    }
    u->client_ended = true;
    touch(u);
    if (!u->to_target.len)
        shut_target(u);
}

static void on_drain(void *ctx)
{
    struct tunnel *u = ctx;
    struct view rest = buf_view(&u->to_target);
    size_t had = rest.len;
    if (had) {
        write_target(u, &rest);
        buf_consume(&u->to_target, had - rest.len);
    }
    touch(u);
    if (u->to_target.len || stream_pending(u->stream) > TUNNEL_QUEUE_LOW)
        return;
    buf_trim(&u->to_target);
    if (u->client_ended) {
        if (had)
            shut_target(u);
        return;
    }
    if (!u->client_paused)
        return;
    u->client_paused = false;
    u->client->resume(u->ctx);
}

/* --- the target's end --- */

static void on_end(void *ctx, enum err why)
{
    struct tunnel *u = ctx;
    u->target_ended = true;
    if (why != OK) {
        AUTO_FREE char *sentence =
            message_format(MESSAGE_TUNNEL_LOST, u->cluster->spec->route, err_text(why), NULL);
        mem_set_str(&u->reason, sentence);
        u->phase = TUNNEL_CLOSING;
        u->closing_at = loop_now_ms(u->tunnels->loop) + TUNNEL_CLOSE_MS;
        tunnel_arm(u);
    }
    if (!u->to_client.len)
        pass_end(u);
}

const struct stream_handler tunnel_pump_handler = {
    .on_drain = on_drain,
    .on_end = on_end,
};
