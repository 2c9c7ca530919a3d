/*
 * A relay between two lists: what a peer sends is fed, what the other gets is expected. Header
 * only, since not every test links proxy/ssh.
 */
#ifndef TESTS_SUPPORT_RELAY_H
#define TESTS_SUPPORT_RELAY_H

#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/relay.h"
#include "tests/support/sink.h"
#include "tests/support/test.h"

#define C RELAY_CLIENT
#define T RELAY_TARGET

struct fixture {
    struct sink_list out[2];
    struct relay r;
    struct buf b;
    struct view keys[2];
};

static inline struct relay_config config_of(struct fixture *f)
{
    return (struct relay_config){
        .out = {{sink_list_send, &f->out[C]}, {sink_list_send, &f->out[T]}},
        .host_keys = f->keys,
        .host_key_count = ARRAY_LEN(f->keys),
    };
}

static inline int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    (void)sink_list_init(&f->out[C]);
    (void)sink_list_init(&f->out[T]);
    f->keys[0] = VIEW("key zero");
    f->keys[1] = VIEW("key one");
    struct relay_config c = config_of(f);
    relay_init(&f->r, &c);
    buf_init(&f->b, 1 << 20);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    relay_fini(&f->r);
    sink_list_fini(&f->out[C]);
    sink_list_fini(&f->out[T]);
    buf_fini(&f->b);
    mem_free(f);
    return 0;
}

/* --- packets --- */

static inline struct writer begin(struct fixture *f, uint8_t type)
{
    buf_clear(&f->b);
    struct writer w = writer_to(&f->b);
    write_u8(&w, type);
    return w;
}

/* In memory of exactly its size, so that a read or write behind it is seen. */
static inline void feed_err(struct fixture *f, enum relay_side from, enum err expected)
{
    size_t len = f->b.len;
    uint8_t *p = mem_zalloc(len);
    memcpy(p, buf_ptr(&f->b), len);
    CHECK_ERR(relay_feed(&f->r, from, p, len), expected);
    mem_free(p);
}

static inline void feed(struct fixture *f, enum relay_side from)
{
    feed_err(f, from, OK);
}

static inline void open_channel(struct fixture *f, enum relay_side from, const char *type,
                                uint32_t sender, uint32_t window)
{
    struct writer w = begin(f, MSG_CHANNEL_OPEN);
    write_cstring(&w, type);
    write_u32(&w, sender);
    write_u32(&w, window);
    write_u32(&w, 32768);
    write_bytes(&w, VIEW("more"));
    feed(f, from);
}

static inline void confirm(struct fixture *f, enum relay_side from, uint32_t recipient,
                           uint32_t sender, uint32_t window)
{
    struct writer w = begin(f, MSG_CHANNEL_OPEN_CONFIRMATION);
    write_u32(&w, recipient);
    write_u32(&w, sender);
    write_u32(&w, window);
    write_u32(&w, 16384);
    feed(f, from);
}

static inline void data(struct fixture *f, enum relay_side from, uint32_t channel, size_t n)
{
    struct writer w = begin(f, MSG_CHANNEL_DATA);
    write_u32(&w, channel);
    write_u32(&w, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        write_u8(&w, (uint8_t)i);
    feed(f, from);
}

static inline void adjust(struct fixture *f, enum relay_side from, uint32_t channel, uint32_t n)
{
    struct writer w = begin(f, MSG_CHANNEL_WINDOW_ADJUST);
    write_u32(&w, channel);
    write_u32(&w, n);
    feed(f, from);
}

static inline void shortly(struct fixture *f, enum relay_side from, uint8_t type, uint32_t channel)
{
    struct writer w = begin(f, type);
    write_u32(&w, channel);
    feed(f, from);
}

static inline void channel_request(struct fixture *f, enum relay_side from, uint32_t channel,
                                   const char *name, bool want)
{
    struct writer w = begin(f, MSG_CHANNEL_REQUEST);
    write_u32(&w, channel);
    write_cstring(&w, name);
    write_bool(&w, want);
    write_bytes(&w, VIEW("opaque"));
    feed(f, from);
}

static inline void global(struct fixture *f, enum relay_side from, const char *name, bool want)
{
    struct writer w = begin(f, MSG_GLOBAL_REQUEST);
    write_cstring(&w, name);
    write_bool(&w, want);
    feed(f, from);
}

static inline void reply(struct fixture *f, enum relay_side from, uint8_t type, const char *extra)
{
    struct writer w = begin(f, type);
    write_bytes(&w, view_str(extra));
    feed(f, from);
}

/* --- expectations --- */

/* Type and channel number of the next packet for the side; the reader is behind them. */
static inline struct reader expect(struct fixture *f, enum relay_side to, uint8_t type,
                                   uint32_t channel)
{
    struct view p = sink_list_next(&f->out[to]);
    struct reader r = reader_of(p);
    assert_int_equal(read_u8(&r), type);
    assert_int_equal(read_u32(&r), channel);
    CHECK_OK(reader_ok(&r));
    return r;
}

static inline void expect_plain(struct fixture *f, enum relay_side to, uint8_t type,
                                struct view extra)
{
    struct view p = sink_list_next(&f->out[to]);
    assert_true(p.len > 0);
    assert_int_equal(p.ptr[0], type);
    CHECK_VIEW(view_skip(p, 1), extra);
}

static inline void expect_adjust(struct fixture *f, enum relay_side to, uint32_t channel,
                                 uint32_t n)
{
    struct reader r = expect(f, to, MSG_CHANNEL_WINDOW_ADJUST, channel);
    assert_int_equal(read_u32(&r), n);
    CHECK_OK(reader_done(&r));
}

static inline void expect_line(struct fixture *f, uint32_t channel, const char *line)
{
    struct reader r = expect(f, C, MSG_CHANNEL_EXTENDED_DATA, channel);
    assert_int_equal(read_u32(&r), MSG_EXTENDED_STDERR);
    CHECK_VIEW_STR(read_string(&r), line);
    CHECK_OK(reader_done(&r));
}

static inline void expect_debug(struct fixture *f, const char *line)
{
    struct reader r = reader_of(sink_list_next(&f->out[C]));
    assert_int_equal(read_u8(&r), MSG_DEBUG);
    assert_true(read_bool(&r));
    CHECK_VIEW_STR(read_string(&r), line);
    CHECK_VIEW_STR(read_string(&r), "");
    CHECK_OK(reader_done(&r));
}

static inline void expect_nothing(struct fixture *f)
{
    struct relay_event e;
    assert_int_equal(f->out[C].count, 0);
    assert_int_equal(f->out[T].count, 0);
    assert_false(relay_next(&f->r, &e));
}

static inline void expect_disconnect(struct fixture *f, enum relay_side side, uint32_t reason)
{
    struct relay_event e;
    assert_true(relay_next(&f->r, &e));
    assert_int_equal(e.type, RELAY_DISCONNECT);
    assert_int_equal(e.side, side);
    assert_int_equal(e.reason, reason);
    assert_true(e.text.len > 0);
    assert_false(e.cut);
    expect_nothing(f);
}

/* A session that the client calls 100 and the target 200; number 0 here. */
static inline void open_session(struct fixture *f, uint32_t client_window, uint32_t target_window)
{
    open_channel(f, C, "session", 100, client_window);
    (void)expect(f, T, MSG_CHANNEL_OPEN, 7); /* the length of "session" */
    confirm(f, T, 0, 200, target_window);
    (void)expect(f, C, MSG_CHANNEL_OPEN_CONFIRMATION, 100);
    expect_nothing(f);
}

static inline void prove(struct fixture *f, struct view key)
{
    struct writer w = begin(f, MSG_GLOBAL_REQUEST);
    write_cstring(&w, "hostkeys-prove-00@openssh.com");
    write_bool(&w, true);
    write_string(&w, key);
    feed(f, C);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
