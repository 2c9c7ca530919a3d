#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/metrics.h"
#include "proxy/ssh_measure.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

void ssh_live_start(struct ssh_session *s)
{
    uint64_t now = loop_now_ms(s->service->loop);
    if (transport_authenticated(s->down.transport) != OK)
        return; /* it has ended and says so itself */
    struct relay_config config = {.host_keys = s->host_keys,
                                  .host_key_count = s->config->host_key_count};
    if (s->shell)
        bridge_init_shell(&s->bridge, s->down.transport, s->shell, &config);
    else
        bridge_init(&s->bridge, s->down.transport, s->up.leg.transport, &config);
    s->is_bridged = true;
    s->phase = SSH_SESSION_LIVE;
    s->opened_at = now;
    s->access_at = now + s->config->access_log_interval;
    s->service->live++;
    if (s->up.is_authenticating)
        auth_client_fini(&s->up.auth);
    s->up.is_authenticating = false;
    relay_advertise(&s->bridge.relay);
    ssh_access_log(s, SSH_ACCESS_OPEN);
    if (s->service->is_draining)
        relay_warn(&s->bridge.relay, view_str(message_text(MESSAGE_SHUTDOWN)));
}

void ssh_live_fini(struct ssh_session *s)
{
    if (!s->is_bridged)
        return;
    ssh_measure_bytes(s);
    bridge_fini(&s->bridge);
    for (size_t i = 0; i < s->prove.count; i++)
        buf_fini(&s->prove.signatures[i]);
    s->is_bridged = false;
    s->service->live--;
}

/* --- what the transports say besides packets --- */

static void on_client(struct ssh_session *s, const struct transport_event *e)
{
    switch (e->type) {
    case TRANSPORT_KEX_SIGN:
        ssh_sign_kex(s, e);
        break;
    case TRANSPORT_READY:
        metrics_add(METRIC_SSH_REKEYS, 1, "client");
        break;
    case TRANSPORT_DISCONNECTED:
    case TRANSPORT_FAILED:
        ssh_session_client_ended(s, e);
        break;
    case TRANSPORT_IDENT:
    case TRANSPORT_HOST_KEY:
    case TRANSPORT_EXT_INFO:
    case TRANSPORT_PACKET:
        break;
    }
}

static void end_by_target(struct ssh_session *s, enum message m, struct view detail)
{
    AUTO_FREE char *text = mem_strndup(detail.ptr, detail.len);
    AUTO_FREE char *sentence = message_format(m, s->up.route, text, NULL);
    ssh_session_end(s, REASON_BY_APPLICATION, view_str(sentence), sentence);
}

static void on_target(struct ssh_session *s, const struct transport_event *e)
{
    switch (e->type) {
    case TRANSPORT_HOST_KEY:
        /* Only when it differs from the one that authorize has judged. */
        IGNORE(transport_host_key_refuse(s->up.leg.transport, "the host key has changed"),
               "FAILED follows");
        break;
    case TRANSPORT_DISCONNECTED:
        end_by_target(s, MESSAGE_SSH_TARGET_ENDED, e->disconnected.text);
        break;
    case TRANSPORT_FAILED:
        end_by_target(s, MESSAGE_SSH_TARGET_LOST, e->failed.text);
        break;
    case TRANSPORT_READY:
        metrics_add(METRIC_SSH_REKEYS, 1, "target");
        break;
    case TRANSPORT_IDENT:
    case TRANSPORT_KEX_SIGN:
    case TRANSPORT_EXT_INFO:
    case TRANSPORT_PACKET:
        break;
    }
}

/* --- what the relay says --- */

static void on_relay(struct ssh_session *s, const struct relay_event *e)
{
    if (e->type == RELAY_PROVE) {
        ssh_sign_prove(s, e);
    } else if (e->side == RELAY_TARGET && !s->shell) {
        transport_disconnect(s->up.leg.transport, (enum msg_reason)e->reason, e->text);
        end_by_target(s, MESSAGE_SSH_TARGET_LOST, e->text);
    } else {
        AUTO_FREE char *reason = mem_strndup(e->text.ptr, e->text.len);
        ssh_session_end(s, e->reason, e->text, e->cut && s->reason ? s->reason : reason);
    }
}

bool ssh_live_events(struct ssh_session *s)
{
    struct bridge_event e;
    bool any = false;
    while (s->phase == SSH_SESSION_LIVE && bridge_next(&s->bridge, &e)) {
        any = true;
        if (e.type == BRIDGE_RELAY)
            on_relay(s, &e.relay);
        else if (e.type == BRIDGE_SHELL)
            ssh_shell_event(s, &e.shell);
        else if (e.side == RELAY_CLIENT)
            on_client(s, &e.transport);
        else if (!s->is_cut)
            on_target(s, &e.transport);
    }
    return any;
}
