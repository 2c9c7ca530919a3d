/*
 * Links as streams of one HTTP/2 connection. The first link of a gateway begins the connection;
 * when the gateway speaks HTTP/1.1 alone, that link gets it and the others go back to link_dial.
 */
#ifndef CLI_MUX_H
#define CLI_MUX_H

#include "cli/link_parts.h"

/* Opens the link's stream on the gateway's connection, now or when there is one. */
void mux_add(struct gateway *g, struct link *l);

/* The link leaves: its stream ends behind what was written. */
void mux_remove(struct link *l);

/* As the functions of link.h. */
enum err mux_write(struct link *l, struct view bytes);
size_t mux_room(const struct link *l);
size_t mux_pending(const struct link *l);
void mux_resume(struct link *l);
void mux_shutdown(struct link *l);

/* Ends the gateway's connection; no link is left on it. NULL is fine. */
void mux_close(struct mux *m);

#endif
