/* However the bytes are cut, a server engine tells the same. The first byte is the size of a cut.
 */
#include "common/http/http1.h"
#include "tests/fuzz/common/http/cut.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOLD_MAX = 1 << 22 };

static void tell(struct buf *told, const struct http1_event *e)
{
    bool is_bytes = e->type == HTTP1_BODY || e->type == HTTP1_TUNNEL;
    if (!is_bytes || !e->bytes.len)
        IGNORE(buf_append_u8(told, (uint8_t)e->type), "TOLD_MAX is enough");
    IGNORE(buf_append(told, e->bytes), "TOLD_MAX is enough");
    if (e->type == HTTP1_FAILED)
        IGNORE(buf_append_str(told, e->text), "as above");
    if (!e->head)
        return;
    CHECK(e->head->method.len && e->head->target.len);
    IGNORE(buf_append(told, e->head->method), "as above");
    IGNORE(buf_append(told, e->head->authority), "as above");
    IGNORE(buf_append(told, e->head->path), "as above");
    IGNORE(fields_write(e->head->fields, told), "as above");
}

/* Answers at each END, as the request asks. */
static void turn(struct http1 *h, struct buf *told)
{
    struct http1_event e;
    while (http1_next(h, &e)) {
        tell(told, &e);
        if (e.type == HTTP1_END) {
            bool upgrade = h->head.upgrade;
            bool raw = upgrade && fields_has_token(h->head.fields, "Upgrade", "raw") &&
                       !view_eq_str(h->head.method, "HEAD");
            const struct http1_head head = {.status = upgrade && !raw ? 101 : 200, .tunnel = raw};
            CHECK(http1_send_head(h, &head) == OK);
            if (!http1_is_tunnel(h))
                CHECK(http1_send_end(h) == OK);
        }
        http1_sent(h, http1_output(h).len);
    }
}

static void run(struct view input, size_t piece, struct buf *told)
{
    struct http1 h;
    http1_init(&h, HTTP1_SERVER);
    while (input.len) {
        size_t n = http1_feed(&h, view_take(input, piece));
        input = view_skip(input, n);
        turn(&h, told);
        if (!n)
            break;
    }
    http1_feed_end(&h);
    turn(&h, told);
    CHECK(http1_should_close(&h) || http1_is_tunnel(&h));
    http1_fini(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return cut_both_ways(data, size, TOLD_MAX, run);
}
