#include "common/base/check.h"
#include "common/jose/jwk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jwk_set set = {0};
    if (jwk_set_parse(view_of(data, size), &set) != OK) {
        CHECK(!set.items);
        return 0;
    }
    CHECK(set.count <= JWK_COUNT_MAX);
    for (size_t i = 0; i < set.count; i++) {
        /* A key that was taken can be used: it refuses a signature, it does not fail. */
        for (int alg = 0; alg < JWA_ALG_COUNT; alg++) {
            enum err e = jwa_verify(&set.items[i].key, (enum jwa_alg)alg, VIEW("data"), VIEW("x"));
            CHECK(e == ERR_VERIFY || e == ERR_UNSUPPORTED);
        }
    }
    jwk_set_fini(&set);
    return 0;
}
