#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

void ssh_shell_start(struct ssh_session *s)
{
    s->shell = mem_zalloc(sizeof *s->shell);
    shell_init(s->shell, s->login);
    auth_server_success(&s->auth);
}

void ssh_shell_fini(struct ssh_session *s)
{
    if (s->shell)
        shell_fini(s->shell);
    mem_free(s->shell);
    s->shell = NULL;
}

static void ran(const struct ssh_session *s, const char *name)
{
    metrics_add(METRIC_SHELL_COMMANDS, 1, name);
    log_info("shell command", LOG_STR("connection-id", s->id), LOG_STR("session-id", s->session_id),
             LOG_STR("user", s->user_id), LOG_STR("email", s->email), LOG_STR("login", s->login),
             LOG_STR("publickey-fingerprint", s->fingerprint), LOG_STR("ip", s->source),
             LOG_STR("command", name));
}

void ssh_shell_event(struct ssh_session *s, const struct shell_event *e)
{
    switch (e->type) {
    case SHELL_ASK:
        decide_shell(&s->link, e->verb == SHELL_LOGOUT ? DECIDE_LOGOUT : DECIDE_WHOAMI);
        break;
    case SHELL_NOTE:
        relay_warn(&s->bridge.relay, view_str(message_text(e->message)));
        break;
    case SHELL_RAN:
        ran(s, e->name);
        break;
    }
}

void ssh_shell_result(struct ssh_session *s, uint32_t status, const char *text)
{
    AUTO_FREE char *shown = mem_printf(status ? "Error: %s\n" : "%s", text);
    shell_answer(s->shell, status, view_str(shown));
}
