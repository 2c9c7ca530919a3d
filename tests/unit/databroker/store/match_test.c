#include "tests/support/test.h"

#include "databroker/store/match.h"

/* 1: "Alice", 2: {3: "Web Server" 4: {1: "deep"}}, 5: varint, 6: fixed32, 7: fixed64, 8: bytes. */
static const char message[] = "0a 05 41 6c 69 63 65"
                              "12 12 1a 0a 57 65 62 20 53 65 72 76 65 72 22 04 0a 02 64 70"
                              "28 96 01 35 01 02 03 04 39 01 02 03 04 05 06 07 08 42 02 00 01";

static struct record_row row(void)
{
    return (struct record_row){.id = "id-1", .type = "t", .data = test_hex(message)};
}

static bool has(enum match_kind kind, const char *value)
{
    struct match m = {.kind = kind, .value = (char *)(uintptr_t)value};
    struct record_row r = row();
    return match_row(&m, &r);
}

static bool field(const char *value, uint32_t a, uint32_t b, uint32_t c)
{
    struct match m = {.kind = MATCH_FIELD, .path = {a, b, c}, .value = (char *)(uintptr_t)value};
    m.path_len = c ? 3 : b ? 2 : 1;
    struct record_row r = row();
    return match_row(&m, &r);
}

static void test_text(void **state)
{
    (void)state;
    assert_true(has(MATCH_TEXT, "alice"));
    assert_true(has(MATCH_TEXT, "lic"));
    assert_true(has(MATCH_TEXT, ""));
    assert_true(has(MATCH_TEXT, "web s"));
    assert_true(has(MATCH_TEXT, "dp"));
    assert_true(has(MATCH_TEXT, "id-1"));
    assert_false(has(MATCH_TEXT, "bob"));
    assert_false(has(MATCH_TEXT, "alicew"));
}

static void test_fields(void **state)
{
    (void)state;
    assert_true(has(MATCH_ID, "id-1"));
    assert_false(has(MATCH_ID, "id-2"));
    assert_true(field("Alice", 1, 0, 0));
    assert_false(field("alice", 1, 0, 0));
    assert_false(field("Alice", 2, 0, 0));
    assert_true(field("Web Server", 2, 3, 0));
    assert_true(field("dp", 2, 4, 1));
    assert_false(field("dp", 2, 4, 2));
    assert_false(field("", 5, 0, 0));
}

static void test_tree(void **state)
{
    (void)state;
    struct record_row r = row();
    struct match all = {.kind = MATCH_ALL};
    struct match any = {.kind = MATCH_ANY};
    assert_true(match_row(&all, &r));
    assert_false(match_row(&any, &r));
    for (int i = 0; i < 2; i++) {
        const char *id = i ? "id-2" : "id-1";
        *match_add(&all) = (struct match){.kind = MATCH_ID, .value = mem_strdup(id)};
        *match_add(&any) = (struct match){.kind = MATCH_ID, .value = mem_strdup(id)};
        assert_true(match_row(&any, &r));
        assert_int_equal(match_row(&all, &r), i == 0);
    }
    match_fini(&all);
    match_fini(&any);
}

/* Cut anywhere, the message is read as far as it goes and never beyond. */
static void test_cut(void **state)
{
    (void)state;
    struct view whole = test_hex(message);
    for (size_t n = 0; n <= whole.len; n++) {
        uint8_t *copy = mem_zalloc(n);
        memcpy(copy, whole.ptr, n);
        struct record_row r = {.id = "x", .type = "t", .data = view_of(copy, n)};
        struct match m = {.kind = MATCH_TEXT, .value = (char *)(uintptr_t) "alice"};
        assert_int_equal(match_row(&m, &r), n >= 7);
        m.value = (char *)(uintptr_t) "zzz";
        assert_false(match_row(&m, &r));
        mem_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_cut),
    };
    return RUN(tests);
}
