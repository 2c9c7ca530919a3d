/* A cookie that was removed is not found, and the others still are. */
#include "common/base/check.h"
#include "common/http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fields f = {0};
    struct view name;
    struct view value;
    size_t others = 0;
    size_t left = 0;
    if (fields_add(&f, VIEW("Cookie"), view_of(data, size)) != OK)
        return 0;
    struct view rest = fields_get(&f, "Cookie");
    while (cookie_next(&rest, &name, &value)) {
        CHECK(name.len > 0);
        others += !view_eq_str(name, "_p");
    }
    if (cookie_remove(&f, "_p") == OK) {
        CHECK(!cookie_get(&f, "_p").ptr);
        rest = fields_get(&f, "Cookie");
        while (cookie_next(&rest, &name, &value))
            left++;
        CHECK(left == others);
    }
    fields_fini(&f);
    return 0;
}
