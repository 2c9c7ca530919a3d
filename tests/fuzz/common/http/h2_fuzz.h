/* An engine against a peer's bytes, to the end of the connection. */
#ifndef TESTS_FUZZ_COMMON_HTTP_H2_FUZZ_H
#define TESTS_FUZZ_COMMON_HTTP_H2_FUZZ_H

#include "common/http/h2.h"
#include "tests/fuzz/common/http/cut.h"

/* Takes the events that are there. */
typedef void (*h2_turn_fn)(struct h2 *h, struct buf *told);

static inline void h2_run(struct h2 *h, struct view input, size_t piece, struct buf *told,
                          h2_turn_fn turn)
{
    while (input.len) {
        size_t n = h2_feed(h, view_take(input, piece), 1);
        input = view_skip(input, n);
        turn(h, told);
        if (!n)
            break;
    }
    h2_feed_end(h);
    turn(h, told);
    CHECK(h2_count(h) == 0 && h2_should_close(h));
    h2_free(h);
}

#endif
