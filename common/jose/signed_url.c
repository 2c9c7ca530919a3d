#include "common/jose/signed_url.h"

#include <inttypes.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

enum { SECRET_MIN = 32 };

static const char issued_name[] = "pomerium_issued=";
static const char expiry_name[] = "pomerium_expiry=";
static const char signature_name[] = "pomerium_signature=";

static enum err make_mac(struct view secret, struct view covered, uint8_t *out)
{
    uint8_t key[DIGEST_SHA256_LEN];
    if (secret.len < SECRET_MIN)
        return ERR_RANGE;
    digest_hkdf(secret, view_of(NULL, 0), VIEW("postern signed url 1"), key, sizeof key);
    digest_hmac(DIGEST_SHA256, view_of(key, sizeof key), covered, out);
    mem_wipe(key, sizeof key);
    return OK;
}

enum err signed_url_sign(struct view secret, struct view url, uint64_t issued_ms,
                         uint64_t expires_ms, struct buf *out)
{
    uint8_t mac[DIGEST_SHA256_LEN];
    AUTO(buf_fini) struct buf text;
    if (expires_ms < issued_ms || expires_ms > UINT64_MAX - 999)
        return ERR_RANGE;
    buf_init(&text, SIGNED_URL_MAX);
    TRY(buf_append(&text, url));
    TRY(buf_printf(&text, "%c%s%" PRIu64 "&%s%" PRIu64, view_find(url, '?') < 0 ? '?' : '&',
                   issued_name, issued_ms / 1000, expiry_name, (expires_ms + 999) / 1000));
    TRY(make_mac(secret, buf_view(&text), mac));
    TRY(buf_printf(&text, "&%s", signature_name));
    TRY(text_base64url(view_of(mac, sizeof mac), &text));
    return buf_append(out, buf_view(&text));
}

/* Cuts the last parameter off: `name` holds its "=". Its value, without the "&" or "?" before. */
static bool cut_last(struct view *rest, const char *name, struct view *out_value)
{
    ptrdiff_t and = view_rfind(*rest, '&');
    ptrdiff_t question = view_rfind(*rest, '?');
    ptrdiff_t at = and > question ? and : question; /* a path may hold a "&" */
    if (at < 0)
        return false;
    struct view last = view_skip(*rest, (size_t)at + 1);
    if (!view_starts_with(last, view_str(name)))
        return false;
    *out_value = view_skip(last, strlen(name));
    *rest = view_take(*rest, (size_t)at);
    return true;
}

static enum err check_mac(struct view secret, struct view previous, struct view covered,
                          struct view mac)
{
    uint8_t want[DIGEST_SHA256_LEN];
    TRY(make_mac(secret, covered, want));
    if (secret_equal(view_of(want, sizeof want), mac))
        return OK;
    if (previous.len == 0)
        return ERR_VERIFY;
    TRY(make_mac(previous, covered, want));
    return secret_equal(view_of(want, sizeof want), mac) ? OK : ERR_VERIFY;
}

enum err signed_url_verify(struct view secret, struct view previous, struct view url,
                           uint64_t now_ms, struct view *out_url)
{
    struct view rest = url;
    struct view signature;
    struct view expiry;
    struct view issued;
    uint64_t expiry_s;
    uint64_t issued_s;
    AUTO(buf_fini) struct buf mac;
    buf_init(&mac, DIGEST_SHA256_LEN);
    if (url.len > SIGNED_URL_MAX)
        return ERR_LIMIT;
    if (!cut_last(&rest, signature_name, &signature))
        return ERR_SYNTAX;
    struct view covered = rest;
    if (!cut_last(&rest, expiry_name, &expiry) || !cut_last(&rest, issued_name, &issued))
        return ERR_SYNTAX;
    if (text_unbase64url(signature, &mac) != OK)
        return ERR_VERIFY;
    TRY(check_mac(secret, previous, covered, buf_view(&mac)));
    TRY(text_u64(expiry, UINT64_MAX / 1000 - SIGNED_URL_LEEWAY_MS, &expiry_s));
    TRY(text_u64(issued, UINT64_MAX / 1000, &issued_s));
    if (now_ms >= expiry_s * 1000 + SIGNED_URL_LEEWAY_MS)
        return ERR_EXPIRED;
    if (now_ms + SIGNED_URL_LEEWAY_MS < issued_s * 1000)
        return ERR_MISMATCH;
    *out_url = rest;
    return OK;
}
