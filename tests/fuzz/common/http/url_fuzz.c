/* What is parsed is written the same way; what is encoded is decoded to itself. */
#include "common/base/check.h"
#include "common/http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 20 };

static void check_authority(const struct authority *a)
{
    struct buf text;
    struct authority again;
    buf_init(&text, OUT_MAX);
    CHECK(authority_write(a, &text) == OK);
    CHECK(authority_parse(buf_view(&text), &again) == OK);
    CHECK(again.port == a->port && again.is_ipv6 == a->is_ipv6);
    CHECK(view_eq_case(again.host, a->host));
    CHECK(authority_is_loopback(&again) == authority_is_loopback(a));
    buf_fini(&text);
}

static void check_origin(const struct url *u)
{
    struct buf text;
    buf_init(&text, OUT_MAX);
    CHECK(url_write_origin(u, &text) == OK);
    CHECK(url_has_origin(u, buf_view(&text)));
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view input = view_of(data, size);
    struct url u;
    struct authority a;
    struct buf out;
    struct buf back;
    buf_init(&out, OUT_MAX);
    buf_init(&back, OUT_MAX);
    if (url_parse(input, &u) == OK) {
        check_authority(&u.authority);
        check_origin(&u);
        CHECK(!u.path.len || u.path.ptr[0] == '/');
    }
    if (authority_parse(input, &a) == OK)
        check_authority(&a);
    if (url_is_local_path(input))
        CHECK(data[0] == '/' && (size < 2 || (data[1] != '/' && data[1] != '\\')));
    if (size < OUT_MAX / 3) {
        CHECK(url_encode(input, &out) == OK);
        CHECK(url_decode(buf_view(&out), &back) == OK);
        CHECK(view_eq(buf_view(&back), input));
        IGNORE(url_decode(input, &back), "any outcome is fine");
    }
    buf_fini(&out);
    buf_fini(&back);
    return 0;
}
