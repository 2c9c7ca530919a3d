/* What the worker's SSH side shows as metrics besides what it counts as it goes. */
#ifndef PROXY_SSH_MEASURE_H
#define PROXY_SSH_MEASURE_H

#include <stdint.h>

struct ssh_service;
struct ssh_session;

/* Bytes that this process has allocated. */
uint64_t ssh_measure_memory(void);

/* Sets the gauges and adds what the live connections have moved since the last time. */
void ssh_measure(struct ssh_service *s);

/* Adds what one connection has moved since the last time. */
void ssh_measure_bytes(struct ssh_session *s);

/* How one connection ended. */
void ssh_measure_ended(const struct ssh_session *s);

#endif
