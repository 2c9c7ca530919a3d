/*
 * ProbeRequest records: taken by exactly one authorize, handed to a worker of its own, judged here,
 * and answered in the record. Only the targets of configured routes are probed.
 */
#ifndef AUTHORIZE_PROBE_H
#define AUTHORIZE_PROBE_H

#include "authorize/convert_stream.h"
#include "authorize/worker.h"

enum {
    PROBES_MAX = 8,                /* at a time; more wait */
    PROBES_WAITING_MAX = 1000,     /* known and not yet taken */
    PROBE_NO_WORKER_MS = 2 * 1000, /* so long it is left to a replica that has a worker */
    PROBE_ANSWER_MS = 60 * 1000,   /* of a worker, to one question */
};

struct probes;

struct probes *probes_open(struct authorize *a);

/* A worker's answer. */
void probes_answer(struct authorize *a, struct worker *w, const struct stream_probed *seen);

/* Each second: what waits, what has no answer. */
void probes_tick(struct authorize *a);

/* Nothing is taken any more. NULL is fine, as below. */
void probes_close(struct probes *p);
void probes_free(struct probes *p);

#endif
