/* A connection of HTTP/2: what its heads (HPACK) are read as. */
#include "common/http/h2.h"
#include "tests/fuzz/proxy/front/front_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct h2 *h2, const struct h2_event *e)
{
    if (e->type == H2_BODY)
        h2_consume(h2, e->stream, e->bytes.len);
    if (e->type != H2_HEAD)
        return;
    const struct request_head head = {.is_h2 = true,
                                      .method = e->head->method,
                                      .authority = e->head->authority,
                                      .path = e->head->path,
                                      .protocol = e->head->protocol,
                                      .has_body = !e->head->end,
                                      .fields = e->head->fields};
    check_head(&head, e->head->fields);
    AUTO(fields_fini) struct fields f = {0};
    const struct h2_head answer = {.status = 404, .fields = &f, .end = true};
    if (h2_send_response(h2, e->stream, &answer) == OK)
        h2_reset(h2, e->stream, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct h2 *h2 = h2_new(H2_SERVER, 0);
    struct view rest = view_of(data, size);
    struct h2_event e;
    size_t n;
    do {
        n = h2_feed(h2, rest, 0);
        rest = view_skip(rest, n);
        while (h2_next(h2, &e))
            take(h2, &e);
        h2_sent(h2, h2_output(h2).len);
    } while (n && rest.len);
    h2_free(h2);
    return 0;
}
