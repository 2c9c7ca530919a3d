/* Whatever is presented: no token without a MAC of the secret, and a good one says who. */
#include "authorize/token.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/jose/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1000000000 };

static const struct token_secrets secrets = {
    {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32},
    {(const uint8_t *)"fedcba9876543210fedcba9876543210", 32}};

static void check(struct view text)
{
    struct token t = {0};
    enum err e = token_verify(text, &secrets, NOW, &t);
    CHECK(e == OK || !t.id);
    if (e != OK)
        return;
    CHECK(*t.id && strlen(t.id) <= TOKEN_ID_MAX);
    CHECK(*t.user_id && strlen(t.user_id) <= TOKEN_USER_MAX);
    CHECK(t.expires_ms > NOW);
    token_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, JWS_MAX);
    check(view_of(data, size));
    /* The same as claims that are signed as they are. */
    if (jws_sign_hs256(view_of(data, size), "JWT", NULL, secrets.previous, &out) == OK)
        check(buf_view(&out));
    return 0;
}
