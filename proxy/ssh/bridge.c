#include "proxy/ssh/bridge.h"

#include "proxy/ssh/engine.h"

static enum err bridge_send(void *ctx, struct view payload)
{
    return transport_send(ctx, payload);
}

struct sink bridge_sink(struct transport *t)
{
    return (struct sink){.send = bridge_send, .ctx = t};
}

void bridge_init(struct bridge *b, struct transport *client, struct transport *target,
                 const struct relay_config *config)
{
    *b = (struct bridge){.transport = {client, target}};
    struct relay_config c = *config;
    c.out[RELAY_CLIENT] = bridge_sink(client);
    c.out[RELAY_TARGET] = bridge_sink(target);
    relay_init(&b->relay, &c);
}

static enum err to_shell(void *ctx, struct view payload)
{
    return shell_feed(ctx, payload);
}

void bridge_init_shell(struct bridge *b, struct transport *client, struct shell *shell,
                       const struct relay_config *config)
{
    *b = (struct bridge){.transport = {client, NULL}, .shell = shell};
    struct relay_config c = *config;
    c.out[RELAY_CLIENT] = bridge_sink(client);
    c.out[RELAY_TARGET] = (struct sink){.send = to_shell, .ctx = shell};
    relay_init(&b->relay, &c);
}

void bridge_fini(struct bridge *b)
{
    relay_fini(&b->relay);
}

/* A payload of this size is taken for sure. */
static size_t send_room(const struct transport *t)
{
    size_t used = t->tx_blocked ? t->held_cost : t->output.len;
    size_t max = t->tx_blocked ? t->limits.held_max : t->limits.output_hard;
    used += PACKET_OVERHEAD;
    return used < max ? max - used : 0;
}

bool bridge_takes(const struct bridge *b, enum relay_side side)
{
    const struct transport *other = b->transport[1 - side];
    if (!other)
        return shell_takes(b->shell) || transport_rekeying(b->transport[side]);
    if (transport_writable(other) || transport_ended(other))
        return true;
    return b->transport[side] && transport_rekeying(b->transport[side]) &&
           send_room(other) >= TRANSPORT_PACKET_MAX;
}

/* One message of the shell; false when it has none. */
static bool pull_shell(struct bridge *b)
{
    uint8_t *payload;
    size_t len;
    if (!bridge_takes(b, RELAY_TARGET) || !shell_output(b->shell, &payload, &len))
        return false;
    IGNORE(relay_feed(&b->relay, RELAY_TARGET, payload, len), "it sends what the relay knows");
    return true;
}

/* One event of one side; false when it has none. *out_done tells that it is for the caller. */
static bool pull(struct bridge *b, enum relay_side side, struct bridge_event *out, bool *out_done)
{
    if (!b->transport[side])
        return pull_shell(b);
    if (!bridge_takes(b, side) || !transport_next(b->transport[side], &out->transport))
        return false;
    if (out->transport.type != TRANSPORT_PACKET) {
        out->type = BRIDGE_TRANSPORT;
        out->side = side;
        *out_done = true;
        return true;
    }
    if (relay_feed(&b->relay, side, out->transport.packet.payload, out->transport.packet.len) != OK)
        transport_unimplemented(b->transport[side], out->transport.packet.seq);
    return true;
}

bool bridge_next(struct bridge *b, struct bridge_event *out)
{
    for (int idle = 0; idle < 2;) {
        if (relay_next(&b->relay, &out->relay)) {
            out->type = BRIDGE_RELAY;
            out->side = out->relay.side;
            return true;
        }
        if (b->shell && shell_next(b->shell, &out->shell)) {
            out->type = BRIDGE_SHELL;
            return true;
        }
        bool done = false;
        idle = pull(b, b->turn, out, &done) ? 0 : idle + 1;
        b->turn = b->turn == RELAY_CLIENT ? RELAY_TARGET : RELAY_CLIENT;
        if (done)
            return true;
    }
    return false;
}
