/* A client's certificate in DER. */
#include "common/base/check.h"
#include "common/crypto/x509_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(const struct x509_names *names)
{
    CHECK(names->count <= X509_CLIENT_NAMES_MAX);
    for (size_t i = 0; i < names->count; i++)
        CHECK(names->items[i][0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct x509_client c;
    if (x509_client_parse(&c, view_of(data, size)) != OK)
        return 0;
    check_names(&c.emails);
    check_names(&c.dns);
    check_names(&c.uris);
    x509_client_fini(&c);
    return 0;
}
