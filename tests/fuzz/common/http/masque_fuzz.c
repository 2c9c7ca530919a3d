/* A destination that is read from a path is written as one that reads the same. */
#include "common/base/check.h"
#include "common/http/masque.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HOST_MAX = 255, WRITTEN_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct authority a;
    struct authority again;
    struct buf host;
    struct buf host_again;
    struct buf path;
    buf_init(&host, HOST_MAX);
    buf_init(&host_again, HOST_MAX);
    buf_init(&path, WRITTEN_MAX);
    if (masque_parse(view_of(data, size), &host, &a) == OK) {
        CHECK(a.port && a.host.len);
        CHECK(masque_write(&a, &path) == OK);
        CHECK(masque_parse(buf_view(&path), &host_again, &again) == OK);
        CHECK(again.port == a.port && again.is_ipv6 == a.is_ipv6);
        CHECK(view_eq(again.host, a.host));
        buf_clear(&path);
        CHECK(authority_write(&a, &path) == OK);
        CHECK(authority_parse(buf_view(&path), &again) == OK);
    }
    buf_fini(&host);
    buf_fini(&host_again);
    buf_fini(&path);
    return 0;
}
