/* Inside authorize/snapshot: what is made ready of a tcp or udp route. */
#ifndef AUTHORIZE_SNAPSHOT_TUNNEL_H
#define AUTHORIZE_SNAPSHOT_TUNNEL_H

#include "authorize/snapshot/snapshot.h"

/* Its destinations for snapshot_tunnel; certificates that cannot be used are errors in `d`. */
void snapshot_add_tunnel(struct snapshot *s, const struct snapshot_route *r, struct diag *d);

/* After the last of them. */
void snapshot_index_tunnels(struct snapshot *s);

#endif
