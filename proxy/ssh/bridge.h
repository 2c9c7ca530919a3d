/*
 * A relay between two transports: who is asked for packets when. A side's packets are taken while
 * the other side can write them; what a transport reports besides packets is handed through.
 *
 * That rule alone could stand still during a rekey, because a peer's KEXINIT may be behind data
 * for a side that cannot write. So a side that is in a key exchange is taken from as long as the
 * other one has any room at all, which is more than a peer can have in flight.
 *
 * Where there is no target the management shell stands in its place.
 */
#ifndef PROXY_SSH_BRIDGE_H
#define PROXY_SSH_BRIDGE_H

#include "proxy/ssh/relay.h"
#include "proxy/ssh/shell.h"
#include "proxy/ssh/transport.h"

/* Where a transport's packets go. */
struct sink bridge_sink(struct transport *t);

struct bridge {
    struct transport *transport[2]; /* by enum relay_side; borrowed */
    struct shell *shell;            /* borrowed; NULL: there is a target, else none */
    struct relay relay;
    enum relay_side turn;
};

enum bridge_event_type {
    BRIDGE_TRANSPORT, /* anything but PACKET, of `side` */
    BRIDGE_RELAY,
    BRIDGE_SHELL,
};

struct bridge_event {
    enum bridge_event_type type;
    enum relay_side side;
    struct transport_event transport;
    struct relay_event relay;
    struct shell_event shell;
};

/* `config`'s sinks are set here. */
void bridge_init(struct bridge *b, struct transport *client, struct transport *target,
                 const struct relay_config *config);
void bridge_init_shell(struct bridge *b, struct transport *client, struct shell *shell,
                       const struct relay_config *config);
void bridge_fini(struct bridge *b);

/* Relays what there is; false when nothing is left to do until a transport is fed or drained. */
bool bridge_next(struct bridge *b, struct bridge_event *out_event);

/* False while bytes from the side should stay in its socket. */
bool bridge_takes(const struct bridge *b, enum relay_side side);

#endif
