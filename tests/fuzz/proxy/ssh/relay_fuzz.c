/*
 * Two peers that send anything, and every command in between. Steps: one byte, u16 length, bytes;
 * 0 and 1 are a packet of the client or the target, the rest are commands. What must hold: no
 * sender ever gets more through than the receiver has granted, and a relay is the same after a
 * round trip through its encoding.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/relay.h"
#include "tests/support/sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct view keys[] = {{(const uint8_t *)"key zero", 8}, {(const uint8_t *)"key one", 7}};

static void move(struct relay *r)
{
    struct relay_config c = r->config;
    struct buf one, two;
    buf_init(&one, SINK_LIST_MAX);
    buf_init(&two, SINK_LIST_MAX);
    if (relay_export(r, &one) == OK && !r->prove_busy) {
        relay_fini(r);
        relay_init(r, &c);
        CHECK(relay_import(r, buf_view(&one)) == OK);
        CHECK(relay_export(r, &two) == OK && view_eq(buf_view(&one), buf_view(&two)));
    }
    buf_fini(&one);
    buf_fini(&two);
}

static void import(struct relay *r, struct view v)
{
    struct relay other;
    struct buf out;
    buf_init(&out, SINK_LIST_MAX);
    relay_init(&other, &r->config);
    if (relay_import(&other, v) == OK)
        CHECK(relay_export(&other, &out) == OK);
    relay_fini(&other);
    buf_fini(&out);
}

static void act(struct relay *r, uint8_t step, uint8_t *p, size_t len)
{
    switch (step) {
    case 0:
    case 1:
        IGNORE(relay_feed(r, (enum relay_side)step, p, len), "any answer will do");
        break;
    case 2:
        relay_warn(r, view_of(p, len));
        break;
    case 3:
        relay_cut(r, view_of(p, len), REASON_BY_APPLICATION, 1000);
        break;
    case 4:
        relay_proved(r, &(struct view){p, len}, 1);
        break;
    case 5:
        relay_not_proved(r);
        break;
    case 6:
        relay_tick(r, len);
        break;
    case 7:
        import(r, view_of(p, len));
        break;
    default:
        move(r);
    }
}

/* The same sums as in the relay, from the outside: what was granted and what was sent. */
static void check_state(const struct relay *r)
{
    size_t used = 0;
    for (size_t i = 0; i < r->channel_cap; i++) {
        const struct relay_channel *c = &r->channels[i];
        used += c->state != RELAY_CHANNEL_FREE;
        CHECK(c->reserve <= RELAY_RESERVE && c->want <= RELAY_RESERVE);
        CHECK((uint64_t)c->credit[RELAY_TARGET] + c->reserve <= UINT32_MAX);
        CHECK(c->state == RELAY_CHANNEL_FREE || !(c->closed[0] && c->closed[1]));
    }
    CHECK(used == r->channel_count && used <= r->config.max_channels);
    for (int side = 0; side < 2; side++)
        CHECK(r->owed_count[side] <= r->config.max_requests);
    CHECK(r->owed_bytes <= RELAY_ANSWERS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sink_list out[2];
    struct relay r;
    struct relay_config c = {.out = {sink_list_init(&out[0]), sink_list_init(&out[1])},
                             .host_keys = keys,
                             .host_key_count = ARRAY_LEN(keys),
                             .max_channels = 8,
                             .max_requests = 8};
    relay_init(&r, &c);
    struct reader in = reader_of(view_of(data, size));
    while (reader_left(&in) && !in.failed) {
        uint8_t step = read_u8(&in);
        struct view v = read_bytes(&in, read_u16(&in));
        uint8_t *copy = mem_zalloc(v.len);
        if (v.len)
            memcpy(copy, v.ptr, v.len);
        act(&r, step, copy, v.len);
        mem_free(copy);
        struct relay_event e;
        while (relay_next(&r, &e))
            CHECK(e.type == RELAY_PROVE ? e.key_count > 0 : r.over);
        check_state(&r);
    }
    relay_fini(&r);
    sink_list_fini(&out[0]);
    sink_list_fini(&out[1]);
    return 0;
}
