#include "cli/login.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/browser.h"
#include "cli/files.h"
#include "cli/login_parts.h"
#include "cli/token_cache.h"
#include "cli/tunnel/reply.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/rng.h"

enum { LOCK_POLL_MS = 300 };

static void free_secret(char **text)
{
    if (*text)
        mem_wipe(*text, strlen(*text));
    mem_free(*text);
    *text = NULL;
}

void login_free(void *ctx)
{
    struct login *n = ctx;
    timer_fini(&n->step);
    timer_fini(&n->deadline);
    free_secret(&n->refused);
    free_secret(&n->verifier);
    mem_free(n->path);
    mem_free(n->code);
    mem_free(n->waiters);
    mem_free(n);
}

static void stop(struct login *n)
{
    n->done = true;
    n->gateway->login = NULL;
    ask_cancel(n->ask);
    n->ask = NULL;
    timer_clear(&n->step);
    timer_clear(&n->deadline);
    token_cache_unlock(n->lock);
    n->lock = -1;
    n->waiter_count = 0;
}

static void release(struct login *n)
{
    if (n->httpd)
        httpd_close(n->httpd, LOGIN_PAGE_MS, login_free, n);
    else
        login_free(n);
}

void login_finish(struct login *n, bool ok)
{
    size_t count = n->waiter_count;
    stop(n);
    for (size_t i = 0; i < count; i++)
        n->waiters[i].fn(n->waiters[i].ctx, ok);
    release(n);
}

void login_cancel(struct gateway *g)
{
    if (g->login)
        login_finish(g->login, false);
}

void login_fail(struct login *n, const char *why)
{
    (void)cli_fail("signing in to %s failed: %s", n->gateway->url, why);
    login_finish(n, false);
}

void login_take(struct login *n, const char *token)
{
    gateway_set_token(n->gateway, token);
    token_cache_write(&n->gateway->at, token);
    login_finish(n, true);
}

char *login_random(void)
{
    struct rng rng = rng_system();
    uint8_t bytes[LOGIN_RANDOM_LEN];
    rng_fill(&rng, bytes, sizeof bytes);
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, 2 * sizeof bytes);
    IGNORE(text_base64url(view_of(bytes, sizeof bytes), &text), "it fits");
    mem_wipe(bytes, sizeof bytes);
    return buf_to_str(&text);
}

/* The token of --service-account or its file; NULL when neither is given. Fresh. */
static enum err service_account(const struct client_flags *f, char **out)
{
    if (f->service_account) {
        *out = mem_strdup(f->service_account);
        return OK;
    }
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, FILES_MAX);
    TRY(files_read(f->service_account_file, &text));
    *out = buf_to_str(&text);
    (*out)[strcspn(*out, "\r\n")] = '\0';
    return OK;
}

static void by_service_account(struct login *n)
{
    AUTO(free_secret) char *token = NULL;
    uint64_t ends_ms = 0;
    if (service_account(n->gateway->flags, &token) != OK)
        login_finish(n, false);
    else if (token_expiry(view_str(token), &ends_ms) != OK)
        login_fail(n, "the service account's token is no token");
    else if (strcmp(token, n->refused) == 0)
        login_fail(n, "the service account's token is not valid there any more");
    else if (ends_ms && ends_ms <= loop_wall_ms())
        login_fail(n, "the service account's token has expired");
    else
        login_take(n, token);
}

/* What another process has signed in for meanwhile. */
static bool from_cache(struct login *n)
{
    AUTO(free_secret) char *token = token_cache_read(&n->gateway->at, loop_wall_ms());
    if (!*token || strcmp(token, n->refused) == 0)
        return false;
    gateway_set_token(n->gateway, token);
    login_finish(n, true);
    return true;
}

static void begin(void *ctx)
{
    struct login *n = ctx;
    const struct client_flags *f = n->gateway->flags;
    if (f->service_account || f->service_account_file) {
        by_service_account(n);
        return;
    }
    if (!n->fresh && from_cache(n))
        return;
    n->lock = token_cache_lock(&n->gateway->at);
    if (n->lock == -1) {
        if (!n->told_waiting)
            (void)fprintf(stderr, "postern: waiting for the sign-in that another postern began\n");
        n->told_waiting = true;
        timer_after(&n->step, LOCK_POLL_MS);
        return;
    }
    /* It may have come between the look and the lock. */
    if (n->told_waiting && !n->fresh && from_cache(n))
        return;
    if (f->headless)
        login_headless(n);
    else
        login_browser(n);
}

static void on_deadline(void *ctx)
{
    login_fail(ctx, "nobody has signed in within 10 minutes");
}

static struct login *start(struct gateway *g, const char *refused)
{
    struct login *n = mem_zalloc(sizeof *n);
    n->gateway = g;
    n->refused = mem_strdup(refused);
    n->lock = -1;
    timer_init(&n->step, g->loop, begin, n);
    timer_init(&n->deadline, g->loop, on_deadline, n);
    timer_after(&n->step, 0);
    timer_after(&n->deadline, LOGIN_WAIT_MS);
    g->login = n;
    return n;
}

void login_open(struct gateway *g, const char *refused, login_fn on_done, void *ctx)
{
    struct login *n = g->login ? g->login : start(g, refused);
    n->waiters = mem_realloc(n->waiters, (n->waiter_count + 1) * sizeof *n->waiters);
    n->waiters[n->waiter_count++] = (struct login_waiter){on_done, ctx};
}

struct now {
    struct loop *loop;
    bool ok;
};

static void on_now(void *ctx, bool ok)
{
    struct now *now = ctx;
    now->ok = ok;
    loop_stop(now->loop);
}

bool login_now(struct gateway *g, const char *refused)
{
    struct now now = {.loop = g->loop};
    login_open(g, refused ? refused : "", on_now, &now);
    g->login->fresh = !refused;
    loop_run(g->loop);
    return now.ok;
}
