/*
 * However the bytes are cut, a client engine tells the same. The first byte is the size of a cut,
 * the second chooses the request.
 */
#include "common/base/check.h"
#include "common/http/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOLD_MAX = 1 << 22 };

static void send_request(struct http1 *h, unsigned kind)
{
    static const char *const methods[] = {"GET", "HEAD", "CONNECT", "GET"};
    struct fields fields = {0};
    CHECK(fields_add_str(&fields, "Host", "a") == OK);
    if (kind == 3)
        CHECK(fields_add_str(&fields, "Upgrade", "x") == OK);
    CHECK(http1_send_head(h, &(struct http1_head){.method = view_str(methods[kind]),
                                                  .target = kind == 2 ? VIEW("a:1") : VIEW("/"),
                                                  .fields = &fields}) == OK);
    CHECK(http1_send_end(h) == OK);
    http1_sent(h, http1_output(h).len);
    fields_fini(&fields);
}

static void turn(struct http1 *h, struct buf *told)
{
    struct http1_event e;
    while (http1_next(h, &e)) {
        bool is_bytes = e.type == HTTP1_BODY || e.type == HTTP1_TUNNEL;
        if (!is_bytes || !e.bytes.len)
            IGNORE(buf_append_u8(told, (uint8_t)e.type), "TOLD_MAX is enough");
        IGNORE(buf_append(told, e.bytes), "as above");
        if (e.head)
            IGNORE(fields_write(e.head->fields, told), "as above");
        if (e.type == HTTP1_FAILED)
            IGNORE(buf_append_str(told, e.text), "as above");
    }
}

static void run(struct view input, size_t piece, unsigned kind, struct buf *told)
{
    struct http1 h;
    http1_init(&h, HTTP1_CLIENT);
    buf_init(told, TOLD_MAX);
    send_request(&h, kind);
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
    if (size < 2)
        return 0;
    struct view input = view_of(data + 2, size - 2);
    size_t piece = (size_t)data[0] + 1;
    unsigned kind = data[1] & 3;
    run(input, SIZE_MAX, kind, &whole);
    run(input, piece, kind, &pieces);
    CHECK(view_eq(buf_view(&whole), buf_view(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
