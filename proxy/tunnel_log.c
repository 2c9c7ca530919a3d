/* The access log of tunnels and what is counted about them. */
#include "common/daemon/metrics.h"
#include "proxy/access_fields.h"
#include "proxy/tunnel_internal.h"

static const char *const protocols[] = {[TUNNEL_TCP] = "tcp", [TUNNEL_UDP] = "udp"};

/* One row per event. */
static const struct {
    const char *event;
    const char *message;
} rows[] = {
    [TUNNEL_EVENT_OPEN] = {"open", "tunnel opened"},
    [TUNNEL_EVENT_REFUSED] = {"refused", "tunnel refused"},
    [TUNNEL_EVENT_FAILED] = {"failed", "tunnel failed"},
    [TUNNEL_EVENT_UPDATE] = {"update", "tunnel goes on"},
    [TUNNEL_EVENT_CLOSE] = {"close", "tunnel closed"},
};

/* Text that is known by now, else no field. */
static const char *known(const char *s)
{
    return s && *s ? s : NULL;
}

static void add_identity(struct access_fields *f, const struct tunnel *u)
{
    access_fields_add(f, LOG_STR("session-id", known(u->session_id)));
    access_fields_add(f, LOG_STR("user", known(u->user_id)));
    access_fields_add(f, LOG_STR("email", known(u->email)));
    if (u->service_account)
        access_fields_add(f, LOG_BOOL("service-account", true));
}

static void add_request(struct access_fields *f, const struct tunnel *u)
{
    access_fields_add(f, LOG_STR("request-id", known(u->request_id)));
    access_fields_add(f, LOG_STR("method", u->method));
    access_fields_add(f, LOG_STR("host", u->authority));
    access_fields_add(f, LOG_STR("protocol", protocols[u->kind]));
    access_fields_add(f, LOG_STR("http", u->http));
    access_fields_add(f, LOG_STR("ip", u->source));
    access_fields_add(f, LOG_STR("user-agent", u->user_agent));
}

static void add_amounts(struct access_fields *f, const struct tunnel *u)
{
    access_fields_add(f, LOG_U64("bytes-in", u->bytes_in));
    access_fields_add(f, LOG_U64("bytes-out", u->bytes_out));
    if (u->packets) {
        const struct tunnel_packet_counts *c = &u->packets->counts;
        access_fields_add(f, LOG_U64("packets-in", c->in));
        access_fields_add(f, LOG_U64("packets-out", c->out));
        access_fields_add(f, LOG_U64("packets-dropped", c->dropped_in + c->dropped_out));
    }
    access_fields_add(f, LOG_MS("duration", loop_now_ms(u->tunnels->loop) - u->opened_at));
}

void tunnel_log(const struct tunnel *u, enum tunnel_event event, const char *decision)
{
    static const struct worker_texts all;
    struct access_fields f = {.wanted = u->config ? &u->config->access_log_fields : &all};
    char target[ADDRESS_TEXT_MAX];
    bool was_open = event != TUNNEL_EVENT_REFUSED && event != TUNNEL_EVENT_FAILED;
    access_fields_add(&f, LOG_STR("event", rows[event].event));
    access_fields_add(&f, LOG_STR("connection-id", u->id));
    add_identity(&f, u);
    if (u->cluster)
        access_fields_add(&f, LOG_STR("route", u->cluster->spec->route));
    access_fields_add(&f, LOG_STR("route-id", known(u->route_id)));
    access_fields_add(&f, LOG_STR("decision", known(decision)));
    access_fields_add(&f, LOG_STR("upstream", known(u->upstream)));
    if (was_open) {
        address_text(&u->target, target);
        access_fields_add(&f, LOG_STR("upstream-address", target));
    }
    add_request(&f, u);
    if (event == TUNNEL_EVENT_UPDATE || event == TUNNEL_EVENT_CLOSE)
        add_amounts(&f, u);
    if (event == TUNNEL_EVENT_FAILED)
        access_fields_add(&f, LOG_STR("error", known(u->failure)));
    access_fields_add(&f, LOG_STR("reason", known(u->reason)));
    access_fields_write(&f, rows[event].message);
}

void tunnel_count_bytes(struct tunnel *u)
{
    metrics_add(METRIC_CONNECTION_BYTES, u->bytes_in - u->counted[0], protocols[u->kind], "in");
    metrics_add(METRIC_CONNECTION_BYTES, u->bytes_out - u->counted[1], protocols[u->kind], "out");
    u->counted[0] = u->bytes_in;
    u->counted[1] = u->bytes_out;
    if (u->packets)
        tunnel_udp_count(u);
}

void tunnel_count_live(struct tunnels *t, enum tunnel_kind kind, bool more)
{
    if (more) {
        t->live[kind]++;
        metrics_add(METRIC_TUNNELS, 1, protocols[kind], "opened");
    } else {
        t->live[kind]--;
    }
    metrics_set(METRIC_CONNECTIONS, (int64_t)t->live[kind], protocols[kind]);
}

void tunnel_count_refused(const struct tunnel *u, enum tunnel_cause cause)
{
    static const char *const results[] = {
        [TUNNEL_UNAUTHENTICATED] = "login",
        [TUNNEL_TOKEN_INVALID] = "login",
        [TUNNEL_DENIED] = "denied",
        [TUNNEL_ROUTE_NOT_FOUND] = "unknown_route",
        [TUNNEL_CLIENT_CERTIFICATE] = "certificate",
        [TUNNEL_UPSTREAM] = "upstream",
        [TUNNEL_UNDECIDED] = "undecided",
        [TUNNEL_BUSY] = "busy",
    };
    metrics_add(METRIC_TUNNELS, 1, protocols[u->kind], u->client ? results[cause] : "left");
}

void tunnels_measure(struct tunnels *t)
{
    size_t cursor = 0;
    struct tunnel *u;
    while ((u = slots_next(&t->tunnels, &cursor))) {
        if (u->phase == TUNNEL_OPEN)
            tunnel_count_bytes(u);
    }
    clusters_measure(t->clusters);
}
