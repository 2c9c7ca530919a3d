/* However the bytes are cut, a server engine tells and answers the same, and it keeps its limits.
 * The first byte is the size of a cut. */
#include "tests/fuzz/common/http/h2_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOLD_MAX = 1 << 24, MEMORY_MAX = 1 << 20 };

static void tell(struct buf *told, const struct h2_event *e)
{
    /* Whether a stream or the connection fails first depends on the cut: the order and the codes
     * of RESETs do. */
    if (e->type != H2_BODY && e->type != H2_RESET)
        CHECK(buf_printf(told, "\n%u %d ", e->stream, e->type) == OK);
    CHECK(buf_append(told, e->bytes) == OK);
    if (!e->head)
        return;
    CHECK(e->head->method.len && e->head->authority.len);
    CHECK(buf_append(told, e->head->method) == OK);
    CHECK(buf_append(told, e->head->authority) == OK);
    CHECK(buf_append(told, e->head->path) == OK);
    CHECK(fields_write(e->head->fields, told) == OK);
}

/* CONNECT is echoed, everything else answered at once; some are reset early. */
static void answer(struct h2 *h, const struct h2_event *e)
{
    bool is_connect = e->head && view_eq_str(e->head->method, "CONNECT");
    const struct h2_head ok = {.status = 200, .end = !is_connect};
    if (e->type == H2_HEAD) {
        h2_set_owner(h, e->stream, h);
        CHECK(h2_send_response(h, e->stream, &ok) == OK);
        if (!is_connect && !e->head->end)
            h2_reset(h, e->stream, 0);
        if (e->stream % 16 == 15)
            h2_reset(h, e->stream, 8);
    }
    if (e->type == H2_BODY) {
        if (e->bytes.len <= h2_writable(h, e->stream))
            CHECK(h2_send_body(h, e->stream, e->bytes) == OK);
        h2_consume(h, e->stream, e->bytes.len);
    }
    if (e->type == H2_END && h2_writable(h, e->stream))
        CHECK(h2_send_end(h, e->stream) == OK);
}

static void turn(struct h2 *h, struct buf *told)
{
    struct h2_event e;
    while (h2_next(h, &e)) {
        tell(told, &e);
        answer(h, &e);
        CHECK(h2_count(h) <= H2_STREAMS_MAX);
        CHECK(e.type == H2_FAILED || !e.text);
        /* At once, so that a cut between two frames changes nothing. */
        CHECK(h2_output(h).len < MEMORY_MAX);
        h2_sent(h, h2_output(h).len);
    }
    h2_sent(h, h2_output(h).len);
}

static void run(struct view input, size_t piece, struct buf *told)
{
    struct h2 *h = h2_new(H2_SERVER, 1);
    h2_run(h, input, piece, told, turn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return cut_both_ways(data, size, TOLD_MAX, run);
}
