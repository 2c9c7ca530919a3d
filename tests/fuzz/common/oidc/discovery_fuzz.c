/* A provider's document, and the claims of a token. */
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/url.h"
#include "common/json/json.h"
#include "common/oidc/claims.h"
#include "common/oidc/discovery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_claims(struct view text)
{
    struct json *v = NULL;
    struct claims c = {0};
    if (json_parse(text, &v) == OK && claims_flatten(v, &c) == OK) {
        size_t values = 0;
        for (size_t i = 0; i < c.count; i++) {
            values += c.items[i].count;
            CHECK(i == 0 || strcmp(c.items[i - 1].name, c.items[i].name) < 0);
        }
        CHECK(values == c.values);
    }
    claims_fini(&c);
    json_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct discovery d = {0};
    char *why = NULL;
    struct url u;
    if (discovery_parse(view_of(data, size), "https://idp.test", &d, &why) == OK) {
        CHECK(strcmp(d.issuer, "https://idp.test") == 0 && !why);
        CHECK(url_parse(view_str(d.token_endpoint), &u) == OK);
        CHECK(url_is_scheme(&u, "https") || authority_is_loopback(&u.authority));
    } else {
        CHECK(why && !d.issuer);
    }
    mem_free(why);
    discovery_fini(&d);
    check_claims(view_of(data, size));
    return 0;
}
