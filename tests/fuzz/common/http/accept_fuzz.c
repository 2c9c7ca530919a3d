/* Each line is an Accept field. */
#include "common/base/check.h"
#include "common/http/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = view_of(data, size);
    struct view line;
    struct fields f = {0};
    while (view_next(&rest, '\n', &line)) {
        if (fields_add(&f, VIEW("Accept"), line) != OK)
            break;
    }
    enum accept_kind kind = accept_kind(&f);
    CHECK((kind == ACCEPT_NONE) == (f.count == 0));
    fields_fini(&f);
    return 0;
}
