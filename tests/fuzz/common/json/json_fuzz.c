/* What is parsed and written is parsed and written the same. */
#include "common/base/check.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 22 };

static void check_written(const struct json *v, enum json_order order)
{
    struct json *again = NULL;
    struct buf first;
    struct buf second;
    buf_init(&first, OUT_MAX);
    buf_init(&second, OUT_MAX);
    CHECK(json_write(v, order, &first) == OK);
    CHECK(json_parse(buf_view(&first), &again) == OK);
    CHECK(json_write(again, order, &second) == OK);
    CHECK(view_eq(buf_view(&first), buf_view(&second)));
    buf_fini(&first);
    buf_fini(&second);
    json_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *v = NULL;
    int64_t n;
    if (json_parse(view_of(data, size), &v) != OK)
        return 0;
    check_written(v, JSON_ORDER_INSERTED);
    check_written(v, JSON_ORDER_SORTED);
    for (struct json_iter i = json_iter(v); json_next(&i);)
        CHECK(json_member(v, i.name) == i.value);
    IGNORE(json_get_i64(v, "a.b.c", &n), "any outcome is fine");
    json_free(v);
    return 0;
}
