/* The worker's end of /metrics: its numbers, for the supervisor that serves the page. */
#ifndef PROXY_WORKER_METRICS_H
#define PROXY_WORKER_METRICS_H

#include "proxy/ssh_service.h"
#include "proxy/supervisor/worker_link.h"
#include "proxy/tunnel.h"

/* Answers a WORKER_FRAME_METRICS; `ssh` and `tunnels` may be NULL. */
void worker_metrics_answer(struct worker_link *link, struct ssh_service *ssh,
                           struct tunnels *tunnels);

#endif
