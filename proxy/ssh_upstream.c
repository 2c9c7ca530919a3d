#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"
#include "common/crypto/cert.h"
#include "common/daemon/metrics.h"
#include "proxy/dials.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

enum { UPSTREAM_ALGORITHMS_MAX = 2048, UPSTREAM_TEXT_MAX = 400 };

/* --- why it did not work --- */

/* The connection is refused with a sentence that names the route. */
static void fail(struct ssh_session *s, enum message m, struct view detail)
{
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, UPSTREAM_TEXT_MAX);
    IGNORE(text_printable(view_take(detail, UPSTREAM_TEXT_MAX), &clean), "cut to what fits");
    AUTO_FREE char *text = buf_to_str(&clean);
    AUTO_FREE char *sentence = message_format(m, s->up.route, text, NULL);
    s->outcome = "failed";
    if (s->up.leg.transport)
        metrics_add(METRIC_UPSTREAM_LOGINS, 1, "failed");
    auth_server_deny(&s->auth, view_str(sentence));
}

static const enum message failures[] = {
    [AUTH_CLIENT_REFUSED] = MESSAGE_SSH_TARGET_REFUSED,
    [AUTH_CLIENT_PARTIAL] = MESSAGE_SSH_TARGET_PARTIAL,
    [AUTH_CLIENT_SERVICE] = MESSAGE_SSH_TARGET_SERVICE,
    [AUTH_CLIENT_PROTOCOL] = MESSAGE_SSH_TARGET_PROTOCOL,
    [AUTH_CLIENT_TIMEOUT] = MESSAGE_SSH_TARGET_TIMEOUT,
    [AUTH_CLIENT_KEY_TIMEOUT] = MESSAGE_SSH_TARGET_KEY_TIMEOUT,
    [AUTH_CLIENT_KEY] = MESSAGE_SSH_TARGET_KEY,
};

static void fail_auth(struct ssh_session *s, const struct auth_client_event *e)
{
    /* For the first the login says more than the list of methods. */
    bool refused = e->failure == AUTH_CLIENT_REFUSED;
    fail(s, failures[e->failure], refused ? view_str(s->up.login) : e->text);
}

/* --- dialling --- */

/*
 * Algorithms of the recorded types first, so that the target shows the key that is known; host
 * certificates only where authorize asks for them.
 */
static char *algorithms_of(const struct decide_decision *d)
{
    const struct transport_algorithms *all = transport_profile(TRANSPORT_COMPAT, TRANSPORT_CLIENT);
    AUTO(buf_fini) struct buf out;
    buf_init(&out, UPSTREAM_ALGORITHMS_MAX);
    for (size_t i = 0; i < d->host_key_type_count; i++) {
        for (size_t k = 0; k < KEY_ALG_COUNT; k++) {
            const struct key_alg *alg = key_alg(k);
            const char *name =
                strcmp(key_type_name(alg->type), d->host_key_types[i]) == 0    ? alg->name
                : strcmp(cert_type_name(alg->type), d->host_key_types[i]) == 0 ? alg->cert_name
                                                                               : NULL;
            /* A certificate's algorithm is as good as the plain one. */
            if (name && view_list_has(view_str(all->host_key), view_str(alg->name)))
                IGNORE(buf_printf(&out, "%s%s", out.len ? "," : "", name), "fits");
        }
    }
    struct view rest = view_str(all->host_key);
    struct view name;
    while (view_next(&rest, ',', &name)) {
        if (!view_list_has(buf_view(&out), name))
            IGNORE(buf_printf(&out, "%s%.*s", out.len ? "," : "", VIEW_FMT(name)), "fits");
    }
    return buf_to_str(&out);
}

static void on_turn(void *ctx)
{
    ssh_session_turn(ctx);
}

static struct transport *new_transport(struct ssh_session *s)
{
    struct transport_config config = {
        .role = TRANSPORT_CLIENT,
        .software = "Postern",
        .algorithms = transport_profile(TRANSPORT_COMPAT, TRANSPORT_CLIENT),
        .host_key_algorithms = s->up.host_key_algorithms,
        .rng = s->service->rng,
        .limits = {.handshake_ms = SSH_UPSTREAM_HANDSHAKE_MS},
        .now_ms = loop_now_ms(s->service->loop),
    };
    return transport_new(&config);
}

static void dial_next(struct ssh_session *s);

static void on_dialled(void *ctx, const struct dial_result *result)
{
    struct ssh_session *s = ctx;
    struct ssh_upstream *u = &s->up;
    u->dial = NULL;
    dials_count(result->err);
    if (result->err == OK) {
        ssh_leg_open(&u->leg, s->service->loop, result->fd, new_transport(s), on_turn, s);
    } else if (u->address_at + 1 < u->address_count) {
        u->address_at++;
        dial_next(s);
    } else {
        fail(s, MESSAGE_SSH_TARGET_UNREACHABLE,
             view_str(*result->why ? result->why : err_text(result->err)));
    }
    ssh_session_turn(s);
}

static void dial_next(struct ssh_session *s)
{
    struct ssh_upstream *u = &s->up;
    u->dial = dial_open(s->service->loop, u->addresses[u->address_at], 0, on_dialled, s);
}

void ssh_upstream_start(struct ssh_session *s, const struct decide_decision *d)
{
    struct ssh_upstream *u = &s->up;
    CHECK(!u->addresses);
    u->address_count = d->address_count < SSH_UPSTREAM_ADDRESSES_MAX ? d->address_count
                                                                     : SSH_UPSTREAM_ADDRESSES_MAX;
    u->addresses = mem_zalloc_array(u->address_count, sizeof *u->addresses);
    for (size_t i = 0; i < u->address_count; i++)
        u->addresses[i] = mem_strdup(d->addresses[i]);
    u->login = mem_strdup(d->login);
    u->route = mem_strdup(*d->route ? d->route : s->route);
    u->host_key_algorithms = algorithms_of(d);
    s->dialled_us = metrics_clock_us();
    dial_next(s);
}

/* --- handshake and authentication --- */

static const char *upstream(const struct ssh_session *s)
{
    return s->up.addresses[s->up.address_at];
}

static void start_auth(struct ssh_session *s, struct view session_id)
{
    struct ssh_upstream *u = &s->up;
    struct key_hint hint = key_hints_get(&s->service->hints, upstream(s));
    struct auth_client_config config = {
        .out = bridge_sink(u->leg.transport),
        .login = view_str(u->login),
        .deadline = loop_now_ms(s->service->loop) + SSH_UPSTREAM_AUTH_MS,
        .rng = s->service->rng,
        .first = hint.first,
        .first_is_known = hint.is_known,
    };
    auth_client_init(&u->auth, &config, session_id);
    u->is_authenticating = true;
    struct view list = transport_peer_ext(u->leg.transport)->server_sig_algs;
    if (list.ptr)
        auth_client_sig_algs(&u->auth, list);
    auth_client_start(&u->auth);
}

static void on_packet(struct ssh_session *s, const struct transport_event *e)
{
    struct ssh_upstream *u = &s->up;
    if (!u->is_authenticating ||
        auth_client_feed(&u->auth, view_of(e->packet.payload, e->packet.len)) != OK)
        transport_unimplemented(u->leg.transport, e->packet.seq);
}

static void on_transport(struct ssh_session *s, const struct transport_event *e)
{
    struct ssh_upstream *u = &s->up;
    switch (e->type) {
    case TRANSPORT_HOST_KEY:
        /* The signature is good; whose key it may be is judged by authorize at Certify, before
         * anything is proved to the target. */
        if (e->host_key.is_rekey)
            IGNORE(transport_host_key_refuse(u->leg.transport, "the host key has changed"),
                   "FAILED follows");
        else
            IGNORE(transport_host_key_accept(u->leg.transport), "FAILED follows");
        break;
    case TRANSPORT_READY:
        if (e->ready.is_first)
            start_auth(s, e->ready.session_id);
        break;
    case TRANSPORT_EXT_INFO:
        if (u->is_authenticating && e->ext_info.server_sig_algs.ptr)
            auth_client_sig_algs(&u->auth, e->ext_info.server_sig_algs);
        break;
    case TRANSPORT_PACKET:
        on_packet(s, e);
        break;
    case TRANSPORT_DISCONNECTED:
        if (!u->is_authenticating || !auth_client_ended(&u->auth))
            fail(s, MESSAGE_SSH_TARGET_ENDED, e->disconnected.text);
        break;
    case TRANSPORT_FAILED:
        fail(s, MESSAGE_SSH_TARGET_HANDSHAKE, e->failed.text);
        break;
    case TRANSPORT_IDENT:
    case TRANSPORT_KEX_SIGN:
        break;
    }
}

static void on_success(struct ssh_session *s)
{
    if (transport_authenticated(s->up.leg.transport) != OK)
        return; /* it has ended and says so itself */
    s->up.is_ready = true;
    metrics_add(METRIC_UPSTREAM_LOGINS, 1, "accepted");
    metrics_observe(METRIC_UPSTREAM_DURATION, metrics_clock_us() - s->dialled_us);
    auth_server_success(&s->auth);
}

static void keep_hint(struct ssh_session *s)
{
    struct key_hint hint;
    hint.first = auth_client_hint(&s->up.auth, &hint.is_known);
    if (hint.first)
        key_hints_put(&s->service->hints, upstream(s), hint);
}

static void on_rsa_key(struct rsa_wait *w, struct private_key *key)
{
    struct ssh_session *s = CONTAINER_OF(w, struct ssh_session, up.rsa_wait);
    auth_client_key(&s->up.auth, key);
    ssh_session_turn(s);
}

static void need_key(struct ssh_session *s)
{
    struct private_key key;
    bool is_ready = rsa_pool_take(s->service->rsa, &key);
    metrics_add(METRIC_RSA_KEYS_USED, 1, is_ready ? "ready" : "waited");
    if (is_ready)
        auth_client_key(&s->up.auth, &key);
    else
        rsa_pool_wait(s->service->rsa, &s->up.rsa_wait, on_rsa_key);
}

static bool auth_events(struct ssh_session *s)
{
    struct ssh_upstream *u = &s->up;
    struct auth_client_event e;
    bool any = false;
    while (u->is_authenticating && !u->is_ready && auth_client_next(&u->auth, &e)) {
        any = true;
        switch (e.type) {
        case AUTH_CLIENT_NEED_KEY:
            need_key(s);
            break;
        case AUTH_CLIENT_CERTIFY:
            s->certify_us = metrics_clock_us();
            decide_certify(&s->link, e.public_key, transport_host_key(u->leg.transport),
                           upstream(s));
            break;
        case AUTH_CLIENT_BANNER:
            auth_server_banner(&s->auth, e.text);
            break;
        case AUTH_CLIENT_SUCCESS:
            keep_hint(s);
            on_success(s);
            break;
        case AUTH_CLIENT_FAILED:
            keep_hint(s);
            fail_auth(s, &e);
            break;
        }
    }
    return any;
}

bool ssh_upstream_events(struct ssh_session *s)
{
    struct ssh_upstream *u = &s->up;
    bool any = false;
    /* What comes behind SUCCESS is for the bridge. */
    while (u->leg.transport && !u->is_ready && s->phase == SSH_SESSION_AUTH) {
        struct transport_event e;
        any |= auth_events(s);
        if (u->is_ready || !transport_next(u->leg.transport, &e))
            break;
        any = true;
        on_transport(s, &e);
    }
    /* A socket that ends without DISCONNECT is told by nobody else. */
    if (u->leg.has_ended && ssh_leg_is_empty(&u->leg) && !u->is_ready && !any)
        fail(s, MESSAGE_SSH_TARGET_ENDED, VIEW("no reason was given"));
    return any;
}

void ssh_upstream_certificate(struct ssh_session *s, struct view certificate)
{
    if (s->up.is_authenticating)
        auth_client_certificate(&s->up.auth, certificate);
}

/* --- time and end --- */

uint64_t ssh_upstream_deadline(const struct ssh_session *s)
{
    const struct ssh_upstream *u = &s->up;
    uint64_t at = TIMER_NEVER;
    if (u->leg.transport)
        at = transport_deadline(u->leg.transport);
    if (u->is_authenticating && !u->is_ready && auth_client_deadline(&u->auth) < at)
        at = auth_client_deadline(&u->auth);
    return at;
}

void ssh_upstream_tick(struct ssh_session *s, uint64_t now)
{
    struct ssh_upstream *u = &s->up;
    if (u->leg.transport)
        transport_tick(u->leg.transport, now);
    if (u->is_authenticating && !u->is_ready)
        auth_client_tick(&u->auth, now);
}

void ssh_upstream_fini(struct ssh_session *s)
{
    struct ssh_upstream *u = &s->up;
    dial_cancel(u->dial);
    u->dial = NULL;
    rsa_pool_leave(s->service->rsa, &u->rsa_wait);
    if (u->is_authenticating)
        auth_client_fini(&u->auth);
    u->is_authenticating = false;
    ssh_leg_fini(&u->leg);
    for (size_t i = 0; i < u->address_count; i++)
        mem_free(u->addresses[i]);
    mem_free(u->addresses);
    mem_free(u->host_key_algorithms);
    mem_free(u->login);
    mem_free(u->route);
    *u = (struct ssh_upstream){0};
}
