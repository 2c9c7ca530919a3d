/* What is parsed, written and parsed again is the same. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct form f = {0};
    struct form again = {0};
    struct buf text;
    if (form_parse(view_of(data, size), &f) != OK)
        return 0;
    buf_init(&text, FORM_BYTES_MAX);
    bool fits = true;
    for (size_t i = 0; i < f.count; i++) {
        AUTO_FREE char *name = mem_strndup(f.items[i].name.ptr, f.items[i].name.len);
        fits = fits && form_add(&text, name, f.items[i].value) == OK;
    }
    if (fits) {
        CHECK(form_parse(buf_view(&text), &again) == OK);
        CHECK(again.count == f.count);
        for (size_t i = 0; i < f.count; i++) {
            CHECK(view_eq(f.items[i].name, again.items[i].name));
            CHECK(view_eq(f.items[i].value, again.items[i].value));
        }
    }
    buf_fini(&text);
    form_fini(&f);
    form_fini(&again);
    return 0;
}
