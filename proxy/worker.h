/*
 * The worker: the process that speaks with strangers. It is told everything over the socketpair of
 * worker.proto, opens no file, and ends when that socket closes.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

enum { WORKER_STOP_MS = 4300 };

/* main of postern-proxy --worker; the descriptors are those of proxy/supervisor/process.h. */
int worker_main(void);

#endif
