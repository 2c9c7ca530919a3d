/* Nothing but what its key signed verifies; everything else is refused in order. */
#include "common/base/check.h"
#include "common/jose/jws.h"
#include "common/jose/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char set_text[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","
                               "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
                               "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec\","
                               "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                               "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static void check_claims(const struct json *claims)
{
    const char *why = NULL;
    struct jwt_expect expect = {.issuer = "joe",
                                .audience = "postern",
                                .azp = "postern",
                                .now_ms = 1300819000000,
                                .leeway_ms = 60000,
                                .need_exp = true};
    if (jwt_check(claims, &expect, &why) != OK)
        CHECK(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jwk_set keys = {0};
    struct jws t;
    struct json *claims = NULL;
    if (jws_parse(view_of(data, size), &t) != OK)
        return 0;
    CHECK(jwk_set_parse(view_str(set_text), &keys) == OK && keys.count == 2);
    enum err e = jws_verify(&t, &keys);
    CHECK(e == OK || e == ERR_VERIFY || e == ERR_NOT_FOUND || (e == ERR_UNSUPPORTED && t.is_hs256));
    if (t.is_hs256)
        CHECK(jws_verify_hs256(&t, VIEW("a secret of at least 32 bytes that nobody has")) != OK);
    if (jwt_claims(&t, &claims) == OK)
        check_claims(claims);
    json_free(claims);
    jws_fini(&t);
    jwk_set_fini(&keys);
    return 0;
}
