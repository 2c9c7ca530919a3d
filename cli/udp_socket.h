/* A UDP socket that many send to. */
#ifndef CLI_UDP_SOCKET_H
#define CLI_UDP_SOCKET_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/address.h"
#include "common/io/loop.h"

enum { UDP_SOCKET_MAX = LOOP_SCRATCH }; /* no packet is longer */

struct udp_socket;
typedef void (*udp_socket_fn)(void *ctx, const struct address *from, struct view payload);

/*
 * "host:port" or ":port" (all addresses), port 0 is the kernel's choice. ERR_CONFIG, ERR_IO with a
 * sentence in *out_why, fresh memory. The views live until the callback returns.
 */
enum err udp_socket_open(struct loop *l, const char *address, udp_socket_fn on_packet, void *ctx,
                         struct udp_socket **out, char **out_why);
struct address udp_socket_local(const struct udp_socket *u);

/* Dropped when it cannot be sent at once. */
void udp_socket_send(struct udp_socket *u, const struct address *to, struct view payload);

/* No callback any more. NULL is fine. */
void udp_socket_close(struct udp_socket *u);

#endif
