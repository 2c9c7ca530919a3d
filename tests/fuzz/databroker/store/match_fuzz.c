/*
 * The query's reader of packed messages: first byte the kind of condition, second the length of
 * the searched text, then the text, then the message.
 */
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "databroker/store/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size - 2 < data[1])
        return 0;
    AUTO_FREE char *value = mem_strndup(data + 2, data[1]);
    text_lower_str(value);
    struct record_row r = {.type = "t", .id = "id"};
    r.data = view_of(data + 2 + data[1], size - 2 - data[1]);
    struct match m = {.kind = data[0] & 1 ? MATCH_TEXT : MATCH_FIELD, .value = value};
    m.path_len = (data[0] >> 1) % MATCH_PATH_MAX + 1;
    for (size_t i = 0; i < m.path_len; i++)
        m.path[i] = (uint32_t)(data[0] >> 3 >> i) % 5 + 1;
    bool once = match_row(&m, &r);
    CHECK(once == match_row(&m, &r));
    /* A string that is there is found by a search without regard to case as well. */
    if (once && m.kind == MATCH_FIELD && r.data.len < 16)
        CHECK(value[0] == 0 || r.data.len > strlen(value));
    return 0;
}
