#include "authenticate/login_state.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/wire.h"
#include "common/crypto/seal.h"
#include "common/http/cookie.h"

enum { PLAIN_MAX = 2500, NAME_LEN = 8 };

static const char prefix[] = "_pomerium_state_";

void login_fini(struct login *l)
{
    mem_wipe(&l->oidc, sizeof l->oidc);
    mem_free(l->return_to);
    l->return_to = NULL;
}

char *login_cookie_name(struct view state)
{
    return mem_printf("%s%.*s", prefix, VIEW_FMT(view_take(state, NAME_LEN)));
}

enum err login_seal(const struct secret *key, const struct rng *rng, const struct login *l,
                    uint64_t now_ms, struct buf *out)
{
    AUTO(buf_wipe) struct buf plain, sealed;
    buf_init(&plain, PLAIN_MAX);
    buf_init(&sealed, PLAIN_MAX + SEAL_OVERHEAD);
    struct writer w = writer_to(&plain);
    write_u64(&w, now_ms);
    write_cstring(&w, l->oidc.nonce);
    write_cstring(&w, l->oidc.verifier);
    write_cstring(&w, l->return_to);
    TRY(writer_done(&w));
    TRY(seal(key, view_str(l->oidc.state), buf_view(&plain), rng, &sealed));
    return text_base64url(buf_view(&sealed), out);
}

static void copy_text(char *to, struct view from)
{
    if (from.len)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
}

static enum err read_plain(struct view plain, struct view state, uint64_t now_ms, struct login *out)
{
    struct reader r = reader_of(plain);
    uint64_t begun = read_u64(&r);
    struct view nonce = read_string_max(&r, OIDC_LOGIN_TEXT_MAX);
    struct view verifier = read_string_max(&r, OIDC_LOGIN_TEXT_MAX);
    struct view return_to = read_string_max(&r, LOGIN_RETURN_MAX);
    TRY(reader_done(&r));
    if (begun > now_ms + LOGIN_SKEW_MS || now_ms > begun + LOGIN_MS)
        return ERR_EXPIRED;
    login_fini(out);
    copy_text(out->oidc.state, state);
    copy_text(out->oidc.nonce, nonce);
    copy_text(out->oidc.verifier, verifier);
    out->return_to = mem_strndup(return_to.ptr, return_to.len);
    return OK;
}

enum err login_unseal(const struct secret *key, struct view state, struct view text,
                      uint64_t now_ms, struct login *out)
{
    AUTO(buf_wipe) struct buf plain, sealed;
    buf_init(&plain, PLAIN_MAX + SEAL_OVERHEAD);
    buf_init(&sealed, PLAIN_MAX + SEAL_OVERHEAD);
    if (state.len == 0 || state.len > OIDC_LOGIN_TEXT_MAX || text.len > LOGIN_TEXT_MAX)
        return ERR_SYNTAX;
    TRY(text_unbase64url(text, &sealed));
    TRY(unseal(key, state, buf_view(&sealed), &plain));
    return read_plain(buf_view(&plain), state, now_ms, out);
}

/* The n-th cookie of a sign-in; browsers send the oldest first (RFC 6265 §5.4). */
static bool nth(const struct fields *fields, size_t n, struct view *out_name)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct view rest = fields->items[i].value, name, value;
        if (!view_eq_case(fields->items[i].name, VIEW("Cookie")))
            continue;
        while (cookie_next(&rest, &name, &value)) {
            if (!view_starts_with(name, view_str(prefix)) || n-- > 0)
                continue;
            *out_name = name;
            return true;
        }
    }
    return false;
}

bool login_surplus(const struct fields *fields, size_t skip, struct view *out_name)
{
    struct view last;
    return nth(fields, skip + LOGIN_TABS_MAX - 1, &last) && nth(fields, skip, out_name);
}
