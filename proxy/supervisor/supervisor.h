/*
 * The proxy's supervisor: reads the configuration, holds the private keys, binds the listening
 * sockets, keeps one worker running and signs for it. It never calls into gRPC.
 */
#ifndef PROXY_SUPERVISOR_SUPERVISOR_H
#define PROXY_SUPERVISOR_SUPERVISOR_H

enum {
    SUPERVISOR_RESTART_MIN_MS = 50,
    SUPERVISOR_RESTART_MAX_MS = 1600, /* so that a worker is back within 3 s */
    SUPERVISOR_HEALTHY_MS = 10000,    /* a worker that lived so long did not fail at its start */
    SUPERVISOR_KILL_MS = 4500,        /* after the channel was closed */
};

/* main of postern-proxy, as daemon_run. */
int supervisor_main(int argc, char **argv);

#endif
