#include "proxy/front.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/metrics.h"
#include "proxy/front_parts.h"

/* So low that on_drain tells when all is sent. */
enum { QUEUE_LOW = 1 };

/* --- ends --- */

static void maybe_done(struct front *f)
{
    if (f->count > 0)
        return;
    if (f->on_drained) {
        loop_fn fn = f->on_drained;
        f->on_drained = NULL;
        fn(f->drained_ctx);
        return;
    }
    if (!f->closing)
        return;
    tls_unref(f->server);
    tls_unref(f->client);
    mem_free(f->host);
    mem_free(f->target);
    mem_free(f->cookie_name);
    ssh_startups_fini(&f->startups);
    buf_wipe(&f->gathered);
    loop_fn fn = f->on_closed;
    void *ctx = f->closed_ctx;
    mem_free(f);
    if (fn)
        fn(ctx);
}

static void on_stream_closed(void *ctx)
{
    struct front_conn *c = ctx;
    struct front *f = c->front;
    *(c->previous ? &c->previous->next : &f->first) = c->next;
    *(c->next ? &c->next->previous : &f->last) = c->previous;
    mem_free(c);
    f->count--;
    maybe_done(f);
}

/* What it holds but the socket. */
static struct stream *let_go(struct front_conn *c, const char *why)
{
    struct stream *s = c->stream;
    c->stream = NULL;
    if (c->protocol)
        c->protocol->close(c, why);
    c->protocol = NULL;
    ssh_startups_remove(&c->front->startups, &c->place);
    timer_fini(&c->deadline.timer);
    timer_fini(&c->kick);
    return s;
}

void front_close_conn(struct front_conn *c, const char *why)
{
    if (c->stream)
        stream_close(let_go(c, why), 0, on_stream_closed, c);
}

void front_end_tunnel(struct front_conn *c)
{
    uint32_t linger_ms = c->front->draining ? 0 : FRONT_LINGER_MS;
    if (c->stream)
        stream_close(let_go(c, ""), linger_ms, on_stream_closed, c);
}

/* Room: the oldest of the source that has most connections without a tunnel. */
static void shed(struct front *f)
{
    const struct ssh_startup *oldest = ssh_startups_oldest(&f->startups);
    if (!oldest)
        return;
    struct front_conn *c = oldest->owner;
    stream_abort(let_go(c, "too many connections"), on_stream_closed, c);
}

void front_rest(struct front *f, bool rest)
{
    if (!f)
        return;
    f->resting = rest;
    while (rest && f->startups.unproved > FRONT_CONNECTIONS_REST)
        shed(f);
    if (!f->arrivals)
        return;
    if (rest)
        arrivals_pause(f->arrivals);
    else
        arrivals_resume(f->arrivals);
}

bool front_wait(struct front_exchange *x)
{
    struct front *f = x->conn->front;
    const struct ssh_startup *oldest = ssh_startups_oldest(&f->startups);
    if (f->waiting >= FRONT_WAITING_MAX && oldest && oldest->owner != x->conn)
        shed(f);
    if (f->waiting >= FRONT_WAITING_MAX)
        return false;
    f->waiting++;
    x->waits = true;
    return true;
}

void front_wait_over(struct front_exchange *x)
{
    if (x->waits)
        x->conn->front->waiting--;
    x->waits = false;
}

/* --- deadlines --- */

void front_deadline_set(const struct front *f, struct front_deadline *d, enum front_phase phase,
                        uint64_t progress)
{
    const uint64_t ms[] = {
        [FRONT_PHASE_HEAD] = f->head_ms,
        [FRONT_PHASE_IDLE] = f->idle_ms,
        [FRONT_PHASE_BODY] = FRONT_BODY_MS,
        [FRONT_PHASE_DIAL] = 2 * FRONT_DIAL_MS,
        [FRONT_PHASE_UPSTREAM] = FRONT_UPSTREAM_MS,
        [FRONT_PHASE_WRITE] = FRONT_WRITE_MS,
    };
    if (phase == d->phase && (phase != FRONT_PHASE_WRITE || progress == d->progress))
        return;
    d->phase = phase;
    d->progress = progress;
    if (phase == FRONT_PHASE_NONE)
        timer_clear(&d->timer);
    else
        timer_after(&d->timer, ms[phase]);
}

static void on_deadline(void *ctx)
{
    struct front_conn *c = ctx;
    if (c->protocol)
        c->protocol->deadline(c);
    else
        front_close_conn(c, "nothing came in time");
}

/* --- turns --- */

void front_turn(struct front_conn *c)
{
    if (c->in_turn) {
        c->again = true;
        return;
    }
    c->in_turn = true;
    do {
        c->again = false;
        if (c->stream && c->protocol)
            c->protocol->turn(c);
    } while (c->again && c->stream);
    c->in_turn = false;
}

static void on_kick(void *ctx)
{
    front_turn(ctx);
}

void front_kick(struct front_conn *c)
{
    if (c->stream)
        timer_after(&c->kick, 0);
}

void front_count_tunnel(struct front_conn *c, bool is_live)
{
    struct front *f = c->front;
    if (is_live) {
        f->tunnelled++;
        ssh_startups_proved(&f->startups, &c->place);
        return;
    }
    f->tunnelled--;
    if (!c->stream)
        return;
    struct ip ip = address_to_ip(&c->peer);
    ssh_startups_remove(&f->startups, &c->place);
    ssh_startups_add(&f->startups, &c->place, ip_source(&ip), c);
}

/* --- connections --- */

static void speak(struct front_conn *c, const struct front_protocol *protocol)
{
    c->protocol = protocol;
    protocol->open(c);
    metrics_add(METRIC_HTTP_CONNECTIONS, 1, protocol == &front_h2 ? "h2" : "h1");
}

static void on_open(void *ctx)
{
    struct front_conn *c = ctx;
    c->opened = true;
    front_deadline_set(c->front, &c->deadline, FRONT_PHASE_HEAD, 0);
    if (!c->is_tls)
        return;
    metrics_add(METRIC_TLS_HANDSHAKES, 1, "completed");
    speak(c, strcmp(stream_alpn(c->stream), "h2") == 0 ? &front_h2 : &front_h1);
}

/* Without TLS: RFC 9113 §3.4. No method of HTTP/1 begins so. */
static bool knows_protocol(struct front_conn *c, struct view *bytes)
{
    static const uint8_t preface[FRONT_PREFACE] = {'P', 'R', 'I', ' '};
    while (c->preface_len < FRONT_PREFACE && bytes->len) {
        uint8_t byte = bytes->ptr[0];
        if (byte != preface[c->preface_len]) {
            speak(c, &front_h1);
            return true;
        }
        c->preface[c->preface_len++] = byte;
        *bytes = view_skip(*bytes, 1);
    }
    if (c->preface_len < FRONT_PREFACE)
        return false;
    speak(c, &front_h2);
    return true;
}

static void on_read(void *ctx, struct view bytes)
{
    struct front_conn *c = ctx;
    if (!c->protocol && !knows_protocol(c, &bytes))
        return;
    struct view preface = view_of(c->preface, c->preface_len);
    c->preface_len = 0;
    if (preface.len && c->stream)
        c->protocol->read(c, preface);
    if (bytes.len && c->stream)
        c->protocol->read(c, bytes);
    front_turn(c);
}

static void on_drain(void *ctx)
{
    struct front_conn *c = ctx;
    if (c->protocol)
        c->protocol->drain(c);
    front_turn(c);
}

static void on_end(void *ctx, enum err why)
{
    struct front_conn *c = ctx;
    if (!c->opened && c->is_tls)
        metrics_add(METRIC_TLS_HANDSHAKES, 1, "failed");
    if (why != OK || !c->protocol) {
        front_close_conn(c, why == OK ? "the client closed" : stream_why(c->stream));
        return;
    }
    c->protocol->end(c);
    front_turn(c);
}

static void on_accept(void *ctx, int fd, const struct address *peer)
{
    static const struct stream_handler handler = {
        .on_open = on_open, .on_read = on_read, .on_drain = on_drain, .on_end = on_end};
    struct front *f = ctx;
    struct ip ip = address_to_ip(peer);
    if (f->startups.unproved >= FRONT_CONNECTIONS_MAX)
        shed(f);
    struct front_conn *c = mem_zalloc(sizeof *c);
    c->front = f;
    c->peer = *peer;
    c->is_tls = f->server;
    timer_init(&c->deadline.timer, f->loop, on_deadline, c);
    timer_init(&c->kick, f->loop, on_kick, c);
    ssh_startups_add(&f->startups, &c->place, ip_source(&ip), c);
    c->next = f->first;
    *(c->next ? &c->next->previous : &f->last) = c;
    f->first = c;
    f->count++;
    const struct stream_spec spec = {
        .loop = f->loop, .tls = f->server, .queue_low = QUEUE_LOW, .inherits = true};
    c->stream = stream_new(&spec, fd, &handler, c);
}

struct front *front_open(struct loop *l, int fd, const struct rng *rng,
                         const struct front_settings *settings)
{
    struct front *f = mem_zalloc(sizeof *f);
    f->loop = l;
    f->rng = *rng;
    buf_init(&f->gathered, FRONT_GATHERED_MAX);
    front_set(f, settings);
    f->arrivals = arrivals_open(l, fd, settings->redirect_port ? "http_redirect_addr" : "address",
                                &settings->arrivals, on_accept, f);
    return f;
}

void front_set(struct front *f, const struct front_settings *settings)
{
    struct tls_context *server = f->server;
    struct tls_context *client = f->client;
    f->server = settings->server ? tls_ref(settings->server) : NULL;
    f->client = settings->client ? tls_ref(settings->client) : NULL;
    tls_unref(server);
    tls_unref(client);
    mem_set_str(&f->host, settings->authenticate_host);
    mem_set_str(&f->target, settings->authenticate_target);
    mem_set_str(&f->cookie_name, settings->cookie_name);
    f->tunnels = settings->tunnels;
    f->tunnels_max = settings->tunnels_max;
    f->redirect_port = settings->redirect_port;
    f->head_ms = settings->head_ms ? settings->head_ms : FRONT_HEAD_MS;
    f->idle_ms = settings->idle_ms ? settings->idle_ms : FRONT_IDLE_MS;
    f->is_hsts = settings->is_hsts && settings->server;
    if (f->arrivals)
        arrivals_set(f->arrivals, &settings->arrivals);
}

static void stop_accepting(struct front *f)
{
    arrivals_close(f->arrivals);
    f->arrivals = NULL;
}

void front_drain(struct front *f, loop_fn on_drained, void *ctx)
{
    if (!f)
        return;
    f->draining = true;
    f->on_drained = on_drained;
    f->drained_ctx = ctx;
    stop_accepting(f);
    struct front_conn *next;
    for (struct front_conn *c = f->first; c; c = next) {
        next = c->next;
        if (c->stream && (!c->protocol || c->protocol->is_idle(c)))
            front_close_conn(c, "the proxy is stopping");
        else
            front_kick(c);
    }
    maybe_done(f);
}

void front_close(struct front *f, loop_fn on_closed, void *ctx)
{
    if (!f) {
        if (on_closed)
            on_closed(ctx);
        return;
    }
    f->closing = true;
    f->on_drained = NULL;
    f->on_closed = on_closed;
    f->closed_ctx = ctx;
    stop_accepting(f);
    struct front_conn *next;
    for (struct front_conn *c = f->first; c; c = next) {
        next = c->next;
        front_close_conn(c, "the proxy is stopping");
    }
    maybe_done(f);
}
