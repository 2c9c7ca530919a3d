/*
 * A client that sends anything to the management shell, through the relay as in the proxy. Steps:
 * one byte, u16 length, bytes; 0 is a packet of the client, 1 an answer to a question, 2 takes one
 * message of the shell, 3 takes all, 4 is a packet past the relay, which keeps no rule at all. What
 * must hold: behind the relay the shell breaks no rule of the protocol, never says more than the
 * client's windows allow, and nothing grows beyond its limit.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/relay.h"
#include "proxy/ssh/shell.h"
#include "tests/support/sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct shell shell;
    struct relay relay;
    struct sink_list client;
    bool past_relay; /* the shell has seen what the relay has not */
    size_t asks;
};

static enum err to_shell(void *ctx, struct view payload)
{
    return shell_feed(ctx, payload);
}

static bool take(struct world *w)
{
    uint8_t *p;
    size_t len;
    if (!shell_output(&w->shell, &p, &len))
        return false;
    CHECK(len >= 1 && len <= SHELL_PACKET + 512);
    enum err e = relay_feed(&w->relay, RELAY_TARGET, p, len);
    CHECK(e == OK);
    CHECK(w->past_relay || !w->relay.over || w->relay.fault_side == RELAY_CLIENT);
    return true;
}

static void act(struct world *w, uint8_t step, uint8_t *p, size_t len)
{
    switch (step) {
    case 0:
        if (shell_takes(&w->shell))
            IGNORE(relay_feed(&w->relay, RELAY_CLIENT, p, len), "any answer will do");
        break;
    case 1:
        shell_answer(&w->shell, (uint32_t)len, view_of(p, len));
        w->asks = 0;
        break;
    case 2:
        (void)take(w);
        break;
    case 3:
        while (take(w))
            ;
        break;
    default:
        w->past_relay = true;
        IGNORE(shell_feed(&w->shell, view_of(p, len)), "any answer will do");
    }
}

static void check_state(struct world *w)
{
    struct shell_event e;
    while (shell_next(&w->shell, &e)) {
        w->asks += e.type == SHELL_ASK;
        CHECK(e.type != SHELL_RAN || *e.name);
    }
    CHECK(w->asks <= 1);
    CHECK(w->shell.replies.len <= SHELL_REPLIES_HARD);
    for (size_t i = 0; i < SHELL_CHANNELS_MAX; i++) {
        const struct shell_channel *c = &w->shell.channels[i];
        CHECK(c->used < SHELL_WINDOW);
        CHECK(c->text.len <= 2 * SHELL_TEXT_MAX);
        CHECK(c->phase != SHELL_FREE || !c->text.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.asks = 0};
    shell_init(&w.shell, "dev");
    struct relay_config c = {.out = {sink_list_init(&w.client), {to_shell, &w.shell}},
                             .max_channels = 16};
    relay_init(&w.relay, &c);
    struct reader in = reader_of(view_of(data, size));
    while (reader_left(&in) && !in.failed) {
        uint8_t step = read_u8(&in);
        struct view v = read_bytes(&in, read_u16(&in));
        uint8_t *copy = mem_zalloc(v.len);
        if (v.len)
            memcpy(copy, v.ptr, v.len);
        act(&w, step, copy, v.len);
        mem_free(copy);
        check_state(&w);
    }
    relay_fini(&w.relay);
    shell_fini(&w.shell);
    sink_list_fini(&w.client);
    return 0;
}
