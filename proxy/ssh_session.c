#include "proxy/ssh_session.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "proxy/ssh_measure.h"
#include "proxy/ssh_service_internal.h"

/* --- life --- */

static void on_turn(void *ctx)
{
    ssh_session_turn(ctx);
}

static void on_timer(void *ctx);

static struct transport *new_transport(struct ssh_session *s)
{
    const struct worker_config *c = s->config;
    bool strict = c->ssh_profile == SSH_PROFILE_STRICT;
    struct transport_config config = {
        .role = TRANSPORT_SERVER,
        .software = "Postern",
        .algorithms =
            transport_profile(strict ? TRANSPORT_STRICT : TRANSPORT_COMPAT, TRANSPORT_SERVER),
        .host_keys = s->host_keys,
        .host_key_count = c->host_key_count,
        .rng = s->service->rng,
        .limits = {.handshake_ms = c->ssh_login_grace_time},
        .now_ms = loop_now_ms(s->service->loop),
    };
    return transport_new(&config);
}

static void make_id(struct ssh_session *s)
{
    uint8_t random[DECIDE_ID_LEN / 2];
    rng_fill(&s->service->rng, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(s->id + 2 * i, 3, "%02x", random[i]);
}

struct ssh_session *ssh_session_new(struct ssh_service *service, int fd, const struct address *peer)
{
    struct ssh_session *s = mem_zalloc(sizeof *s);
    s->service = service;
    s->config = worker_config_ref(service->config);
    s->slot = slots_add(&service->sessions, s);
    s->peer = *peer;
    address_ip_text(peer, s->source);
    make_id(s);
    s->grace_left = s->config->ssh_login_grace_time;
    s->sign_in_at = s->access_at = s->hard_at = TIMER_NEVER;
    s->host_keys = mem_zalloc_array(s->config->host_key_count, sizeof *s->host_keys);
    for (size_t i = 0; i < s->config->host_key_count; i++)
        s->host_keys[i] = view_of(s->config->host_keys[i].blob, s->config->host_keys[i].len);
    timer_init(&s->timer, service->loop, on_timer, s);
    decide_link_open(service->decide, &s->link, s->id, &ssh_auth_decide_events, s);
    struct ip source = address_to_ip(peer);
    ssh_startups_add(&service->startups, &s->startup, ip_source(&source), s);
    ssh_leg_open(&s->down, service->loop, fd, new_transport(s), on_turn, s);
    return s;
}

static void free_texts(struct ssh_session *s)
{
    char *texts[] = {s->login, s->route,   s->fingerprint, s->session_id,
                     s->email, s->user_id, s->route_id,    s->reason};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        mem_free(texts[i]);
}

static void log_close(struct ssh_session *s)
{
    if (s->opened_at)
        ssh_access_log(s, SSH_ACCESS_CLOSE);
    else if (auth_server_is_verified(&s->auth))
        log_info("ssh connection refused", LOG_STR("connection-id", s->id),
                 LOG_STR("route", s->route), LOG_STR("login", s->login),
                 LOG_STR("publickey-fingerprint", s->fingerprint), LOG_STR("ip", s->source),
                 LOG_STR("reason", s->reason));
    else
        log_debug("ssh connection ended before sign-in", LOG_STR("connection-id", s->id),
                  LOG_STR("ip", s->source), LOG_STR("reason", s->reason));
}

void ssh_session_free(struct ssh_session *s)
{
    struct ssh_service *service = s->service;
    const struct relay *r = &s->bridge.relay;
    if (!s->reason)
        s->reason = mem_strdup("closed");
    log_close(s);
    ssh_measure_ended(s);
    decide_link_close(&s->link, s->is_bridged ? r->bytes[RELAY_CLIENT] : 0,
                      s->is_bridged ? r->bytes[RELAY_TARGET] : 0, s->reason);
    ssh_live_fini(s);
    ssh_shell_fini(s);
    ssh_upstream_fini(s);
    ssh_leg_fini(&s->down);
    if (s->has_auth)
        auth_server_fini(&s->auth);
    ssh_startups_remove(&service->startups, &s->startup);
    timer_fini(&s->timer);
    (void)slots_remove(&service->sessions, s->slot);
    worker_config_unref(s->config);
    mem_free(s->host_keys);
    free_texts(s);
    mem_free(s);
    ssh_service_session_gone(service);
}

/* --- the end --- */

void ssh_session_end(struct ssh_session *s, uint32_t code, struct view text, const char *reason)
{
    if (s->phase >= SSH_SESSION_CLOSING)
        return;
    if (!s->reason)
        s->reason = mem_strdup(reason);
    s->phase = SSH_SESSION_CLOSING;
    if (code)
        transport_disconnect(s->down.transport, (enum msg_reason)code, text);
    if (s->up.leg.transport) {
        transport_disconnect(s->up.leg.transport, REASON_BY_APPLICATION, VIEW("the user has left"));
        (void)ssh_leg_flush(&s->up.leg);
        ssh_leg_close(&s->up.leg, 0);
    }
    uint64_t hard_at = loop_now_ms(s->service->loop) + SSH_SESSION_CLOSE_MS;
    if (hard_at < s->hard_at)
        s->hard_at = hard_at;
}

void ssh_session_cut(struct ssh_session *s, const char *sentence, const char *reason)
{
    uint64_t now = loop_now_ms(s->service->loop);
    if (s->is_cut || s->phase >= SSH_SESSION_CLOSING)
        return;
    s->is_cut = true;
    if (s->phase == SSH_SESSION_LIVE)
        metrics_add(METRIC_CUTS_DONE, 1);
    mem_set_str(&s->reason, reason);
    if (s->phase == SSH_SESSION_LIVE) {
        s->hard_at = now + SSH_SESSION_CLOSE_MS;
        relay_cut(&s->bridge.relay, view_str(sentence), REASON_BY_APPLICATION, now);
        if (s->up.leg.transport)
            transport_disconnect(s->up.leg.transport, REASON_BY_APPLICATION, view_str(sentence));
    } else if (s->phase == SSH_SESSION_AUTH) {
        auth_server_deny(&s->auth, view_str(sentence));
    } else {
        ssh_session_end(s, REASON_BY_APPLICATION, view_str(sentence), reason);
    }
    ssh_session_turn(s);
}

void ssh_session_warn(struct ssh_session *s, const char *line)
{
    if (s->phase != SSH_SESSION_LIVE)
        return;
    relay_warn(&s->bridge.relay, view_str(line));
    ssh_session_turn(s);
}

/* --- before the relay --- */

void ssh_session_client_ended(struct ssh_session *s, const struct transport_event *e)
{
    if (e->type == TRANSPORT_DISCONNECTED) {
        ssh_session_end(s, 0, VIEW(""), "client disconnected");
        return;
    }
    AUTO_FREE char *reason = mem_strndup(e->failed.text.ptr, e->failed.text.len);
    s->failure = e->failed.err;
    ssh_session_end(s, 0, VIEW(""), reason);
}

static void on_transport(struct ssh_session *s, const struct transport_event *e)
{
    switch (e->type) {
    case TRANSPORT_KEX_SIGN:
        ssh_sign_kex(s, e);
        break;
    case TRANSPORT_READY:
        if (e->ready.is_first)
            ssh_auth_start(s, e->ready.session_id);
        break;
    case TRANSPORT_PACKET:
        if (s->has_auth)
            ssh_auth_feed(s, e);
        break;
    case TRANSPORT_DISCONNECTED:
    case TRANSPORT_FAILED:
        ssh_session_client_ended(s, e);
        break;
    case TRANSPORT_IDENT:
    case TRANSPORT_HOST_KEY:
    case TRANSPORT_EXT_INFO:
        break;
    }
}

static bool early_events(struct ssh_session *s)
{
    struct transport_event e;
    bool any = false;
    while (s->phase < SSH_SESSION_LIVE) {
        if (s->phase == SSH_SESSION_AUTH) {
            ssh_auth_events(s);
            any |= ssh_upstream_events(s);
            ssh_auth_events(s);
        }
        if (s->phase == SSH_SESSION_AUTH && auth_server_is_done(&s->auth))
            ssh_live_start(s);
        if (s->phase >= SSH_SESSION_LIVE || !transport_next(s->down.transport, &e))
            break;
        any = true;
        on_transport(s, &e);
    }
    return any || s->phase == SSH_SESSION_LIVE;
}

/* --- time --- */

/* The grace time is the client's: it stops while we decide, dial, or a person signs in. */
static bool is_graced(const struct ssh_session *s)
{
    return s->phase == SSH_SESSION_HANDSHAKE ||
           (s->phase == SSH_SESSION_AUTH && auth_server_awaits_client(&s->auth));
}

static void keep_grace(struct ssh_session *s, uint64_t now)
{
    bool runs = is_graced(s);
    if (runs && !s->grace_since) {
        s->grace_since = now;
    } else if (!runs && s->grace_since) {
        uint64_t used = now - s->grace_since;
        s->grace_left = used < s->grace_left ? s->grace_left - used : 0;
        s->grace_since = 0;
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void arm(struct ssh_session *s)
{
    uint64_t at = earlier(s->hard_at, s->access_at);
    at = earlier(at, s->sign_in_at);
    at = earlier(at, s->grace_since ? s->grace_since + s->grace_left : TIMER_NEVER);
    at = earlier(at, transport_deadline(s->down.transport));
    at = earlier(at, ssh_upstream_deadline(s));
    if (s->is_bridged)
        at = earlier(at, relay_deadline(&s->bridge.relay));
    if (at != timer_at(&s->timer))
        timer_set(&s->timer, at);
}

static void tick_limits(struct ssh_session *s, uint64_t now)
{
    bool late = s->grace_since && now >= s->grace_since + s->grace_left;
    if (late && s->phase == SSH_SESSION_HANDSHAKE)
        s->failure = ERR_TIMEOUT;
    if (late)
        ssh_session_end(s, REASON_BY_APPLICATION, view_str(message_text(MESSAGE_SSH_GRACE_TIME)),
                        "login grace time is over");
    if (now >= s->sign_in_at) {
        s->sign_in_at = TIMER_NEVER;
        s->outcome = "expired";
        decide_withdraw(&s->link);
        auth_server_deny(&s->auth, view_str(message_text(MESSAGE_SIGN_IN_EXPIRED)));
    }
    if (now >= s->access_at) {
        s->access_at = now + s->config->access_log_interval;
        ssh_access_log(s, SSH_ACCESS_UPDATE);
    }
    if (now >= s->hard_at) {
        s->is_hard = true;
        s->phase = SSH_SESSION_OVER;
    }
}

static void on_timer(void *ctx)
{
    struct ssh_session *s = ctx;
    uint64_t now = loop_now_ms(s->service->loop);
    transport_tick(s->down.transport, now);
    ssh_upstream_tick(s, now);
    if (s->is_bridged)
        relay_tick(&s->bridge.relay, now);
    tick_limits(s, now);
    ssh_session_turn(s);
}

/* --- the turn --- */

static bool exchange(struct ssh_session *s, uint64_t now)
{
    bool any = false;
    if (s->phase < SSH_SESSION_CLOSING) {
        any |= ssh_leg_feed(&s->down, now);
        any |= ssh_leg_feed(&s->up.leg, now);
    }
    if (s->phase < SSH_SESSION_LIVE)
        any |= early_events(s);
    if (s->phase == SSH_SESSION_LIVE)
        any |= ssh_live_events(s);
    any |= ssh_leg_flush(&s->down);
    any |= ssh_leg_flush(&s->up.leg);
    return any;
}

/* A socket that ended, once everything that it brought is through. */
static void check_ends(struct ssh_session *s)
{
    if (s->phase >= SSH_SESSION_CLOSING) {
        if (s->down.has_ended || ssh_leg_is_flushed(&s->down))
            s->phase = SSH_SESSION_OVER;
        return;
    }
    if (s->down.has_ended && ssh_leg_is_empty(&s->down))
        ssh_session_end(s, 0, VIEW(""), "client closed the connection");
    else if (s->phase == SSH_SESSION_LIVE && !s->is_cut && s->up.leg.has_ended &&
             ssh_leg_is_empty(&s->up.leg) && bridge_takes(&s->bridge, RELAY_TARGET))
        ssh_session_end(s, REASON_BY_APPLICATION, view_str(message_text(MESSAGE_SSH_TARGET_CLOSED)),
                        "target closed the connection");
}

static void pace(struct ssh_session *s)
{
    bool live = s->phase == SSH_SESSION_LIVE;
    ssh_leg_pace(&s->down, !live || bridge_takes(&s->bridge, RELAY_CLIENT));
    ssh_leg_pace(&s->up.leg, live ? bridge_takes(&s->bridge, RELAY_TARGET) : !s->up.is_ready);
}

void ssh_session_turn(struct ssh_session *s)
{
    uint64_t now = loop_now_ms(s->service->loop);
    if (s->in_turn) {
        s->again = true;
        return;
    }
    s->in_turn = true;
    do {
        s->again = false;
        while (s->phase != SSH_SESSION_OVER && exchange(s, now))
            ;
        enum ssh_session_phase before = s->phase;
        check_ends(s);
        s->again |= s->phase != before && s->phase != SSH_SESSION_OVER;
    } while (s->again);
    s->in_turn = false;
    if (s->phase == SSH_SESSION_OVER) {
        if (!s->is_hard)
            ssh_leg_close(&s->down, 0);
        ssh_session_free(s);
        return;
    }
    keep_grace(s, now);
    pace(s);
    arm(s);
}
