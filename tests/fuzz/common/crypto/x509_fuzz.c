/* A PEM text with certificates. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view pem = view_of(data, size);
    struct x509_info i;
    size_t count = 0;
    if (x509_info_parse(&i, pem) == OK) {
        CHECK(i.uris_len <= X509_NAMES_MAX && i.dns_len <= X509_NAMES_MAX);
        CHECK(x509_count(pem, &count) == OK && count > 0);
        x509_info_fini(&i);
    }
    IGNORE(x509_verify(pem, pem, 1750000000000), "any answer will do");
    IGNORE(x509_check_pair(pem, pem), "any answer will do");
    return 0;
}
