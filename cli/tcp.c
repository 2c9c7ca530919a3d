/* postern tcp: one tunnel for each local connection, or one on standard input and output. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/relay.h"
#include "cli/service.h"
#include "cli/stdio.h"
#include "common/base/mem.h"
#include "common/io/listen.h"

enum { REASON_WAIT_MS = 3000, LEFT_POLL_MS = 50, OUTPUT_WAIT_MS = 2000 };

struct tcp {
    struct service service;
    struct listener *listener;
    struct flow *first;
    bool output_written; /* standard output has got all */
};

struct flow {
    struct tcp *tcp;
    struct flow *next, **link;
    struct stream *local;
    struct attempt *attempt;
    struct relay relay;
    bool open;
    bool asking; /* why the gateway has ended it */
    bool broken; /* and not by a clean end */
    bool gone;   /* the gateway takes nothing any more */
    bool cut;    /* the gateway has ended it, not the target */
    struct timer patience;
};

static void flow_end(struct flow *f, int status)
{
    struct tcp *t = f->tcp;
    struct service *s = &t->service;
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    s->bytes_up += f->relay.bytes_up;
    s->bytes_down += f->relay.bytes_down;
    s->tunnels--;
    attempt_free(f->attempt);
    timer_fini(&f->patience);
    relay_fini(&f->relay);
    stream_close(f->local, 0, NULL, NULL);
    mem_free(f);
    if (!s->once)
        return;
    s->status = status;
    if (t->output_written)
        loop_stop(&s->loop);
}

/* A slow reader gets all: what is queued is waited for, as long as it takes. */
static void flow_check(struct flow *f)
{
    if (f->asking || !relay_is_done(&f->relay))
        return;
    bool up = f->cut || link_pending(f->attempt->link) == 0;
    if (up && stream_pending(f->local) == 0)
        flow_end(f, f->cut ? CLI_FAILED : CLI_OK);
    else
        timer_after(&f->patience, LEFT_POLL_MS);
}

/* Nothing can be sent any more; what has come is still handed over. */
static void flow_cut(struct flow *f)
{
    f->cut = true;
    f->relay.up_shut = true;
    flow_check(f);
}

/* --- the local side --- */

static void on_local_read(void *ctx, struct view bytes)
{
    struct flow *f = ctx;
    if (relay_local_read(&f->relay, bytes) != OK)
        flow_end(f, CLI_FAILED);
}

static void on_local_drain(void *ctx)
{
    struct flow *f = ctx;
    if (!f->open)
        return;
    relay_turn(&f->relay);
    flow_check(f);
}

static void on_local_end(void *ctx, enum err e)
{
    struct flow *f = ctx;
    if (e != OK || !f->open) {
        flow_end(f, CLI_OK);
        return;
    }
    relay_local_end(&f->relay);
    flow_check(f);
}

static const struct stream_handler local_handler = {
    .on_read = on_local_read, .on_drain = on_local_drain, .on_end = on_local_end};

/* --- the gateway's side --- */

static void on_link_open(void *ctx)
{
    struct flow *f = ctx;
    f->open = true;
    f->attempt->failed = 0;
    relay_init(&f->relay, f->local, f->attempt->link);
    relay_turn(&f->relay);
}

static void on_link_refused(void *ctx, const struct link_refusal *r)
{
    struct flow *f = ctx;
    attempt_refused(f->attempt, r);
}

static void on_link_read(void *ctx, struct view bytes)
{
    struct flow *f = ctx;
    if (relay_link_read(&f->relay, bytes) != OK)
        flow_end(f, CLI_FAILED);
}

static void on_link_drain(void *ctx)
{
    struct flow *f = ctx;
    relay_turn(&f->relay);
    flow_check(f);
}

/*
 * The gateway has ended its direction: the target has finished sending, or the tunnel was ended.
 * It is asked which, before it learns that the local side has finished too. A program on our
 * standard output learns of the end after the reason was said.
 */
static void on_link_end(void *ctx, enum err e)
{
    struct flow *f = ctx;
    if (f->relay.link_ended) {
        /* Half an end before, the rest now: nothing can be sent any more. */
        f->gone = true;
        if (!f->asking)
            flow_cut(f);
        return;
    }
    f->broken = e != OK;
    if (f->relay.up_shut && !f->broken) {
        relay_link_end(&f->relay);
        flow_check(f);
        return;
    }
    f->asking = true;
    f->relay.hold_up_end = true;
    f->relay.hold_down_end = f->tcp->service.once;
    relay_link_end(&f->relay);
    timer_after(&f->patience, REASON_WAIT_MS);
    link_ask_reason(f->attempt->link);
}

static void on_link_reason(void *ctx, const char *reason)
{
    struct flow *f = ctx;
    if (!f->asking)
        return;
    f->asking = false;
    timer_clear(&f->patience);
    if (reason)
        progress_say(&f->tcp->service.progress, "tunnel ended: %s", reason);
    else if (f->broken)
        progress_say(&f->tcp->service.progress,
                     "tunnel ended: the connection to the gateway broke");
    relay_release(&f->relay);
    if (reason || f->broken || f->gone)
        flow_cut(f);
    else
        flow_check(f);
}

static void on_patience(void *ctx)
{
    struct flow *f = ctx;
    if (f->asking)
        on_link_reason(f, NULL);
    else
        flow_check(f);
}

static const struct link_handler link_handler = {
    .on_open = on_link_open,
    .on_refused = on_link_refused,
    .on_read = on_link_read,
    .on_drain = on_link_drain,
    .on_end = on_link_end,
    .on_reason = on_link_reason,
};

static void on_give_up(void *ctx, int status)
{
    flow_end(ctx, status);
}

static void flow_open(struct tcp *t, int fd)
{
    struct service *s = &t->service;
    struct flow *f = mem_zalloc(sizeof *f);
    f->tcp = t;
    f->next = t->first;
    f->link = &t->first;
    if (f->next)
        f->next->link = &f->next;
    t->first = f;
    s->tunnels++;
    timer_init(&f->patience, &s->loop, on_patience, f);
    const struct stream_spec spec = {.loop = &s->loop, .paused = true};
    f->local = stream_new(&spec, fd, &local_handler, f);
    f->attempt = mem_zalloc(sizeof *f->attempt);
    *f->attempt = (struct attempt){.service = s,
                                   .handler = &link_handler,
                                   .kind = LINK_TCP,
                                   .ctx = f,
                                   .on_give_up = on_give_up};
    attempt_open(f->attempt);
}

static void on_accept(void *ctx, int fd, const struct address *peer)
{
    (void)peer;
    flow_open(ctx, fd);
}

/* --- the command --- */

static struct progress_counts count(void *ctx)
{
    struct tcp *t = ctx;
    struct progress_counts c = {t->service.tunnels, t->service.bytes_up, t->service.bytes_down};
    for (const struct flow *f = t->first; f; f = f->next) {
        c.bytes_up += f->relay.bytes_up;
        c.bytes_down += f->relay.bytes_down;
    }
    return c;
}

static void on_stop(void *ctx)
{
    struct tcp *t = ctx;
    t->service.stopping = true;
    loop_stop(&t->service.loop);
}

static void on_output_written(void *ctx)
{
    struct tcp *t = ctx;
    t->output_written = true;
    if (!t->first)
        loop_stop(&t->service.loop);
}

static int start(struct tcp *t)
{
    struct service *s = &t->service;
    int fd = -1;
    if (s->once) {
        if (stdio_open(&s->loop, on_output_written, t, &fd) != OK)
            return cli_fail("standard input and output cannot be used");
        flow_open(t, fd);
        return CLI_OK;
    }
    AUTO_FREE char *why = NULL;
    if (listen_bind(s->flags.listen ? s->flags.listen : "127.0.0.1:0", &fd, &why) != OK)
        return cli_fail("--listen: %s", why);
    struct address at = listen_address(fd);
    t->listener = listener_open(&s->loop, fd, on_accept, t);
    service_listening(&at);
    return CLI_OK;
}

static void on_stuck(void *ctx)
{
    struct tcp *t = ctx;
    loop_stop(&t->service.loop);
}

/*
 * The thread that writes ends by itself, unless nobody reads standard output: then it would find
 * the loop gone. Meanwhile the gateway learns of the end.
 */
static void wait_for_output(struct tcp *t, int status)
{
    AUTO(timer_fini) struct timer stuck;
    timer_init(&stuck, &t->service.loop, on_stuck, t);
    timer_after(&stuck, OUTPUT_WAIT_MS);
    loop_run(&t->service.loop);
    if (!t->output_written)
        _exit(status);
}

int command_tcp(struct cli *cli)
{
    struct tcp t = {0};
    struct service *s = &t.service;
    int status = service_init(s, cli, CLIENT_TCP, on_stop, &t);
    if (s->target)
        progress_init(&s->progress, &s->loop, status == CLI_OK && !s->once, count, &t);
    if (status == CLI_OK)
        status = start(&t);
    if (status == CLI_OK) {
        loop_run(&s->loop);
        status = s->stopping ? CLI_OK : s->status;
    }
    listener_close(t.listener);
    while (t.first)
        flow_end(t.first, CLI_OK);
    if (s->once && !t.output_written)
        wait_for_output(&t, status);
    service_fini(s);
    return status;
}
