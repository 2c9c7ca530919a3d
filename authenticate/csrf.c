#include "authenticate/csrf.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

enum { TOKEN_MAX = 64 };

char *csrf_token(const struct secret *key, const char *bound_to, const char *path)
{
    AUTO_FREE char *data = mem_printf("%s\n%s", bound_to, path);
    uint8_t mac[DIGEST_SHA256_LEN];
    digest_hmac(DIGEST_SHA256, secret_view(key), view_str(data), mac);
    AUTO(buf_fini) struct buf text;
    buf_init(&text, TOKEN_MAX);
    IGNORE(text_base64url(view_of(mac, sizeof mac), &text), "43 bytes");
    return buf_to_str(&text);
}

bool csrf_is_token(const struct secret *key, const char *bound_to, const char *path,
                   struct view given)
{
    AUTO_FREE char *wanted = csrf_token(key, bound_to, path);
    return secret_equal(given, view_str(wanted));
}

bool csrf_is_own_origin(const struct url *own, const struct fields *fields)
{
    struct view origin = fields_get(fields, "Origin");
    struct view site = fields_get(fields, "Sec-Fetch-Site");
    if (origin.ptr && (fields_count(fields, "Origin") != 1 || !url_has_origin(own, origin)))
        return false;
    return !site.ptr || view_eq_str(site, "same-origin");
}
