#include "common/http/capsule.h"

#include "tests/support/test.h"

/* What a decoder tells of a stream, as text: the same however the bytes were cut. */
static char *run(struct view input, size_t first, size_t piece)
{
    struct capsule_decoder d = {0};
    struct buf told;
    struct view payload;
    buf_init(&told, 1 << 20);
    enum err e = ERR_MORE;
    for (size_t n = first; input.len && e == ERR_MORE; n = piece) {
        struct view part = view_take(input, n);
        input = view_skip(input, part.len);
        while ((e = capsule_next(&d, &part, &payload)) == OK) {
            CHECK_OK(buf_append_u8(&told, '<'));
            CHECK_OK(buf_append(&told, payload));
            CHECK_OK(buf_append_u8(&told, '>'));
        }
        if (e == ERR_MORE)
            assert_int_equal(part.len, 0);
    }
    CHECK_OK(buf_printf(&told, "%s skipped=%llu%s", e == ERR_MORE ? "" : err_name(e),
                        (unsigned long long)d.skipped,
                        e == ERR_MORE && !capsule_at_boundary(&d) ? " cut" : ""));
    char *text = buf_to_str(&told);
    buf_fini(&told);
    capsule_fini(&d);
    return text;
}

static const struct {
    const char *hex;
    const char *expected;
} rows[] = {
    {"", " skipped=0"},
    {"00 03 00 61 62", "<ab> skipped=0"},
    {"00 01 00", "<> skipped=0"},
    {"00 02 00 61  00 01 00  00 02 00 62", "<a><><b> skipped=0"},
    /* RFC 9000 §16: longer than needed is the same value */
    {"40 00 40 03 00 61 62", "<ab> skipped=0"},
    {"80 00 00 00 80 00 00 05 40 00 61 62 63", "<abc> skipped=0"},
    {"c0 00 00 00 00 00 00 00 c0 00 00 00 00 00 00 09 c0 00 00 00 00 00 00 00 61", "<a> skipped=0"},
    /* other types and contexts */
    {"17 03 61 62 63  00 02 00 61", "<a> skipped=1"},
    {"17 00  00 02 00 61", "<a> skipped=1"},
    {"ff ff ff ff ff ff ff ff 02 00 00  00 02 00 61", "<a> skipped=1"},
    {"00 03 02 61 62  00 02 00 63", "<c> skipped=1"},
    {"00 05 ff ff ff ff ff 00", "SYNTAX skipped=0"},
    {"00 09 ff ff ff ff ff ff ff ff 00  00 02 00 63", "<c> skipped=1"},
    {"00 08 ff ff ff ff ff ff ff ff  00 02 00 63", "<c> skipped=1"},
    /* lengths of 2^62 - 1 are skipped without being stored */
    {"01 ff ff ff ff ff ff ff ff 00 02 00 61", " skipped=1 cut"},
    {"00 ff ff ff ff ff ff ff ff 01 02 00 61", " skipped=1 cut"},
    /* malformed */
    {"00 00", "SYNTAX skipped=0"},
    {"00 02 00 61 00 01 40", "<a>SYNTAX skipped=0"},
    {"00 03 80 00 00", "SYNTAX skipped=0"},
    {"00 ff ff ff ff ff ff ff ff 00", "LIMIT skipped=0"},
    {"00 80 00 ff f9 00", "LIMIT skipped=0"},
    {"00 80 00 ff fa 40 00", "LIMIT skipped=0"},
    /* cut */
    {"00", " skipped=0 cut"},
    {"00 40", " skipped=0 cut"},
    {"00 03", " skipped=0 cut"},
    {"00 03 00 61", " skipped=0 cut"},
    {"00 02 00 61 c0", "<a> skipped=0 cut"},
    {"17 03 61", " skipped=1 cut"},
};

static void test_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct view input = test_hex(rows[i].hex);
        for (size_t at = 0; at <= input.len; at++) {
            AUTO_FREE char *got = run(input, at, SIZE_MAX);
            assert_string_equal(got, rows[i].expected);
        }
        AUTO_FREE char *got = run(input, 1, 1);
        assert_string_equal(got, rows[i].expected);
    }
}

/* The largest payload, with the longest context; in one piece and in small ones. */
static void test_largest(void **state)
{
    (void)state;
    static uint8_t block[CAPSULE_PAYLOAD_MAX];
    struct buf stream;
    buf_init(&stream, 1 << 20);
    memset(block, 'x', sizeof block);
    CHECK_OK(capsule_write(view_of(block, sizeof block), &stream));
    CHECK_OK(buf_append(&stream, test_hex("00 80 00 ff ff c0 00 00 00 00 00 00 00")));
    CHECK_OK(buf_append(&stream, view_of(block, sizeof block)));
    static const size_t pieces[] = {SIZE_MAX, 1, 7, 1500, 16384, 65530};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct capsule_decoder d = {0};
        struct view rest = buf_view(&stream);
        struct view payload;
        size_t payloads = 0;
        while (rest.len) {
            struct view part = view_take(rest, pieces[i]);
            rest = view_skip(rest, part.len);
            while (capsule_next(&d, &part, &payload) == OK) {
                CHECK_VIEW(payload, view_of(block, sizeof block));
                payloads++;
            }
            assert_true(d.partial.cap <= CAPSULE_PAYLOAD_MAX + 24);
        }
        assert_int_equal(payloads, 2);
        assert_true(capsule_at_boundary(&d));
        capsule_fini(&d);
    }
    buf_fini(&stream);
}

/* What is skipped costs no memory, however long it is. */
static void test_skip_stores_nothing(void **state)
{
    (void)state;
    static uint8_t block[65536];
    struct capsule_decoder d = {0};
    struct view in = test_hex("29 c0 00 00 00 40 00 00 00");
    struct view payload;
    CHECK_ERR(capsule_next(&d, &in, &payload), ERR_MORE);
    for (size_t i = 0; i < (1U << 30) / sizeof block; i++) {
        in = view_of(block, sizeof block);
        CHECK_ERR(capsule_next(&d, &in, &payload), ERR_MORE);
    }
    assert_int_equal(d.partial.cap, 0);
    assert_true(capsule_at_boundary(&d));
    in = test_hex("00 02 00 61");
    CHECK_OK(capsule_next(&d, &in, &payload));
    CHECK_VIEW_STR(payload, "a");
    capsule_fini(&d);
}

static void test_write(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        const char *header;
    } cases[] = {
        {0, "00 01 00"},
        {62, "00 3f 00"},
        {63, "00 40 40 00"},
        {16382, "00 7f ff 00"},
        {16383, "00 80 00 40 00 00"},
        {CAPSULE_PAYLOAD_MAX, "00 80 00 ff f8 00"},
    };
    static uint8_t block[CAPSULE_PAYLOAD_MAX + 1];
    uint8_t header[CAPSULE_DATAGRAM_OVERHEAD];
    struct buf out;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = capsule_write_header(cases[i].len, header);
        CHECK_VIEW(view_of(header, n), test_hex(cases[i].header));
        buf_init(&out, n + cases[i].len);
        CHECK_OK(capsule_write(view_of(block, cases[i].len), &out));
        assert_int_equal(out.len, n + cases[i].len);
        CHECK_ERR(capsule_write(VIEW(""), &out), ERR_LIMIT);
        assert_int_equal(out.len, n + cases[i].len);
        buf_fini(&out);
    }
    buf_init(&out, SIZE_MAX);
    CHECK_ERR(capsule_write(view_of(block, sizeof block), &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_skip_stores_nothing),
        cmocka_unit_test(test_write),
    };
    return RUN(tests);
}
