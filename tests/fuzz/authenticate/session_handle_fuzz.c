/* A token as it is, and what is in one that we signed: whatever claims it has. */
#include <stdint.h>

#include "authenticate/session_handle.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/jose/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW UINT64_C(1700000000000)

static enum err read(struct view token, const struct secret *key)
{
    const struct secret none = {0};
    AUTO_FREE char *id = NULL;
    enum err e = session_handle_read(token, key, &none, NOW, &id);
    CHECK((e == OK) == (id != NULL));
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(secret_fini) struct secret key = {0};
    AUTO(buf_fini) struct buf token;
    buf_init(&token, JWS_MAX);
    secret_set(&key, VIEW("0123456789abcdef0123456789abcdef"));
    /* Nobody finds a signature by chance. */
    CHECK(read(view_of(data, size), &key) != OK);
    if (jws_sign_hs256(view_of(data, size), "JWT", NULL, secret_view(&key), &token) == OK)
        IGNORE(read(buf_view(&token), &key), "good or not");
    return 0;
}
