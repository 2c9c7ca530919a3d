/* However the bytes are cut, a server engine tells the same. The first byte is the size of a cut.
 */
#include "common/base/check.h"
#include "common/http/http1.h"

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
            CHECK(http1_send_head(h, &(struct http1_head){.status = upgrade ? 101 : 200}) == OK);
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
    buf_init(told, TOLD_MAX);
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
    struct buf whole;
    struct buf pieces;
    if (size < 1)
        return 0;
    struct view input = view_of(data + 1, size - 1);
    run(input, SIZE_MAX, &whole);
    run(input, (size_t)data[0] + 1, &pieces);
    CHECK(view_eq(buf_view(&whole), buf_view(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
