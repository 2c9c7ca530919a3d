/* postern udp: one tunnel for each address that sends packets here. */
#include <stdio.h>
#include <string.h>

#include "cli/service.h"
#include "cli/udp_socket.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/http/capsule.h"

enum {
    FLOWS_MAX = 1024,
    EARLY_MAX = 128 * 1024,  /* packets that come while the tunnel is being opened */
    IDLE_MS = 5 * 60 * 1000, /* then the sender is taken to be gone */
    REFUSED_MS = 10 * 1000,  /* so long a sender that was refused is not tried again */
    REASON_WAIT_MS = 3000,
};

struct udp {
    struct service service;
    struct udp_socket *socket;
    struct map flows;   /* by the sender's address */
    struct buf capsule; /* of the packet at hand */
};

struct flow {
    struct udp *udp;
    struct address from;
    struct attempt *attempt;
    struct capsule_decoder decoder;
    struct buf early;
    struct timer idle; /* also how long a refusal lasts, and the wait for a reason */
    uint64_t bytes_up;
    uint64_t bytes_down;
    bool open;
    bool refused;
    bool ended;
    bool broken;
};

static struct view key_of(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
    address_text(a, text);
    return view_str(text);
}

static void flow_end(struct flow *f)
{
    char text[ADDRESS_TEXT_MAX];
    struct service *s = &f->udp->service;
    (void)map_remove(&f->udp->flows, key_of(&f->from, text));
    s->bytes_up += f->bytes_up;
    s->bytes_down += f->bytes_down;
    s->tunnels--;
    if (f->attempt)
        attempt_free(f->attempt);
    capsule_fini(&f->decoder);
    buf_fini(&f->early);
    timer_fini(&f->idle);
    mem_free(f);
}

static void on_give_up(void *ctx, int status)
{
    struct flow *f = ctx;
    f->udp->service.status = status;
    f->refused = true;
    f->open = false;
    attempt_free(f->attempt);
    f->attempt = NULL;
    buf_clear(&f->early);
    timer_after(&f->idle, REFUSED_MS);
}

static void on_open(void *ctx)
{
    struct flow *f = ctx;
    f->open = true;
    f->attempt->failed = 0;
    if (link_write(f->attempt->link, buf_view(&f->early)) == OK)
        f->bytes_up += f->early.len;
    buf_clear(&f->early);
    buf_trim(&f->early);
    timer_after(&f->idle, IDLE_MS);
}

static void on_refused(void *ctx, const struct link_refusal *r)
{
    struct flow *f = ctx;
    attempt_refused(f->attempt, r);
}

static void on_read(void *ctx, struct view bytes)
{
    struct flow *f = ctx;
    struct view payload;
    enum err e;
    while ((e = capsule_next(&f->decoder, &bytes, &payload)) == OK) {
        f->bytes_down += payload.len;
        udp_socket_send(f->udp->socket, &f->from, payload);
    }
    timer_after(&f->idle, IDLE_MS);
    if (e == ERR_MORE)
        return;
    progress_say(&f->udp->service.progress, "the gateway's packets are malformed");
    flow_end(f);
}

static void on_drain(void *ctx)
{
    (void)ctx; /* what there was no room for is dropped, as networks do it */
}

static void on_end(void *ctx, enum err e)
{
    struct flow *f = ctx;
    if (f->ended)
        return;
    f->ended = true;
    f->open = false;
    f->broken = e != OK;
    timer_after(&f->idle, REASON_WAIT_MS);
    link_ask_reason(f->attempt->link);
}

/* The next packet of this sender opens another tunnel. */
static void on_reason(void *ctx, const char *reason)
{
    struct flow *f = ctx;
    if (reason)
        progress_say(&f->udp->service.progress, "tunnel ended: %s", reason);
    else if (f->broken)
        progress_say(&f->udp->service.progress,
                     "tunnel ended: the connection to the gateway broke");
    flow_end(f);
}

static const struct link_handler link_handler = {
    .on_open = on_open,
    .on_refused = on_refused,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_end = on_end,
    .on_reason = on_reason,
};

static void on_idle(void *ctx)
{
    struct flow *f = ctx;
    if (f->ended)
        on_reason(f, NULL);
    else
        flow_end(f);
}

static struct flow *flow_open(struct udp *u, const struct address *from, struct view key)
{
    struct service *s = &u->service;
    if (map_count(&u->flows) >= FLOWS_MAX)
        return NULL;
    struct flow *f = mem_zalloc(sizeof *f);
    f->udp = u;
    f->from = *from;
    buf_init(&f->early, EARLY_MAX);
    timer_init(&f->idle, &s->loop, on_idle, f);
    (void)map_put(&u->flows, key, f);
    s->tunnels++;
    f->attempt = mem_zalloc(sizeof *f->attempt);
    *f->attempt = (struct attempt){.service = s,
                                   .handler = &link_handler,
                                   .kind = LINK_UDP,
                                   .ctx = f,
                                   .on_give_up = on_give_up};
    attempt_open(f->attempt);
    return f;
}

static void forward(struct flow *f, struct view payload)
{
    struct buf *capsule = &f->udp->capsule;
    buf_clear(capsule);
    IGNORE(capsule_write(payload, capsule), "no packet is longer");
    struct view bytes = buf_view(capsule);
    if (!f->open) {
        if (buf_room(&f->early) >= bytes.len)
            IGNORE(buf_append(&f->early, bytes), "there is room");
        return;
    }
    /* Whole ones only: what there is no room for is dropped. */
    if (link_room(f->attempt->link) < bytes.len || link_write(f->attempt->link, bytes) != OK)
        return;
    f->bytes_up += payload.len;
    timer_after(&f->idle, IDLE_MS);
}

static void on_packet(void *ctx, const struct address *from, struct view payload)
{
    struct udp *u = ctx;
    char text[ADDRESS_TEXT_MAX];
    struct view key = key_of(from, text);
    struct flow *f = map_get(&u->flows, key);
    if (!f)
        f = flow_open(u, from, key);
    if (f && !f->refused && !f->ended)
        forward(f, payload);
}

/* --- the command --- */

static struct progress_counts count(void *ctx)
{
    struct udp *u = ctx;
    struct progress_counts c = {u->service.tunnels, u->service.bytes_up, u->service.bytes_down};
    for (struct map_iter i = map_iter(&u->flows); map_next(&i);) {
        const struct flow *f = i.value;
        c.bytes_up += f->bytes_up;
        c.bytes_down += f->bytes_down;
    }
    return c;
}

static void on_stop(void *ctx)
{
    struct udp *u = ctx;
    u->service.stopping = true;
    loop_stop(&u->service.loop);
}

static int start(struct udp *u)
{
    struct service *s = &u->service;
    if (s->once)
        return cli_usage(s->cli, "--listen -: packets have no place on standard input and output; "
                                 "give an address");
    AUTO_FREE char *why = NULL;
    const char *at = s->flags.listen ? s->flags.listen : "127.0.0.1:0";
    if (udp_socket_open(&s->loop, at, on_packet, u, &u->socket, &why) != OK)
        return cli_fail("--listen: %s", why);
    struct address local = udp_socket_local(u->socket);
    service_listening(&local);
    return CLI_OK;
}

int command_udp(struct cli *cli)
{
    struct udp u = {0};
    struct service *s = &u.service;
    buf_init(&u.capsule, UDP_SOCKET_MAX + CAPSULE_DATAGRAM_OVERHEAD);
    int status = service_init(s, cli, CLIENT_UDP, on_stop, &u);
    if (s->target)
        progress_init(&s->progress, &s->loop, status == CLI_OK && !s->once, count, &u);
    if (status == CLI_OK)
        status = start(&u);
    if (status == CLI_OK)
        loop_run(&s->loop);
    for (struct map_iter i = map_iter(&u.flows); map_next(&i);)
        flow_end(i.value);
    map_fini(&u.flows);
    buf_fini(&u.capsule);
    udp_socket_close(u.socket);
    service_fini(s);
    return status;
}
