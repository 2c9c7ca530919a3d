/*
 * UDP tunnels: capsules on the client's side, a connected socket on the target's, or capsules again
 * where an HTTP proxy is in between. Nothing is queued: what there is no room for is dropped and
 * counted, as the network would.
 */
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "proxy/tunnel_internal.h"

static void touch(struct tunnel *u)
{
    u->active_at = loop_now_ms(u->tunnels->loop);
}

/* --- to the client --- */

static void flush(struct tunnel *u, size_t packets)
{
    struct buf *batch = &u->tunnels->batch;
    struct tunnel_packet_counts *c = &u->packets->counts;
    if (!packets)
        return;
    if (u->phase == TUNNEL_OPEN && u->client->write(u->ctx, buf_view(batch)) == OK)
        c->out += packets;
    else
        c->dropped_out += packets;
    buf_clear(batch);
}

static void on_read(void *ctx, const struct view *packets, size_t count)
{
    struct tunnel *u = ctx;
    struct buf *batch = &u->tunnels->batch;
    size_t in_batch = 0;
    if (u->phase != TUNNEL_OPEN)
        return;
    touch(u);
    buf_clear(batch);
    size_t room = u->client->room(u->ctx);
    for (size_t i = 0; i < count; i++) {
        size_t most = packets[i].len + CAPSULE_DATAGRAM_OVERHEAD;
        if (batch->len + most > room) {
            u->packets->counts.dropped_out++;
            continue;
        }
        if (most > buf_room(batch)) {
            flush(u, in_batch);
            in_batch = 0;
            if (u->phase != TUNNEL_OPEN)
                return;
            room = u->client->room(u->ctx);
        }
        IGNORE(capsule_write(packets[i], batch), "there is room");
        u->bytes_out += packets[i].len;
        in_batch++;
    }
    flush(u, in_batch);
}

/* Nothing listens there now; that may change, and the client's protocol knows what to do. */
static void on_error(void *ctx, enum err e, const char *why)
{
    struct tunnel *u = ctx;
    (void)e;
    if (u->packets->counts.unreachable++ == 0)
        log_info("tunnel target unreachable", LOG_STR("connection-id", u->id),
                 LOG_STR("route-id", u->route_id), LOG_STR("upstream", u->upstream),
                 LOG_STR("reason", why));
}

enum err tunnel_udp_open(struct tunnel *u, const char **out_why)
{
    static const struct datagram_handler handler = {.on_read = on_read, .on_error = on_error};
    return datagram_open(u->tunnels->loop, &u->target, &handler, u, &u->udp, out_why);
}

/* --- to the target --- */

struct outgoing {
    struct view packets[DATAGRAM_BATCH_MAX];
    size_t count;
};

static void send_all(struct tunnel *u, struct outgoing *o)
{
    if (o->count)
        datagram_send(u->udp, o->packets, o->count);
    o->count = 0;
}

static void end_malformed(struct tunnel *u)
{
    tunnel_end(u, message_text(MESSAGE_TUNNEL_MALFORMED));
}

void tunnel_udp_read(struct tunnel *u, struct view bytes)
{
    struct view all = bytes;
    struct view payload;
    struct outgoing o;
    enum err e;
    o.count = 0;
    touch(u);
    while ((e = capsule_next(&u->packets->decoder, &bytes, &payload)) == OK) {
        bool stays = payload.ptr >= all.ptr && payload.ptr < all.ptr + all.len;
        u->packets->counts.in++;
        u->bytes_in += payload.len;
        o.packets[o.count++] = payload;
        /* What is the decoder's is gone with the next call. */
        if (!stays || o.count == DATAGRAM_BATCH_MAX)
            send_all(u, &o);
    }
    send_all(u, &o);
    if (e != ERR_MORE)
        end_malformed(u);
}

/* --- to the next proxy --- */

static void flush_chain(struct tunnel *u, size_t packets)
{
    struct buf *batch = &u->tunnels->batch;
    struct tunnel_packet_counts *c = &u->packets->counts;
    if (!packets)
        return;
    if (stream_write(u->stream, buf_view(batch)) == OK)
        c->in += packets;
    else
        c->dropped_in += packets;
    buf_clear(batch);
}

void tunnel_udp_forward(struct tunnel *u, struct view bytes)
{
    struct buf *batch = &u->tunnels->batch;
    struct view payload;
    size_t in_batch = 0;
    enum err e;
    touch(u);
    buf_clear(batch);
    while ((e = capsule_next(&u->packets->decoder, &bytes, &payload)) == OK) {
        size_t most = payload.len + CAPSULE_DATAGRAM_OVERHEAD;
        if (most > buf_room(batch)) {
            flush_chain(u, in_batch);
            in_batch = 0;
        }
        /* What waits longer than that is of no use any more. */
        if (stream_pending(u->stream) > TUNNEL_QUEUE_LOW ||
            batch->len + most > stream_room(u->stream)) {
            u->packets->counts.dropped_in++;
            continue;
        }
        IGNORE(capsule_write(payload, batch), "there is room");
        u->bytes_in += payload.len;
        in_batch++;
    }
    flush_chain(u, in_batch);
    if (e != ERR_MORE)
        end_malformed(u);
}

/* RFC 9298 §3.1: the end of the stream is the end of the socket. */
void tunnel_udp_finish(struct tunnel *u)
{
    if (capsule_at_boundary(&u->packets->decoder))
        tunnel_end(u, message_text(MESSAGE_TUNNEL_DONE));
    else
        end_malformed(u);
}

/* --- counting --- */

static void count(uint64_t now, uint64_t *counted, const char *direction, const char *result)
{
    metrics_add(METRIC_TUNNEL_DATAGRAMS, now - *counted, direction, result);
    *counted = now;
}

void tunnel_udp_count(struct tunnel *u)
{
    struct tunnel_packet_counts *now = &u->packets->counts;
    struct tunnel_packet_counts *counted = &u->packets->counted;
    if (u->udp)
        now->dropped_in = datagram_counts(u->udp)->dropped;
    count(now->in, &counted->in, "in", "passed");
    count(now->out, &counted->out, "out", "passed");
    count(now->dropped_in, &counted->dropped_in, "in", "dropped");
    count(now->dropped_out, &counted->dropped_out, "out", "dropped");
    count(now->unreachable, &counted->unreachable, "in", "unreachable");
}
