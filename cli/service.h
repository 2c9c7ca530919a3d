/*
 * What postern tcp and postern udp share: the gateway, who waits for a sign-in, what a refusal
 * leads to, and the end of the process.
 */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include "cli/gateway.h"
#include "cli/link.h"
#include "cli/progress.h"
#include "cli/tunnel/reply.h"

struct service {
    struct cli *cli;
    struct client_flags flags;
    struct loop loop;
    struct gateway gateway;
    char *target;
    struct progress progress;
    struct loop_signal *signals[3];
    bool once;     /* one tunnel, on standard input and output */
    bool stopping; /* asked to, by a signal */
    int status;    /* exit status */
    size_t tunnels;
    uint64_t bytes_up; /* of tunnels that have ended */
    uint64_t bytes_down;
};

/*
 * From the words of the command line to a gateway. `kind` is "tcp" or "udp". CLI_OK, or an exit
 * status after saying why. `on_stop` is called for a signal.
 */
int service_init(struct service *s, struct cli *cli, enum client_command command, loop_fn on_stop,
                 void *ctx);
void service_fini(struct service *s);

/* "listening on ADDRESS" */
void service_listening(const struct address *at);

/* One try after the other to open a tunnel. */
struct attempt {
    struct service *service;
    const struct link_handler *handler;
    enum link_kind kind;
    void *ctx;
    struct link *link;
    unsigned failed; /* connections to the gateway, in a row */
    bool signed_in;  /* for this tunnel */
    bool waits;      /* for a sign-in */
    bool gone;       /* closed while it waited */
    struct timer retry;
    void (*on_give_up)(void *ctx, int status);
};
void attempt_open(struct attempt *a);

/* For on_refused: says what there is to say, and tries again or gives up. */
void attempt_refused(struct attempt *a, const struct link_refusal *r);

/* Frees `a`, which is on the heap, now or when the sign-in that it waits for is over. */
void attempt_free(struct attempt *a);

#endif
