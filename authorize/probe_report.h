/*
 * What a probe's findings mean, in words: each step with what was seen and, when it failed, what to
 * do. No side effects; the sentences are rows of messages.def.
 */
#ifndef AUTHORIZE_PROBE_REPORT_H
#define AUTHORIZE_PROBE_REPORT_H

#include "authorize/convert_probe.h"
#include "authorize/host_key.h"

/* Empties it; frees all. A zeroed report is empty. */
void probe_report_fini(struct probe_report *r);

/* The route: NULL when it is unknown. */
void probe_report_route(struct probe_report *r, const char *typed, const struct route *route);

/* Something in authorize or at the worker that ends the probe at `step`. */
void probe_report_failed(struct probe_report *r, const char *step, enum message m,
                         const char *detail);

/* The worker's steps but LOGIN's. */
void probe_report_steps(struct probe_report *r, const struct stream_probed *seen);

/* The key that the target showed, and how it was judged. True: a certificate may be tried. */
bool probe_report_host_key(struct probe_report *r, const struct snapshot *s,
                           const struct snapshot_route *route, struct view host_key,
                           const struct host_key_judgement *j);

/* What became of the certificates, in the order of enum ca_probe_window. */
void probe_report_login(struct probe_report *r, const char *login,
                        const struct stream_probed *seen);

/* A key of a scan. */
void probe_report_key(struct probe_report *r, const struct snapshot_route *route,
                      const struct host_keys *record, struct view host_key,
                      const struct host_key_judgement *j);

/*
 * The end: steps of a doctor that were not reached are "skipped", and in what to do ROUTE and LOGIN
 * become their names.
 */
void probe_report_complete(struct probe_report *r, const struct probe_request *request);

/* No step has failed. */
bool probe_report_is_ok(const struct probe_report *r);

#endif
