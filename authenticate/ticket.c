#include "authenticate/ticket.h"

#include "authenticate/redirect_uri.h"
#include "authenticate/session_handle.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/wire.h"
#include "common/crypto/seal.h"

enum { PLAIN_MAX = 5000, CSRF_MAX = 64 };

void ticket_fini(struct ticket *t)
{
    if (t->token)
        mem_wipe(t->token, strlen(t->token));
    mem_free(t->token);
    mem_free(t->redirect_uri);
    mem_free(t->csrf);
    *t = (struct ticket){0};
}

static void derive(const struct secret *shared, struct secret *out)
{
    seal_derive_key(shared, VIEW("postern callback ticket 1"), out);
}

enum err ticket_seal(const struct ticket *t, const struct secret *shared, struct view origin,
                     const struct rng *rng, uint64_t now_ms, struct buf *out)
{
    AUTO(secret_fini) struct secret key = {0};
    AUTO(buf_wipe) struct buf plain, sealed;
    buf_init(&plain, PLAIN_MAX);
    buf_init(&sealed, PLAIN_MAX + SEAL_OVERHEAD);
    struct writer w = writer_to(&plain);
    write_u64(&w, now_ms);
    write_u64(&w, t->expires_ms);
    write_cstring(&w, t->token);
    write_cstring(&w, t->redirect_uri);
    write_cstring(&w, t->csrf);
    TRY(writer_done(&w));
    derive(shared, &key);
    TRY(seal(&key, origin, buf_view(&plain), rng, &sealed));
    return text_base64url(buf_view(&sealed), out);
}

/* A text without NUL bytes. */
static char *copy(struct reader *r, struct view v)
{
    if (view_find(v, 0) >= 0)
        reader_fail(r);
    return mem_strndup(v.ptr, v.len);
}

static void move(struct ticket *from, struct ticket *out)
{
    ticket_fini(out);
    *out = *from;
    *from = (struct ticket){0};
}

static enum err read_plain(struct view plain, uint64_t now_ms, struct ticket *out)
{
    AUTO(ticket_fini) struct ticket t = {0};
    struct reader r = reader_of(plain);
    uint64_t made = read_u64(&r);
    t.expires_ms = read_u64(&r);
    t.token = copy(&r, read_string_max(&r, SESSION_HANDLE_MAX));
    t.redirect_uri = copy(&r, read_string_max(&r, REDIRECT_URI_MAX));
    t.csrf = copy(&r, read_string_max(&r, CSRF_MAX));
    TRY(reader_done(&r));
    if (made > now_ms + TICKET_SKEW_MS || now_ms > made + TICKET_MS + TICKET_SKEW_MS)
        return ERR_EXPIRED;
    move(&t, out);
    return OK;
}

static enum err open_with(const struct secret *shared, struct view origin, struct view sealed,
                          struct buf *out)
{
    AUTO(secret_fini) struct secret key = {0};
    derive(shared, &key);
    return unseal(&key, origin, sealed, out);
}

enum err ticket_open(struct view text, const struct secret *shared, const struct secret *previous,
                     struct view origin, uint64_t now_ms, struct ticket *out)
{
    AUTO(buf_wipe) struct buf plain, sealed;
    buf_init(&plain, PLAIN_MAX + SEAL_OVERHEAD);
    buf_init(&sealed, PLAIN_MAX + SEAL_OVERHEAD);
    if (text.len > TICKET_TEXT_MAX)
        return ERR_SYNTAX;
    TRY(text_unbase64url(text, &sealed));
    enum err e = open_with(shared, origin, buf_view(&sealed), &plain);
    if (e == ERR_VERIFY && previous->len)
        e = open_with(previous, origin, buf_view(&sealed), &plain);
    TRY(e);
    return read_plain(buf_view(&plain), now_ms, out);
}
