/* The text form of a password hash; the work itself is not done. */
#include "common/base/check.h"
#include "common/crypto/scrypt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (scrypt_check(view_of(data, size)) == OK)
        CHECK(size > 60 && data[0] == '$');
    return 0;
}
