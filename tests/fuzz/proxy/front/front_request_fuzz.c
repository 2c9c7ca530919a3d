/* Heads of HTTP/1 and what they are read as; the same fields once more as if by HTTP/2. */
#include "common/http/http1.h"
#include "tests/fuzz/proxy/front/front_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_head(const struct http1_head *h)
{
    struct request_head head = {.is_h2 = true,
                                .method = h->method,
                                .authority = h->authority,
                                .path = h->path,
                                .protocol = fields_get(h->fields, "Upgrade"),
                                .has_body = h->body != HTTP1_BODY_NONE,
                                .fields = h->fields};
    check_request(&head);
    head.is_h2 = false;
    head.protocol = VIEW("");
    head.upgrade = h->upgrade;
    check_head(&head, h->fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http1 h;
    struct http1_event e;
    http1_init(&h, HTTP1_SERVER);
    (void)http1_feed(&h, view_of(data, size));
    if (http1_next(&h, &e) && e.type == HTTP1_HEAD)
        read_head(e.head);
    http1_fini(&h);
    return 0;
}
