/* Nothing is believed but what the key signed, and that is what it was. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/jose/signed_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1000000000 };

static const struct view key = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32};
static const struct view other = {(const uint8_t *)"fedcba9876543210fedcba9876543210", 32};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view got = {0};
    struct view none = {0};
    AUTO(buf_fini) struct buf made;
    enum err e = signed_url_verify(key, none, view_of(data, size), NOW, &got);
    CHECK(e != OK || (got.ptr == data && got.len < size));
    buf_init(&made, SIGNED_URL_MAX);
    if (signed_url_sign(key, view_of(data, size), NOW, NOW + 1, &made) != OK) {
        CHECK(size > SIGNED_URL_MAX / 2);
        return 0;
    }
    CHECK(signed_url_verify(other, none, buf_view(&made), NOW, &got) == ERR_VERIFY);
    CHECK(signed_url_verify(other, key, buf_view(&made), NOW, &got) == OK);
    CHECK(view_eq(got, view_of(data, size)));
    return 0;
}
