/* Many streams at once that end in every way there is: each must settle, whatever is under way. */
#include "tests/unit/common/rpc/fixture.h"

enum { STREAMS = 600, AT_ONCE = 24, MESSAGES_MAX = 40 };

enum plan {
    HALF_CLOSE,      /* sends all, then half-closes */
    HALF_CLOSE_LATE, /* half-closes when all answers are there */
    CLOSE_AT_ONCE,   /* sends all and closes */
    CLOSE_INSIDE,    /* closes in the callback of some answer */
    SERVER_ENDS,     /* the server ends it behind what it has queued */
    SERVER_ENDS_NOW, /* the same, and the client sends on */
    PLANS,
};

struct storm {
    struct fixture *f;
    uint32_t random;
    unsigned opened; /* by the client */
    unsigned live;
    unsigned starts; /* at the server */
    unsigned ends;
};

struct one {
    struct storm *storm;
    struct rpc_stream *stream;
    enum plan plan;
    unsigned count;
    unsigned received;
};

static uint32_t draw(struct storm *s, uint32_t below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return s->random % below;
}

/* --- the server: an echo that can be told to end --- */

static void on_storm_open(struct rpc_call *call, void *ctx)
{
    struct storm *s = ctx;
    (void)call;
    s->starts++;
}

static void answer(struct rpc_call *call, const Postern__Hello *hello)
{
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    Postern__Hello copy = *hello;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_HELLO;
    m.hello = &copy;
    /* A client that has gone is found out by sending before on_end. */
    enum err e = rpc_send(call, &m.base);
    assert_true(e == OK || e == ERR_CLOSED);
}

static void on_storm_message(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Postern__WorkerMessage *m = (const Postern__WorkerMessage *)message;
    (void)ctx;
    bool is_end = strcmp(m->hello->instance_id, "end") == 0;
    for (int i = 0; i < (is_end ? 10 : 1); i++)
        answer(call, m->hello);
    if (is_end)
        rpc_finish(call, RPC_ABORTED, "as asked");
}

static void on_storm_half_close(struct rpc_call *call, void *ctx)
{
    (void)ctx;
    rpc_finish(call, RPC_OK, NULL);
}

static void on_storm_end(struct rpc_call *call, bool cancelled, void *ctx)
{
    struct storm *s = ctx;
    (void)call;
    (void)cancelled;
    s->ends++;
}

static const struct rpc_method storm_methods[] = {
    {.service = DECIDE,
     .name = "Stream",
     .kind = RPC_BIDI,
     .callers = RPC_CALLER_AUTHORIZE,
     .on_open = on_storm_open,
     .on_message = on_storm_message,
     .on_half_close = on_storm_half_close,
     .on_end = on_storm_end},
};

/* --- the client --- */

static enum err send_one(struct one *o, const char *id)
{
    Postern__Hello hello = POSTERN__HELLO__INIT;
    hello.instance_id = (char *)(uintptr_t)id;
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_HELLO;
    m.hello = &hello;
    return rpc_stream_send(o->stream, &m.base);
}

static void forget(struct one *o)
{
    o->storm->live--;
    mem_free(o);
}

static void on_answer(void *ctx, const ProtobufCMessage *message)
{
    struct one *o = ctx;
    (void)message;
    o->received++;
    if (o->plan == HALF_CLOSE_LATE && o->received == o->count)
        rpc_stream_half_close(o->stream);
    if (o->plan == SERVER_ENDS_NOW)
        (void)send_one(o, "more");
    if (o->plan == CLOSE_INSIDE && o->received == o->count / 2 + 1) {
        rpc_stream_close(o->stream);
        forget(o);
    }
}

static void on_one_end(void *ctx, enum rpc_status status, const char *text)
{
    struct one *o = ctx;
    (void)text;
    switch (o->plan) {
    case HALF_CLOSE:
    case HALF_CLOSE_LATE:
        assert_int_equal(status, RPC_OK);
        assert_int_equal(o->received, o->count);
        break;
    case SERVER_ENDS:
        assert_int_equal(status, RPC_ABORTED);
        assert_int_equal(o->received, o->count + 10);
        break;
    case SERVER_ENDS_NOW:
        assert_int_equal(status, RPC_ABORTED);
        assert_true(o->received >= o->count + 10);
        break;
    case CLOSE_AT_ONCE:
    case CLOSE_INSIDE:
    case PLANS:
        fail_msg("a closed stream has ended");
    }
    forget(o);
}

static const struct rpc_stream_events one_events = {.on_message = on_answer, .on_end = on_one_end};

static void begin(struct storm *s)
{
    struct one *o = mem_zalloc(sizeof *o);
    *o = (struct one){
        .storm = s, .plan = (enum plan)draw(s, PLANS), .count = 1 + draw(s, MESSAGES_MAX)};
    s->opened++;
    s->live++;
    o->stream =
        rpc_stream_open(s->f->channel, (struct rpc_method_name){DECIDE, "Stream"}, &one_events, o);
    if (o->plan == HALF_CLOSE && draw(s, 4) == 0)
        o->count = 0;
    for (unsigned i = 0; i < o->count; i++)
        CHECK_OK(send_one(o, "echo"));
    if (o->plan == SERVER_ENDS || o->plan == SERVER_ENDS_NOW)
        CHECK_OK(send_one(o, "end"));
    if (o->plan == HALF_CLOSE)
        rpc_stream_half_close(o->stream);
    /* Some before they are accepted, some amid what comes and goes. */
    if (o->plan == CLOSE_AT_ONCE) {
        for (uint32_t turns = draw(s, 3); turns; turns--)
            uv_run(&s->f->loop.uv, UV_RUN_NOWAIT);
        rpc_stream_close(o->stream);
        forget(o);
    }
}

static void serve_storm(struct storm *s)
{
    struct fixture *f = s->f;
    struct rpc_server_config config = {.address = "127.0.0.1:0",
                                       .identity = service(f, "databroker"),
                                       .methods = storm_methods,
                                       .count = ARRAY_LEN(storm_methods),
                                       .ctx = s};
    CHECK_OK(rpc_server_open(f->rpc, &config, &f->server));
    snprintf(f->target, sizeof f->target, "https://127.0.0.1:%u", rpc_server_port(f->server));
    dial_as(f, service(f, "authorize"));
}

/* The teardown waits until all that was opened is gone. */
static void test_storm(void **state)
{
    struct fixture *f = *state;
    struct storm s = {.f = f, .random = 2463534242};
    serve_storm(&s);
    /* Connects. */
    struct one *first = mem_zalloc(sizeof *first);
    *first = (struct one){.storm = &s, .plan = HALF_CLOSE_LATE, .count = 1};
    s.live++;
    first->stream =
        rpc_stream_open(f->channel, (struct rpc_method_name){DECIDE, "Stream"}, &one_events, first);
    CHECK_OK(send_one(first, "echo"));
    while (s.live)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    while (s.opened < STREAMS) {
        while (s.opened < STREAMS && s.live < AT_ONCE)
            begin(&s);
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    }
    while (s.live || s.ends < s.starts)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_true(s.starts > STREAMS / 2);
}

/* The channel and the server go in the middle of it: nobody is told and nothing stays. */
static void test_close_in_the_storm(void **state)
{
    struct fixture *f = *state;
    struct storm s = {.f = f, .random = 88675123};
    struct one *open[AT_ONCE];
    serve_storm(&s);
    for (size_t i = 0; i < AT_ONCE; i++) {
        open[i] = mem_zalloc(sizeof **open);
        *open[i] = (struct one){.storm = &s, .plan = CLOSE_INSIDE, .count = UINT32_MAX};
        open[i]->stream = rpc_stream_open(f->channel, (struct rpc_method_name){DECIDE, "Stream"},
                                          &one_events, open[i]);
        for (int k = 0; k < MESSAGES_MAX; k++)
            CHECK_OK(send_one(open[i], "echo"));
    }
    while (s.starts < AT_ONCE / 2)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    rpc_channel_close(f->channel, on_closed, f);
    f->channel = NULL;
    while (f->closed < 1)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    f->closed = 0;
    for (size_t i = 0; i < AT_ONCE; i++)
        mem_free(open[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {ALONE(test_storm), ALONE(test_close_in_the_storm)};
    return RUN(tests);
}
