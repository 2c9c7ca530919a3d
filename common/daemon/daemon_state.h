/* Inside common/daemon: what a running daemon is made of. */
#ifndef COMMON_DAEMON_DAEMON_STATE_H
#define COMMON_DAEMON_DAEMON_STATE_H

#include "common/daemon/config_file.h"
#include "common/daemon/daemon.h"
#include "common/daemon/metrics_http.h"
#include "common/daemon/watch.h"
#include "common/io/timer.h"

enum daemon_phase {
    DAEMON_STARTING,
    DAEMON_RUNNING,
    DAEMON_DRAINING,
    DAEMON_STOPPING,
    DAEMON_CLOSING, /* our own handles */
};

struct daemon {
    const struct daemon_spec *spec;
    struct loop loop;
    const char *path;
    const struct config *config;
    uint8_t seen[32]; /* hash of the last reading, taken over or refused */
    struct health *health;
    struct metrics_http *metrics; /* NULL without metrics_address */
    struct rng rng;
    char instance_id[33];
    struct loop_signal *signals[3];
    struct watch *watch;
    struct timer deadline; /* of draining, then of stopping */
    struct timer watchdog; /* of the service manager */
    enum daemon_phase phase;
    int status;
    bool overdue; /* stop did not end in time: handles are left open */
};

/* Reads and checks; a reading of the files that were looked at is there in any case. */
enum err daemon_load(struct daemon *d, struct diag *diag, struct config_reading *out_reading,
                     const struct config **out);

/* Everything that is said about a configuration, one log line each; text fields hold no secrets. */
void daemon_log_diag(const struct diag *diag);

/* The checks, attributes and level that follow from the configuration in force. */
void daemon_show_config(struct daemon *d, const char *error);

/* Opens /metrics, if the configuration asks for it. On failure the reason is in `diag`. */
enum err daemon_open_metrics(struct daemon *d, struct diag *diag);

/* To the service manager; that it was not told is logged. */
void daemon_notify(const char *state);

/* When `forced` is false, files that read as before are not taken over again. */
void daemon_reread(struct daemon *d, bool forced);

#endif
