/*
 * Tunnels and questions that do what a test tells them, in place of proxy/tunnel.c. For one source
 * file of a test program.
 */
#ifndef TESTS_UNIT_PROXY_FRONT_TUNNELS_H
#define TESTS_UNIT_PROXY_FRONT_TUNNELS_H

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "proxy/tunnel.h"
#include "tests/support/test.h"

enum { FAKE_TUNNELS = 16, FAKE_IN_MAX = 64 << 20 };

struct tunnel {
    const struct tunnel_client *client; /* NULL: nobody is to be called any more */
    void *ctx;
    enum tunnel_kind kind;
    struct buf in;
    bool finished;
    bool gone;
    bool pause_on_read;
    bool close_on_read;
    int reads;
    int drains;
    char text[1000]; /* what was asked */
};

struct access {
    access_fn done;
    void *ctx;
};

static struct {
    struct tunnel tunnels[FAKE_TUNNELS];
    size_t count;
    struct access access; /* the last question */
    unsigned asked;
    unsigned cancelled;
    char text[1000];
} fake;

#define FAKE_TUNNELS_POINTER ((struct tunnels *)&fake)

static inline void fake_reset(void)
{
    for (size_t i = 0; i < fake.count; i++)
        buf_fini(&fake.tunnels[i].in);
    memset(&fake, 0, sizeof fake);
}

static inline void fake_write_ask(const struct tunnel_ask *ask, char out[static 1000])
{
    (void)snprintf(out, 1000, "%.*s %.*s %.*s token=%.*s at=%d agent=%.*s %s",
                   VIEW_FMT(ask->method), VIEW_FMT(ask->authority), VIEW_FMT(ask->path),
                   VIEW_FMT(ask->token), (int)ask->token_place, VIEW_FMT(ask->user_agent),
                   ask->http);
}

struct tunnel *tunnel_open(struct tunnels *t, enum tunnel_kind kind, const struct tunnel_ask *ask,
                           const struct tunnel_client *client, void *ctx)
{
    assert_ptr_equal(t, FAKE_TUNNELS_POINTER);
    assert_true(fake.count < FAKE_TUNNELS && strlen(ask->request_id) == 32);
    struct tunnel *u = &fake.tunnels[fake.count++];
    *u = (struct tunnel){.client = client, .ctx = ctx, .kind = kind};
    buf_init(&u->in, FAKE_IN_MAX);
    fake_write_ask(ask, u->text);
    return u;
}

static inline void fake_accept(struct tunnel *u)
{
    u->client->accept(u->ctx, "0123456789abcdef0123456789abcdef");
}

static inline void fake_refuse(struct tunnel *u, enum tunnel_cause cause, const char *sentence,
                               const char *url)
{
    const struct tunnel_client *client = u->client;
    u->client = NULL;
    client->refuse(u->ctx, &(struct tunnel_refusal){cause, sentence, url});
}

static inline void fake_close(struct tunnel *u)
{
    const struct tunnel_client *client = u->client;
    u->client = NULL;
    client->close(u->ctx, "it is over");
}

static inline enum err fake_write(struct tunnel *u, const char *text)
{
    return u->client->write(u->ctx, view_str(text));
}

void tunnel_read(struct tunnel *u, struct view bytes)
{
    assert_non_null(u->client);
    assert_true(bytes.len > 0 && !u->finished);
    CHECK_OK(buf_append(&u->in, bytes));
    u->reads++;
    if (u->pause_on_read)
        u->client->pause(u->ctx);
    if (u->close_on_read)
        fake_close(u);
}

void tunnel_drain(struct tunnel *u)
{
    assert_non_null(u->client);
    u->drains++;
}

void tunnel_finish(struct tunnel *u)
{
    assert_true(u->client && !u->finished);
    u->finished = true;
}

void tunnel_gone(struct tunnel *u, const char *why)
{
    assert_true(u->client && why);
    u->client = NULL;
    u->gone = true;
}

bool tunnels_know(const struct tunnels *t, struct view id, const char **out_reason)
{
    assert_ptr_equal(t, FAKE_TUNNELS_POINTER);
    *out_reason = view_eq_str(id, "ended") ? "The session \"x\" has ended." : NULL;
    return *out_reason || view_eq_str(id, "open");
}

struct access *access_open(struct tunnels *t, const struct tunnel_ask *ask, access_fn done,
                           void *ctx)
{
    assert_ptr_equal(t, FAKE_TUNNELS_POINTER);
    fake.asked++;
    fake.access = (struct access){done, ctx};
    fake_write_ask(ask, fake.text);
    return &fake.access;
}

void access_cancel(struct access *a)
{
    assert_ptr_equal(a, &fake.access);
    fake.cancelled++;
    a->done = NULL;
}

static inline void fake_answer(const struct access_answer *a)
{
    access_fn done = fake.access.done;
    fake.access.done = NULL;
    done(fake.access.ctx, a);
}

#endif
