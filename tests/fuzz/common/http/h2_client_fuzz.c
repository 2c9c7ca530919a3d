/* A client engine with three streams against a server's bytes, cut in two ways. */
#include "tests/fuzz/common/http/h2_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOLD_MAX = 1 << 24 };

static void turn(struct h2 *h, struct buf *told)
{
    struct h2_event e;
    while (h2_next(h, &e)) {
        /* Whether a stream or the connection fails first depends on the cut: the order and the
         * codes of RESETs do. */
        if (e.type != H2_BODY && e.type != H2_RESET)
            CHECK(buf_printf(told, "\n%u %d ", e.stream, e.type) == OK);
        CHECK(buf_append(told, e.bytes) == OK);
        if (e.head) {
            CHECK(e.head->status >= 200 && e.head->status <= 599);
            CHECK(fields_write(e.head->fields, told) == OK);
        }
        if (e.type == H2_BODY)
            h2_consume(h, e.stream, e.bytes.len);
        if (e.type == H2_END && h2_writable(h, e.stream))
            CHECK(h2_send_end(h, e.stream) == OK);
        /* At once, so that a cut between two frames changes nothing. */
        h2_sent(h, h2_output(h).len);
    }
    h2_sent(h, h2_output(h).len);
}

static void begin(struct h2 *h)
{
    uint32_t id;
    const struct h2_head connect = {.method = VIEW("CONNECT"), .authority = VIEW("a:1")};
    const struct h2_head get = {.method = VIEW("GET"),
                                .scheme = VIEW("https"),
                                .authority = VIEW("a"),
                                .path = VIEW("/"),
                                .end = true};
    CHECK(h2_send_request(h, &connect, &id) == OK && h2_send_body(h, id, VIEW("x")) == OK);
    CHECK(h2_send_request(h, &get, &id) == OK);
    CHECK(h2_send_request(h, &connect, &id) == OK && h2_send_end(h, id) == OK);
    h2_sent(h, h2_output(h).len);
}

static void run(struct view input, size_t piece, struct buf *told)
{
    struct h2 *h = h2_new(H2_CLIENT, 1);
    begin(h);
    h2_run(h, input, piece, told, turn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return cut_both_ways(data, size, TOLD_MAX, run);
}
