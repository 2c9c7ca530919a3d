#include "common/base/check.h"
#include "common/daemon/log.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

enum { FIELDS_MAX = 24 };

static bool is_wanted(const struct worker_texts *list, const char *name)
{
    if (!list->count)
        return true;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], name) == 0)
            return true;
    }
    return false;
}

struct fields {
    const struct worker_texts *wanted;
    struct log_field items[FIELDS_MAX];
    size_t count;
};

static void add(struct fields *f, struct log_field field)
{
    CHECK(f->count < FIELDS_MAX - 1);
    if (is_wanted(f->wanted, field.name))
        f->items[f->count++] = field;
}

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
    struct fields f = {.wanted = &s->config->access_log_fields};
    add(&f, LOG_STR("event", rows[event].event));
    add(&f, LOG_STR("connection-id", s->id));
    add(&f, LOG_STR("session-id", s->session_id));
    add(&f, LOG_STR("user", s->user_id));
    add(&f, LOG_STR("email", s->email));
    add(&f, LOG_STR("route", s->route));
    add(&f, LOG_STR("route-id", s->route_id));
    add(&f, LOG_STR("login", s->login));
    add(&f, LOG_STR("publickey-fingerprint", s->fingerprint));
    add(&f, LOG_STR("ip", s->source));
    if (s->serial)
        add(&f, LOG_U64("cert-serial", s->serial));
    if (event != SSH_ACCESS_OPEN) {
        const struct relay *r = &s->bridge.relay;
        add(&f, LOG_U64("bytes-in", s->is_bridged ? r->bytes[RELAY_CLIENT] : 0));
        add(&f, LOG_U64("bytes-out", s->is_bridged ? r->bytes[RELAY_TARGET] : 0));
        add(&f,
            LOG_MS("duration", s->opened_at ? loop_now_ms(s->service->loop) - s->opened_at : 0));
    }
    if (event == SSH_ACCESS_CLOSE)
        add(&f, LOG_STR("reason", s->reason));
    f.items[f.count].type = LOG_TYPE_END;
    log_write(CONFIG_LOG_INFO, rows[event].message, f.items);
}
