#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/crypto/cert.h"
#include "common/daemon/metrics.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

void ssh_auth_start(struct ssh_session *s, struct view session_id)
{
    struct auth_server_config config = {.out = bridge_sink(s->down.transport)};
    auth_server_init(&s->auth, &config, session_id);
    s->has_auth = true;
    s->phase = SSH_SESSION_AUTH;
}

void ssh_auth_feed(struct ssh_session *s, const struct transport_event *e)
{
    if (auth_server_feed(&s->auth, view_of(e->packet.payload, e->packet.len)) != OK)
        transport_unimplemented(s->down.transport, e->packet.seq);
}

/* --- the engine's events --- */

/* A certificate is known by the key in it. */
static char *fingerprint_of(struct view blob)
{
    char text[KEY_FINGERPRINT_MAX];
    AUTO(cert_fini) struct cert c = {0};
    if (cert_parse(&c, blob) == OK)
        public_key_fingerprint(&c.key, text);
    else
        key_blob_fingerprint(blob, text);
    return mem_strdup(text);
}

static void on_check(struct ssh_session *s, const struct auth_server_event *e)
{
    struct decide_check check = {
        .source = s->source,
        .login = e->login,
        .route = e->route,
        .key = e->key,
        .key_type = e->key_type,
        .client_version = transport_peer_ident(s->down.transport),
    };
    ssh_startups_proved(&s->service->startups, &s->startup);
    mem_free(s->login);
    mem_free(s->route);
    mem_free(s->fingerprint);
    s->login = mem_strndup(e->login.ptr, e->login.len);
    s->route = mem_strndup(e->route.ptr, e->route.len);
    s->fingerprint = fingerprint_of(e->key);
    s->asked_us = metrics_clock_us();
    decide_ask(&s->link, &check);
}

void ssh_auth_events(struct ssh_session *s)
{
    struct auth_server_event e;
    while (s->phase == SSH_SESSION_AUTH && auth_server_next(&s->auth, &e)) {
        switch (e.type) {
        case AUTH_SERVER_CHECK:
            on_check(s, &e);
            break;
        case AUTH_SERVER_DISCONNECT: {
            AUTO_FREE char *reason = mem_strndup(e.text.ptr, e.text.len);
            ssh_session_end(s, e.reason, e.text, reason);
            break;
        }
        }
    }
}

/* --- what authorize says --- */

/* `outcome` is for the metrics. */
static void deny(struct ssh_session *s, const char *sentence, const char *outcome)
{
    s->outcome = outcome;
    ssh_startups_wait_over(&s->service->startups, &s->startup);
    s->sign_in_at = TIMER_NEVER;
    auth_server_deny(&s->auth, view_str(sentence));
}

static void begin_login(struct ssh_session *s, const struct decide_decision *d)
{
    enum ssh_wait wait = ssh_startups_wait(&s->service->startups, &s->startup);
    if (wait != SSH_WAIT_OK) {
        decide_withdraw(&s->link);
        deny(s,
             message_text(wait == SSH_WAIT_FULL ? MESSAGE_SIGN_IN_TOO_MANY
                                                : MESSAGE_SIGN_IN_TOO_MANY_SOURCE),
             "limited");
        return;
    }
    s->has_signed_in = true;
    s->sign_in_at =
        loop_now_ms(s->service->loop) + s->config->ssh_sign_in_timeout + SSH_SESSION_LATE_MS;
    auth_server_login(&s->auth, view_str(d->prompt), view_str(d->url), view_str(d->match_code));
    transport_trim(s->down.transport);
}

static void allow(struct ssh_session *s, const struct decide_decision *d)
{
    mem_set_str(&s->session_id, d->session_id);
    mem_set_str(&s->user_id, d->user_id);
    mem_set_str(&s->email, d->email);
    mem_set_str(&s->route_id, d->route_id);
    auth_server_allow(&s->auth);
    if (d->shell)
        ssh_shell_start(s);
    else
        ssh_upstream_start(s, d);
}

static void count_decision(struct ssh_session *s, enum decide_verdict verdict)
{
    static const char *const names[] = {[DECIDE_DENY] = "deny",
                                        [DECIDE_ALLOW] = "allow",
                                        [DECIDE_LOGIN] = "login",
                                        [DECIDE_NEXT_KEY] = "next_key"};
    metrics_add(METRIC_DECISIONS, 1, names[verdict]);
    /* What comes after a sign-in was waited for by a person. */
    if (s->asked_us)
        metrics_observe(METRIC_DECIDE_DURATION, metrics_clock_us() - s->asked_us);
    s->asked_us = 0;
}

static bool is_message(const char *sentence, enum message m)
{
    return strcmp(sentence, message_text(m)) == 0;
}

static void on_decision(void *ctx, const struct decide_decision *d)
{
    struct ssh_session *s = ctx;
    if (s->phase != SSH_SESSION_AUTH)
        return;
    count_decision(s, d->verdict);
    if (d->verdict != DECIDE_LOGIN) {
        ssh_startups_wait_over(&s->service->startups, &s->startup);
        s->sign_in_at = TIMER_NEVER;
    }
    switch (d->verdict) {
    case DECIDE_ALLOW:
        allow(s, d);
        break;
    case DECIDE_LOGIN:
        begin_login(s, d);
        break;
    case DECIDE_NEXT_KEY:
        auth_server_next_key(&s->auth, view_str(d->sentence));
        break;
    case DECIDE_DENY:
        if (*d->sentence && !is_message(d->sentence, MESSAGE_AUTHORIZE_UNREACHABLE))
            deny(s, d->sentence, "denied");
        else
            deny(s, message_text(MESSAGE_AUTHORIZE_UNREACHABLE), "unavailable");
        break;
    }
    ssh_session_turn(s);
}

static void on_login_ended(void *ctx, const char *sentence)
{
    struct ssh_session *s = ctx;
    if (s->phase != SSH_SESSION_AUTH)
        return;
    deny(s, sentence, is_message(sentence, MESSAGE_SIGN_IN_EXPIRED) ? "expired" : "denied");
    ssh_session_turn(s);
}

static void on_certificate(void *ctx, struct view certificate, uint64_t serial)
{
    struct ssh_session *s = ctx;
    if (s->phase != SSH_SESSION_AUTH)
        return;
    s->serial = serial;
    metrics_observe(METRIC_CERTIFY_DURATION, metrics_clock_us() - s->certify_us);
    ssh_upstream_certificate(s, certificate);
    ssh_session_turn(s);
}

static void on_refusal(void *ctx, const char *sentence)
{
    struct ssh_session *s = ctx;
    if (s->phase != SSH_SESSION_AUTH)
        return;
    metrics_observe(METRIC_CERTIFY_DURATION, metrics_clock_us() - s->certify_us);
    deny(s, sentence, "failed");
    ssh_session_turn(s);
}

static void on_shell(void *ctx, uint32_t status, const char *text)
{
    struct ssh_session *s = ctx;
    if (s->phase != SSH_SESSION_LIVE)
        return;
    ssh_shell_result(s, status, text);
    ssh_session_turn(s);
}

static void on_cut(void *ctx, const char *reason)
{
    ssh_session_cut(ctx, reason, reason);
}

static void on_warn(void *ctx, const char *line)
{
    ssh_session_warn(ctx, line);
}

const struct decide_events ssh_auth_decide_events = {
    .on_decision = on_decision,
    .on_login_ended = on_login_ended,
    .on_certificate = on_certificate,
    .on_refusal = on_refusal,
    .on_shell = on_shell,
    .on_cut = on_cut,
    .on_warn = on_warn,
};
