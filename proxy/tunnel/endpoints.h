/*
 * The endpoints of one cluster: which one a new tunnel tries, what is known about their health, and
 * which of them are ejected because they do not answer. Pure: time and randomness come in.
 *
 * An endpoint's state belongs to its address, is counted, and goes over to the next configuration
 * of the cluster. Whoever has a connection to one holds it with endpoint_take and endpoint_leave.
 *
 * A pick looks at four sets in turn, and at those only that were not yet tried for this tunnel:
 * the usable ones (healthy, not ejected); when fewer than panic_threshold percent are usable, all;
 * then the healthy ones, then the rest. So an endpoint that lives is found as long as there is one.
 */
#ifndef PROXY_TUNNEL_ENDPOINTS_H
#define PROXY_TUNNEL_ENDPOINTS_H

#include "proxy/tunnel/cluster.h"

struct endpoint_check {
    bool is_down;
    uint32_t streak; /* results in a row that say otherwise */
};

struct endpoint {
    char *address;
    unsigned refs;
    size_t active;         /* tunnels on it, being connected or open */
    uint32_t failures;     /* to connect, in a row */
    uint32_t ejections;    /* so far; one less after each good time */
    uint64_t ejected_till; /* ms */
    struct endpoint_check checks[CLUSTER_CHECKS_MAX];
};

struct endpoint_seat {
    struct endpoint *endpoint;
    uint32_t weight;
    int64_t credit; /* of smooth weighted round robin */
};

struct endpoints {
    const struct cluster_spec *spec; /* borrowed */
    struct endpoint_seat *seats;
    size_t count;
};

/* `old` (may be NULL) gives the state of endpoints with the same address. */
void endpoints_init(struct endpoints *e, const struct cluster_spec *spec,
                    const struct endpoints *old);
void endpoints_fini(struct endpoints *e);

/* What one tunnel has tried; zeroed at the start. */
struct endpoints_tried {
    uint64_t bits[CLUSTER_ENDPOINTS_MAX / 64];
};

/*
 * The endpoint to try, marked as tried; NULL when all were. `random` is two fresh numbers. The
 * result is held once more: endpoint_leave.
 */
struct endpoint *endpoints_pick(struct endpoints *e, struct endpoints_tried *tried, uint64_t now,
                                const uint64_t random[static 2]);

void endpoint_leave(struct endpoint *p);

/* A connection was made, or was not. True when the endpoint is ejected for that. */
void endpoints_connected(struct endpoints *e, struct endpoint *p, uint64_t now);
bool endpoints_failed(struct endpoints *e, struct endpoint *p, uint64_t now);

/* Result of health check `check` of the spec. True when the endpoint's health changes by it. */
bool endpoints_checked(struct endpoints *e, struct endpoint *p, size_t check, bool ok);

bool endpoint_is_healthy(const struct endpoint *p);
bool endpoint_is_ejected(const struct endpoint *p, uint64_t now);

#endif
