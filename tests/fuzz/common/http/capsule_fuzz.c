/* However the bytes are cut, a decoder shows the same payloads; what is written is read back. The
 * first byte is the size of a cut. */
#include "common/http/capsule.h"
#include "tests/fuzz/common/http/cut.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOLD_MAX = 1 << 22 };

static void run(struct view input, size_t piece, struct buf *told)
{
    struct capsule_decoder d = {0};
    struct view payload;
    enum err e = ERR_MORE;
    while (input.len && e == ERR_MORE) {
        struct view part = view_take(input, piece);
        input = view_skip(input, part.len);
        while ((e = capsule_next(&d, &part, &payload)) == OK)
            CHECK(capsule_write(payload, told) == OK);
        CHECK(e != ERR_MORE || !part.len);
        CHECK(d.partial.len <= CAPSULE_PAYLOAD_MAX + 24);
    }
    bool whole = e == ERR_MORE && capsule_at_boundary(&d);
    CHECK(buf_printf(told, "%d %d %llu", e, whole, (unsigned long long)d.skipped) == OK);
    capsule_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return cut_both_ways(data, size, TOLD_MAX, run);
}
