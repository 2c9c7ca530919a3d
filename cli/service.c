#include "cli/service.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/login.h"
#include "cli/mux.h"
#include "cli/token_cache.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/rng.h"

/* As people type who know that they want a listener and not yet what stands behind it. */
static int lacks_destination(const struct cli *cli, enum client_command command,
                             const struct client_flags *f)
{
    bool is_udp = command == CLIENT_UDP;
    return cli_usage(cli,
                     "the destination is missing; write the HOST:PORT of the route's from, for "
                     "instance: postern %s%s%s (postern routes lists what you may reach)",
                     is_udp ? "udp dns.example.com:53" : "tcp ssh.example.com:22",
                     f->listen ? " --listen " : "", f->listen ? f->listen : "");
}

int service_init(struct service *s, struct cli *cli, enum client_command command, loop_fn on_stop,
                 void *ctx)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    const char *word = NULL;
    struct cli_positional words = {&word, 0, 1, 0};
    *s = (struct service){.cli = cli};
    int status = client_flags_parse(cli, command, &s->flags, &words);
    if (status != CLI_OK)
        return status;
    if (!word)
        return lacks_destination(cli, command, &s->flags);
    AUTO_FREE char *why = NULL;
    AUTO(destination_fini) struct destination d = {0};
    if (destination_parse(word, command == CLIENT_UDP ? "udp" : "tcp", s->flags.pomerium_url, &d,
                          &why) != OK)
        return cli_usage(cli, "%s", why);
    loop_init(&s->loop);
    s->target = mem_strdup(d.target);
    s->once = s->flags.listen && strcmp(s->flags.listen, "-") == 0;
    status = gateway_init(&s->gateway, &s->loop, &d.proxy, &s->flags);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        s->signals[i] = loop_signal_open(&s->loop, numbers[i], on_stop, ctx);
    if (status == CLI_OK)
        token_cache_set_last(s->gateway.url);
    return status;
}

void service_fini(struct service *s)
{
    if (!s->target)
        return;
    login_cancel(&s->gateway);
    mux_close(s->gateway.mux);
    progress_fini(&s->progress);
    for (size_t i = 0; i < ARRAY_LEN(s->signals); i++)
        loop_signal_close(s->signals[i]);
    loop_fini(&s->loop);
    gateway_fini(&s->gateway);
    mem_free(s->target);
}

void service_listening(const struct address *at)
{
    char text[ADDRESS_TEXT_MAX];
    address_text(at, text);
    (void)fprintf(stderr, "listening on %s\n", text);
    (void)fflush(stderr);
}

static void on_retry(void *ctx)
{
    attempt_open(ctx);
}

void attempt_open(struct attempt *a)
{
    struct service *s = a->service;
    if (!a->retry.handle)
        timer_init(&a->retry, &s->loop, on_retry, a);
    a->link = link_open(&s->gateway, a->kind, s->target, a->handler, a->ctx);
}

void attempt_free(struct attempt *a)
{
    link_close(a->link);
    a->link = NULL;
    timer_fini(&a->retry);
    a->gone = true;
    if (!a->waits)
        mem_free(a);
}

static void on_signed_in(void *ctx, bool ok)
{
    struct attempt *a = ctx;
    a->waits = false;
    if (a->gone)
        mem_free(a);
    else if (ok)
        attempt_open(a);
    else
        a->on_give_up(a->ctx, EXIT_LOGIN);
}

/* The gateway is not there: later again, but not for one that wants to know now. */
static void not_reached(struct attempt *a, enum err e, const char *why)
{
    struct service *s = a->service;
    a->failed++;
    if (s->once || s->flags.no_reconnect || e == ERR_VERIFY || a->failed >= BACKOFF_TRIES) {
        progress_say(&s->progress, "%s", why);
        a->on_give_up(a->ctx, EXIT_UNREACHABLE);
        return;
    }
    struct rng rng = rng_system();
    uint32_t random;
    rng_fill(&rng, (uint8_t *)&random, sizeof random);
    uint64_t wait_ms = backoff_ms(a->failed, random);
    progress_say(&s->progress, "%s; trying again in %u.%u s", why, (unsigned)(wait_ms / 1000),
                 (unsigned)(wait_ms % 1000 / 100));
    timer_after(&a->retry, wait_ms);
}

/* The gateway says that it is dead. */
static void forget(struct gateway *g, const char *token)
{
    if (*token)
        token_cache_remove(&g->at, token);
    if (strcmp(g->token, token) == 0)
        gateway_set_token(g, NULL);
}

static void sign_in(struct attempt *a, const char *refused)
{
    struct gateway *g = &a->service->gateway;
    a->signed_in = true;
    if (*g->token && strcmp(g->token, refused) != 0) {
        attempt_open(a); /* somebody else's sign-in has come meanwhile */
        return;
    }
    forget(g, refused);
    a->waits = true;
    login_open(g, refused, on_signed_in, a);
}

void attempt_refused(struct attempt *a, const struct link_refusal *r)
{
    struct service *s = a->service;
    enum reply reply = reply_of(r->status);
    AUTO_FREE char *said = reply_said(r->body);
    AUTO_FREE char *why =
        r->err != OK ? mem_strdup(r->why)
                     : reply_sentence(r->status, s->target, s->gateway.url, view_str(said));
    AUTO_FREE char *token = mem_strdup(r->token);
    enum err e = r->err;
    link_close(a->link);
    a->link = NULL;
    if (e != OK) {
        not_reached(a, e, why);
    } else if (reply == REPLY_LOGIN && !a->signed_in) {
        sign_in(a, token);
    } else {
        if (reply == REPLY_LOGIN)
            forget(&s->gateway, token);
        progress_say(&s->progress, "%s", why);
        a->on_give_up(a->ctx, reply_exit_status(reply));
    }
    mem_wipe(token, strlen(token));
}
