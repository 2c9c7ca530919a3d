#include "proxy/supervisor/worker_frame.h"

#include "tests/support/test.h"

static void put(struct buf *out, enum worker_frame_type type, uint32_t id, const char *body)
{
    const struct worker_frame f = {.type = type, .id = id, .body = view_str(body)};
    CHECK_OK(worker_frame_write(&f, out));
}

static void check_next(struct worker_frames *f, enum worker_frame_type type, uint32_t id,
                       const char *body)
{
    struct worker_frame frame;
    CHECK_OK(worker_frames_next(f, &frame));
    assert_int_equal(frame.type, type);
    assert_int_equal(frame.id, id);
    CHECK_VIEW_STR(frame.body, body);
}

static void test_bytes(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 100);
    put(&out, WORKER_FRAME_SIGNED, 0x01020304, "ab");
    CHECK_VIEW(buf_view(&out), test_hex("00000007 05 01020304 6162"));
    buf_clear(&out);
    put(&out, WORKER_FRAME_STATUS, 0, "");
    CHECK_VIEW(buf_view(&out), test_hex("00000005 06 00000000"));
    buf_clear(&out);
    put(&out, WORKER_FRAME_METRICS, 0, "");
    CHECK_VIEW(buf_view(&out), test_hex("00000005 07 00000000"));
}

/* Three frames, cut at every place, and byte by byte. */
static void test_split_points(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf all;
    buf_init(&all, 1000);
    put(&all, WORKER_FRAME_CONFIG, 0, "configuration");
    put(&all, WORKER_FRAME_SIGN_TLS, 7, "");
    put(&all, WORKER_FRAME_SIGN_KEX, 0xffffffff, "x");
    for (size_t cut = 0; cut <= all.len; cut++) {
        struct worker_frames f;
        struct worker_frame frame;
        int seen = 0;
        worker_frames_init(&f);
        CHECK_OK(worker_frames_feed(&f, view_take(buf_view(&all), cut)));
        while (worker_frames_next(&f, &frame) == OK)
            seen++;
        assert_true(worker_frames_room(&f) > 0);
        CHECK_OK(worker_frames_feed(&f, view_skip(buf_view(&all), cut)));
        while (worker_frames_next(&f, &frame) == OK)
            seen++;
        assert_int_equal(seen, 3);
        CHECK_ERR(worker_frames_next(&f, &frame), ERR_MORE);
        worker_frames_fini(&f);
    }
    struct worker_frames f;
    worker_frames_init(&f);
    for (size_t i = 0; i < all.len; i++) {
        CHECK_OK(worker_frames_feed(&f, view_of(buf_ptr(&all) + i, 1)));
        if (i == 9 + 13 - 1)
            check_next(&f, WORKER_FRAME_CONFIG, 0, "configuration");
        else if (i == 9 + 13 + 9 - 1)
            check_next(&f, WORKER_FRAME_SIGN_TLS, 7, "");
        else if (i == all.len - 1)
            check_next(&f, WORKER_FRAME_SIGN_KEX, 0xffffffff, "x");
        else
            CHECK_ERR(worker_frames_next(&f, &(struct worker_frame){0}), ERR_MORE);
    }
    worker_frames_fini(&f);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum err err;
    } rows[] = {
        {"00000004 01 00000000", ERR_PROTOCOL},
        {"00000000", ERR_PROTOCOL},
        {"00100001", ERR_LIMIT},
        {"ffffffff", ERR_LIMIT},
        {"00000005 00 00000000", ERR_PROTOCOL},
        {"00000005 08 00000000", ERR_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct worker_frames f;
        struct worker_frame frame;
        worker_frames_init(&f);
        CHECK_OK(worker_frames_feed(&f, test_hex(rows[i].hex)));
        CHECK_ERR(worker_frames_next(&f, &frame), rows[i].err);
        /* It stays so. */
        CHECK_ERR(worker_frames_next(&f, &frame), ERR_PROTOCOL);
        CHECK_ERR(worker_frames_feed(&f, VIEW("x")), ERR_STATE);
        assert_int_equal(worker_frames_room(&f), 0);
        worker_frames_fini(&f);
    }
}

static void test_largest(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 4 << 20);
    char *body = mem_zalloc(WORKER_FRAME_BODY_MAX + 1);
    struct worker_frame frame = {.type = WORKER_FRAME_CONFIG,
                                 .body = view_of(body, WORKER_FRAME_BODY_MAX + 1)};
    CHECK_ERR(worker_frame_write(&frame, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    frame.body.len--;
    CHECK_OK(worker_frame_write(&frame, &out));
    CHECK_OK(worker_frame_write(&frame, &out));
    struct worker_frames f;
    worker_frames_init(&f);
    struct view rest = buf_view(&out);
    int seen = 0;
    while (rest.len) {
        struct view part = view_take(rest, worker_frames_room(&f));
        assert_true(part.len > 0);
        CHECK_OK(worker_frames_feed(&f, part));
        rest = view_skip(rest, part.len);
        while (worker_frames_next(&f, &frame) == OK) {
            assert_int_equal(frame.body.len, WORKER_FRAME_BODY_MAX);
            seen++;
        }
    }
    assert_int_equal(seen, 2);
    worker_frames_fini(&f);
    struct buf small;
    buf_init(&small, 10);
    const struct worker_frame two = {.type = WORKER_FRAME_CONFIG, .body = VIEW("ab")};
    CHECK_ERR(worker_frame_write(&two, &small), ERR_LIMIT);
    assert_int_equal(small.len, 0);
    mem_free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_split_points),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_largest),
    };
    return RUN(tests);
}
