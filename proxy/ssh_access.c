#include "proxy/access_fields.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

/* One row per event. */
static const struct {
    const char *event;
    const char *message;
} rows[] = {
    [SSH_ACCESS_OPEN] = {"open", "ssh connection opened"},
    [SSH_ACCESS_UPDATE] = {"update", "ssh connection goes on"},
    [SSH_ACCESS_CLOSE] = {"close", "ssh connection closed"},
};

void ssh_access_log(const struct ssh_session *s, enum ssh_access event)
{
    struct access_fields f = {.wanted = &s->config->access_log_fields};
    access_fields_add(&f, LOG_STR("event", rows[event].event));
    access_fields_add(&f, LOG_STR("connection-id", s->id));
    access_fields_add(&f, LOG_STR("session-id", s->session_id));
    access_fields_add(&f, LOG_STR("user", s->user_id));
    access_fields_add(&f, LOG_STR("email", s->email));
    access_fields_add(&f, LOG_STR("route", s->route));
    access_fields_add(&f, LOG_STR("route-id", s->route_id));
    access_fields_add(&f, LOG_STR("login", s->login));
    access_fields_add(&f, LOG_STR("publickey-fingerprint", s->fingerprint));
    access_fields_add(&f, LOG_STR("ip", s->source));
    if (s->serial)
        access_fields_add(&f, LOG_U64("cert-serial", s->serial));
    if (event != SSH_ACCESS_OPEN) {
        const struct relay *r = &s->bridge.relay;
        access_fields_add(&f, LOG_U64("bytes-in", s->is_bridged ? r->bytes[RELAY_CLIENT] : 0));
        access_fields_add(&f, LOG_U64("bytes-out", s->is_bridged ? r->bytes[RELAY_TARGET] : 0));
        access_fields_add(
            &f,
            LOG_MS("duration", s->opened_at ? loop_now_ms(s->service->loop) - s->opened_at : 0));
    }
    if (event == SSH_ACCESS_CLOSE)
        access_fields_add(&f, LOG_STR("reason", s->reason));
    access_fields_write(&f, rows[event].message);
}
