/* A file of tzdata: whatever it says, an offset holds until the moment that is told. */
#include "authorize/policy/zone.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {0, 1700000000, 4102444800, 253402300799, -2000000000};
    struct zone *z = NULL;
    if (zone_parse(view_of(data, size), &z) != OK)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        int64_t until;
        int64_t later;
        int32_t offset = zone_offset(z, times[i], &until);
        CHECK(until > times[i]);
        CHECK(offset > -200 * 3600 && offset < 200 * 3600);
        if (until != INT64_MAX)
            CHECK(zone_offset(z, until - 1, &later) == offset && later == until);
    }
    zone_free(z);
    return 0;
}
