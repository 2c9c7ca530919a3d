/*
 * From an allowed tunnel to a target that is ready: one endpoint after the other, each by name
 * resolution, TCP (or a UDP socket), PROXY header, TLS and an HTTP proxy, as the cluster has it.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "common/http/masque.h"
#include "proxy/dials.h"
#include "proxy/edge/proxy_protocol.h"
#include "proxy/tunnel_internal.h"

static void try_next(struct tunnel *u);

/* --- the end of an attempt --- */

static void on_stream_closed(void *ctx)
{
    struct tunnels *t = ctx;
    t->closing--;
    tunnels_check_empty(t);
}

static void leave_endpoint(struct tunnel *u)
{
    if (!u->endpoint)
        return;
    u->endpoint->active--;
    endpoint_leave(u->endpoint);
    u->endpoint = NULL;
}

void tunnel_disconnect(struct tunnel *u)
{
    dial_cancel(u->dial);
    u->dial = NULL;
    if (u->proxy) {
        http1_fini(u->proxy);
        mem_free(u->proxy);
        u->proxy = NULL;
    }
    datagram_close(u->udp);
    u->udp = NULL;
    if (u->stream) {
        u->tunnels->closing++;
        stream_close(u->stream, TUNNEL_LINGER_MS, on_stream_closed, u->tunnels);
        u->stream = NULL;
    }
    leave_endpoint(u);
}

/* This endpoint will not do. */
static void attempt_failed(struct tunnel *u, const char *why)
{
    uint64_t now = loop_now_ms(u->tunnels->loop);
    log_info("tunnel target failed", LOG_STR("connection-id", u->id),
             LOG_STR("route-id", u->route_id), LOG_STR("upstream", u->endpoint->address),
             LOG_STR("reason", why));
    mem_set_str(&u->failure, why);
    if (endpoints_failed(&u->cluster->endpoints, u->endpoint, now)) {
        log_warn("tunnel target ejected", LOG_STR("route-id", u->route_id),
                 LOG_STR("upstream", u->endpoint->address),
                 LOG_MS("duration", u->endpoint->ejected_till - now));
        metrics_add(METRIC_ENDPOINT_EJECTIONS, 1);
    }
    tunnel_disconnect(u);
    try_next(u);
}

void tunnel_connect_timeout(struct tunnel *u)
{
    if (u->dial)
        dials_count(ERR_TIMEOUT);
    attempt_failed(u, "no answer in time");
}

/* --- an HTTP proxy in between --- */

static void ready(struct tunnel *u)
{
    endpoints_connected(&u->cluster->endpoints, u->endpoint, loop_now_ms(u->tunnels->loop));
    metrics_observe(METRIC_TUNNEL_CONNECT_DURATION, metrics_clock_us() - u->dialled_us);
    tunnel_ready(u);
}

static bool flush_proxy(struct tunnel *u)
{
    struct view out = http1_output(u->proxy);
    size_t n = out.len;
    if (n && stream_write(u->stream, out) != OK)
        return false;
    http1_sent(u->proxy, n);
    return true;
}

/* The destination that was asked for goes on to the proxy: CONNECT, or connect-udp. */
static enum err write_question(struct tunnel *u)
{
    AUTO(fields_fini) struct fields fields = {0};
    AUTO(buf_fini) struct buf path;
    struct http1_head head = {.minor = 1, .fields = &fields};
    struct authority target;
    buf_init(&path, HTTP1_TARGET_MAX);
    if (u->kind == TUNNEL_TCP) {
        head.method = VIEW("CONNECT");
        head.target = view_str(u->authority);
        TRY(fields_add(&fields, VIEW("Host"), head.target));
        return http1_send_head(u->proxy, &head);
    }
    TRY(authority_parse(view_str(u->authority), &target));
    TRY(masque_write(&target, &path));
    head.method = VIEW("GET");
    head.target = buf_view(&path);
    TRY(fields_add(&fields, VIEW("Host"), view_str(u->endpoint->address)));
    TRY(fields_add(&fields, VIEW("Upgrade"), VIEW("connect-udp")));
    TRY(fields_add(&fields, VIEW("Capsule-Protocol"), VIEW("?1")));
    return http1_send_head(u->proxy, &head);
}

static void ask_proxy(struct tunnel *u)
{
    u->proxy = mem_zalloc(sizeof *u->proxy);
    http1_init(u->proxy, HTTP1_CLIENT);
    if (write_question(u) != OK || !flush_proxy(u))
        attempt_failed(u, "the HTTP proxy cannot be asked");
}

/* What stands behind the proxy's answer belongs to the target. */
static void proxy_done(struct tunnel *u, struct view first)
{
    AUTO(buf_fini) struct buf bytes;
    struct http1_event e;
    buf_init(&bytes, HTTP1_INPUT_MAX);
    IGNORE(buf_append(&bytes, first), "not more than the engine has");
    while (http1_next(u->proxy, &e)) {
        if (e.type == HTTP1_TUNNEL)
            IGNORE(buf_append(&bytes, e.bytes), "not more than the engine has");
    }
    http1_fini(u->proxy);
    mem_free(u->proxy);
    u->proxy = NULL;
    ready(u);
    if (bytes.len && u->phase == TUNNEL_OPEN)
        tunnel_pump_target(u, buf_view(&bytes));
}

static void proxy_answers(struct tunnel *u)
{
    struct http1_event e;
    char why[64];
    while (http1_next(u->proxy, &e)) {
        if (e.type == HTTP1_TUNNEL) {
            proxy_done(u, e.bytes);
            return;
        }
        if (e.type == HTTP1_HEAD && e.head->status / 100 != 2 && e.head->status != 101) {
            (void)snprintf(why, sizeof why, "the HTTP proxy answered %u", e.head->status);
            attempt_failed(u, why);
            return;
        }
        if (e.type == HTTP1_FAILED || e.type == HTTP1_CLOSED) {
            attempt_failed(u, "the HTTP proxy's answer is malformed");
            return;
        }
    }
}

/* --- the stream --- */

static void on_open(void *ctx)
{
    struct tunnel *u = ctx;
    if (u->phase != TUNNEL_CONNECTING)
        return;
    if (cluster_is_chained(u->cluster->spec))
        ask_proxy(u);
    else
        ready(u);
}

static void on_read(void *ctx, struct view bytes)
{
    struct tunnel *u = ctx;
    if (u->phase == TUNNEL_OPEN) {
        tunnel_pump_target(u, bytes);
        return;
    }
    if (u->phase != TUNNEL_CONNECTING || !u->proxy)
        return;
    struct stream *asked = u->stream;
    bytes = view_skip(bytes, http1_feed(u->proxy, bytes));
    proxy_answers(u);
    if (!bytes.len || u->stream != asked)
        return;
    if (u->phase == TUNNEL_OPEN)
        tunnel_pump_target(u, bytes);
    else
        attempt_failed(u, "the HTTP proxy's answer is too long");
}

static void on_drain(void *ctx)
{
    struct tunnel *u = ctx;
    if (u->phase == TUNNEL_OPEN)
        tunnel_pump_handler.on_drain(u);
}

static void on_end(void *ctx, enum err why)
{
    struct tunnel *u = ctx;
    if (u->phase == TUNNEL_OPEN) {
        tunnel_pump_handler.on_end(u, why);
    } else if (u->phase == TUNNEL_CONNECTING) {
        char text[200];
        const char *said = why == OK ? "the target closed the connection" : stream_why(u->stream);
        (void)snprintf(text, sizeof text, "%s", *said ? said : err_text(why));
        attempt_failed(u, text);
    }
}

static const struct stream_handler handler = {
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_end = on_end,
};

/* --- the socket --- */

/* The host of "host:port" as a string. */
static char *host_of(const char *address)
{
    struct view host;
    uint16_t port;
    if (address_split(view_str(address), 0, &host, &port) != OK)
        return mem_strdup("");
    return mem_strndup(host.ptr, host.len);
}

static void open_stream(struct tunnel *u, int fd)
{
    const struct cluster_spec *spec = u->cluster->spec;
    struct tls_context *tls = NULL;
    AUTO_FREE char *why = NULL;
    AUTO_FREE char *host = host_of(u->endpoint->address);
    if (cluster_uses_tls(spec) &&
        clusters_tls(u->tunnels->clusters, u->cluster, &tls, &why) != OK) {
        (void)close(fd);
        attempt_failed(u, why ? why : "TLS cannot be set up");
        return;
    }
    const struct stream_spec s = {
        .loop = u->tunnels->loop,
        .tls = tls,
        .server_name = *spec->tls.server_name ? spec->tls.server_name : host,
        .keepalive = spec->keepalive_ms,
        .keepalive_s = (uint32_t)((spec->keepalive_ms + 999) / 1000),
        .queue_max = TUNNEL_QUEUE_MAX,
        .queue_low = TUNNEL_QUEUE_LOW,
        .read_max = LOOP_READ_MAX,
        .handshake_ms = (uint32_t)spec->connect_timeout_ms,
    };
    u->stream = stream_new(&s, fd, &handler, u);
}

/* The specification wants it before anything else, so before TLS as well. */
static bool send_proxy_header(const struct tunnel *u, int fd)
{
    AUTO(buf_fini) struct buf header;
    const struct proxy_protocol_header h = {
        .has_addresses = true,
        .source = address_to_ip(&u->peer),
        .destination = address_to_ip(&u->target),
        .source_port = u->peer.port,
        .destination_port = u->target.port,
    };
    buf_init(&header, PROXY_PROTOCOL_V1_MAX);
    enum err e = OK;
    switch (u->cluster->spec->proxy_header) {
    case CLUSTER_NO_HEADER:
        return true;
    case CLUSTER_HEADER_V1:
        e = proxy_protocol_write_v1(&h, &header);
        break;
    case CLUSTER_HEADER_V2:
        e = proxy_protocol_write_v2(&h, &header);
        break;
    }
    /* The socket's buffer is empty: less than all is a failure. */
    return e == OK && send(fd, buf_ptr(&header), header.len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
                          (ssize_t)header.len;
}

static void open_udp(struct tunnel *u)
{
    const char *why = "";
    if (tunnel_udp_open(u, &why) == OK)
        ready(u);
    else
        attempt_failed(u, why);
}

static void on_dialled(void *ctx, const struct dial_result *r)
{
    struct tunnel *u = ctx;
    u->dial = NULL;
    dials_count(r->err);
    if (r->err != OK) {
        attempt_failed(u, *r->why ? r->why : err_text(r->err));
        return;
    }
    u->target = r->peer;
    if (r->fd < 0) {
        open_udp(u);
    } else if (!send_proxy_header(u, r->fd)) {
        (void)close(r->fd);
        attempt_failed(u, "the PROXY header could not be sent");
    } else {
        open_stream(u, r->fd);
    }
}

/* --- one endpoint after the other --- */

static void give_up(struct tunnel *u)
{
    AUTO_FREE char *sentence =
        message_format(MESSAGE_TUNNEL_UNREACHABLE, u->cluster->spec->route, NULL);
    tunnel_refuse(u, &(struct tunnel_refusal){TUNNEL_UPSTREAM, sentence, ""}, "allow");
}

static void try_next(struct tunnel *u)
{
    uint64_t now = loop_now_ms(u->tunnels->loop);
    uint64_t random[2] = {0};
    if (u->cluster->endpoints.count > 1)
        rng_fill(&u->tunnels->rng, (uint8_t *)random, sizeof random);
    if (now < u->connect_at)
        u->endpoint = endpoints_pick(&u->cluster->endpoints, &u->tried, now, random);
    if (!u->endpoint) {
        give_up(u);
        return;
    }
    u->endpoint->active++;
    mem_set_str(&u->upstream, u->endpoint->address);
    u->attempt_at = now + u->cluster->spec->connect_timeout_ms;
    bool is_stream = u->kind == TUNNEL_TCP || cluster_is_chained(u->cluster->spec);
    u->dial = (is_stream ? dial_open : dial_datagram)(
        u->tunnels->loop, u->endpoint->address, (uint32_t)u->cluster->spec->connect_timeout_ms,
        on_dialled, u);
    tunnel_arm(u);
}

void tunnel_connect(struct tunnel *u, struct cluster *c)
{
    uint64_t most = c->spec->connect_timeout_ms;
    u->cluster = c;
    u->phase = TUNNEL_CONNECTING;
    u->dialled_us = metrics_clock_us();
    u->connect_at =
        loop_now_ms(u->tunnels->loop) + (most > TUNNEL_CONNECT_MS ? most : TUNNEL_CONNECT_MS);
    try_next(u);
}
