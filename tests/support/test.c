#include "tests/support/test.h"

#include <stdlib.h>

#include "common/base/text.h"

enum { TEST_FILE_MAX = 64 << 20 };

void check_view_(struct view actual, struct view expected, const char *file, int line)
{
    if (view_eq(actual, expected))
        return;
    struct buf hex;
    buf_init(&hex, TEST_FILE_MAX);
    IGNORE(buf_printf(&hex, "%s:%d: got  (%zu) ", file, line, actual.len), "a message");
    IGNORE(text_printable(view_take(actual, 200), &hex), "a message");
    IGNORE(buf_append_str(&hex, " "), "a message");
    IGNORE(text_hex(view_take(actual, 200), &hex), "a message");
    IGNORE(buf_printf(&hex, "\nwanted (%zu) ", expected.len), "a message");
    IGNORE(text_printable(view_take(expected, 200), &hex), "a message");
    IGNORE(buf_append_str(&hex, " "), "a message");
    IGNORE(text_hex(view_take(expected, 200), &hex), "a message");
    char *text = buf_to_str(&hex);
    buf_fini(&hex);
    print_error("%s\n", text);
    free(text);
    fail();
}

/* Test inputs live as long as the program; the list keeps them reachable. */
static struct kept {
    struct kept *next;
    struct buf buf;
} * kept;

static struct buf *keep(void)
{
    struct kept *k = mem_zalloc(sizeof *k);
    buf_init(&k->buf, TEST_FILE_MAX);
    k->next = kept;
    kept = k;
    return &k->buf;
}

struct view test_hex(const char *hex)
{
    struct buf *digits = keep();
    struct buf *out = keep();
    for (; *hex; hex++) {
        if (*hex != ' ' && *hex != '\n' && *hex != ':')
            assert_int_equal(buf_append_u8(digits, (uint8_t)*hex), OK);
    }
    assert_int_equal(text_unhex(buf_view(digits), out), OK);
    return buf_view(out);
}

struct view test_file(const char *path)
{
    char *full = mem_printf("%s/%s", POSTERN_TEST_SOURCE, path);
    FILE *f = fopen(full, "rb");
    if (!f)
        fail_msg("cannot open %s", full);
    struct buf *out = keep();
    uint8_t *p;
    size_t n;
    do {
        assert_int_equal(buf_reserve(out, 65536, &p), OK);
        n = fread(p, 1, 65536, f);
        buf_commit(out, n);
    } while (n);
    (void)fclose(f);
    free(full);
    return buf_view(out);
}
