/* What is told of bytes is the same however they are cut. */
#ifndef TESTS_FUZZ_COMMON_HTTP_CUT_H
#define TESTS_FUZZ_COMMON_HTTP_CUT_H

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/view.h"

/* Feeds `input` in pieces of up to `piece` bytes and appends what is told. */
typedef void (*cut_fn)(struct view input, size_t piece, struct buf *told);

/* The first byte is the size of a cut. */
static inline int cut_both_ways(const uint8_t *data, size_t size, size_t told_max, cut_fn run)
{
    struct buf whole;
    struct buf pieces;
    if (size < 1)
        return 0;
    struct view input = view_of(data + 1, size - 1);
    buf_init(&whole, told_max);
    buf_init(&pieces, told_max);
    run(input, SIZE_MAX, &whole);
    run(input, (size_t)data[0] + 1, &pieces);
    CHECK(view_eq(buf_view(&whole), buf_view(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}

#endif
