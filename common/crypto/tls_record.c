#include "common/crypto/tls_record.h"

#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"

enum {
    HEAD = 5,
    TAG = 16,
    KEY_MAX = 32,
    BODY_MAX = 16384 + 256,
    LABEL_MAX = 32,
    TYPE_ALERT = 21,
    TYPE_HANDSHAKE = 22,
    TYPE_DATA = 23,
    MESSAGE_HEAD = 4,
    NEW_SESSION_TICKET = 4,
    KEY_UPDATE = 24,
    TICKET_MAX = 1 << 17,
    ALERT_LEN = 2,
    FATAL = 2,
    WARNING = 1,
};

struct suite {
    uint16_t id;
    const EVP_AEAD *(*aead)(void);
    const EVP_MD *(*md)(void);
    size_t key_len;
    size_t secret_len;
};

struct tls_aead {
    const struct suite *suite;
    EVP_AEAD_CTX ctx;
};

/* RFC 8446 §B.4 */
static const struct suite suites[] = {
    {0x1301, EVP_aead_aes_128_gcm, EVP_sha256, 16, 32},
    {0x1302, EVP_aead_aes_256_gcm, EVP_sha384, 32, 48},
    {0x1303, EVP_aead_chacha20_poly1305, EVP_sha256, 32, 32},
};

static const struct suite *find_suite(uint16_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        if (suites[i].id == id)
            return &suites[i];
    }
    return NULL;
}

bool tls_suite_is_known(uint16_t suite)
{
    return find_suite(suite) != NULL;
}

size_t tls_suite_secret_len(uint16_t suite)
{
    const struct suite *s = find_suite(suite);
    return s ? s->secret_len : 0;
}

/* --- keys: RFC 8446 §7.1 to §7.3 --- */

/* HKDF-Expand-Label with an empty context. */
static void expand(const struct suite *s, const uint8_t *secret, const char *label, uint8_t *out,
                   size_t out_len)
{
    uint8_t info[4 + LABEL_MAX];
    size_t len = strlen(label);
    CHECK(len < LABEL_MAX);
    info[0] = 0;
    info[1] = (uint8_t)out_len;
    info[2] = (uint8_t)len;
    memcpy(info + 3, label, len);
    info[3 + len] = 0;
    CHECK(HKDF_expand(out, out_len, s->md(), secret, s->secret_len, info, len + 4) == 1);
}

static void aead_free(struct tls_aead *a)
{
    if (!a)
        return;
    EVP_AEAD_CTX_cleanup(&a->ctx);
    mem_wipe(a, sizeof *a);
    mem_free(a);
}

/* Key and IV of the secret; the sequence begins anew. */
static void use_secret(const struct tls_record_keys *keys, struct tls_aead **aead,
                       uint8_t iv[TLS_IV_LEN])
{
    uint8_t key[KEY_MAX];
    const struct suite *s = find_suite(keys->suite);
    aead_free(*aead);
    *aead = mem_zalloc(sizeof **aead);
    (*aead)->suite = s;
    expand(s, keys->secret, "tls13 key", key, s->key_len);
    expand(s, keys->secret, "tls13 iv", iv, TLS_IV_LEN);
    CHECK(EVP_AEAD_CTX_init(&(*aead)->ctx, s->aead(), key, s->key_len, TAG, NULL) == 1);
    mem_wipe(key, sizeof key);
}

static void next_secret(struct tls_record_keys *keys)
{
    const struct suite *s = find_suite(keys->suite);
    uint8_t next[TLS_SECRET_MAX];
    expand(s, keys->secret, "tls13 traffic upd", next, s->secret_len);
    memcpy(keys->secret, next, s->secret_len);
    keys->seq = 0;
    mem_wipe(next, sizeof next);
}

/* §5.3 */
static void make_nonce(const uint8_t iv[TLS_IV_LEN], uint64_t seq, uint8_t nonce[TLS_IV_LEN])
{
    memcpy(nonce, iv, TLS_IV_LEN);
    for (size_t i = 0; i < 8; i++)
        nonce[TLS_IV_LEN - 1 - i] ^= (uint8_t)(seq >> (8 * i));
}

/* --- receiving --- */

enum err tls_reader_init(struct tls_reader *r, const struct tls_record_keys *keys, bool is_client)
{
    if (!tls_suite_is_known(keys->suite))
        return ERR_UNSUPPORTED;
    *r = (struct tls_reader){.keys = *keys, .is_client = is_client};
    use_secret(&r->keys, &r->aead, r->iv);
    return OK;
}

void tls_reader_fini(struct tls_reader *r)
{
    aead_free(r->aead);
    mem_wipe(r, sizeof *r);
}

static enum err refuse(struct tls_opened *result, enum err e, enum tls_alert alert)
{
    result->alert = (uint8_t)alert;
    return e;
}

/* §6: exactly one alert in a record. */
static enum err take_alert(struct tls_reader *r, struct view body, struct tls_opened *result)
{
    if (body.len != ALERT_LEN)
        return refuse(result, ERR_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    if (body.ptr[1] == TLS_ALERT_CLOSE_NOTIFY) {
        r->closed = result->closed = true;
        return OK;
    }
    if (body.ptr[1] == TLS_ALERT_USER_CANCELED)
        return OK;
    result->peer_alert = body.ptr[1];
    return ERR_PROTOCOL;
}

/* §4.6.3: the last message of its record, since the key changes behind it (§5.1). */
static enum err take_key_update(struct tls_reader *r, bool is_last, struct tls_opened *result)
{
    uint8_t request = r->head[MESSAGE_HEAD];
    if (request > 1)
        return refuse(result, ERR_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    if (!is_last)
        return refuse(result, ERR_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    result->update_requested = result->update_requested || request == 1;
    r->head_len = 0;
    next_secret(&r->keys);
    use_secret(&r->keys, &r->aead, r->iv);
    return OK;
}

/* The head of a message is there: what it is, and what of it is to come. */
static enum err begin_message(struct tls_reader *r, struct tls_opened *result)
{
    uint32_t len = (uint32_t)r->head[1] << 16 | (uint32_t)r->head[2] << 8 | r->head[3];
    if (r->head[0] == KEY_UPDATE)
        return len == 1 ? OK : refuse(result, ERR_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    if (r->head[0] != NEW_SESSION_TICKET || !r->is_client)
        return refuse(result, ERR_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (len > TICKET_MAX)
        return refuse(result, ERR_LIMIT, TLS_ALERT_DECODE_ERROR);
    r->skip = len;
    r->head_len = 0;
    return OK;
}

static enum err take_handshake(struct tls_reader *r, struct view body, struct tls_opened *result)
{
    if (body.len == 0)
        return refuse(result, ERR_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    while (body.len) {
        if (r->skip) {
            size_t n = body.len < r->skip ? body.len : r->skip;
            r->skip -= (uint32_t)n;
            body = view_skip(body, n);
            continue;
        }
        r->head[r->head_len++] = body.ptr[0];
        body = view_skip(body, 1);
        if (r->head_len == MESSAGE_HEAD)
            TRY(begin_message(r, result));
        else if (r->head_len > MESSAGE_HEAD)
            TRY(take_key_update(r, body.len == 0, result));
    }
    return OK;
}

/* What has been opened: content, type, zeros (§5.2). `plain` stands where the data belong. */
static enum err take_inner(struct tls_reader *r, struct view plain, struct tls_opened *result)
{
    size_t n = plain.len;
    while (n && plain.ptr[n - 1] == 0)
        n--;
    if (n == 0)
        return refuse(result, ERR_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    uint8_t type = plain.ptr[n - 1];
    struct view body = view_take(plain, n - 1);
    if (body.len > TLS_DATA_MAX)
        return refuse(result, ERR_LIMIT, TLS_ALERT_RECORD_OVERFLOW);
    if (type == TYPE_DATA && body.len)
        r->idle = 0;
    else if (++r->idle > TLS_IDLE_RECORDS_MAX)
        return refuse(result, ERR_LIMIT, TLS_ALERT_UNEXPECTED_MESSAGE);
    /* §5.1: nothing stands between the parts of a handshake message. */
    if (type != TYPE_HANDSHAKE && (r->skip || r->head_len))
        return refuse(result, ERR_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (type == TYPE_DATA) {
        result->len += body.len;
        return OK;
    }
    if (type == TYPE_ALERT)
        return take_alert(r, body, result);
    if (type == TYPE_HANDSHAKE)
        return take_handshake(r, body, result);
    return refuse(result, ERR_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static enum err open_record(struct tls_reader *r, const uint8_t *record, size_t body, uint8_t *out,
                            struct tls_opened *result)
{
    uint8_t nonce[TLS_IV_LEN];
    size_t plain = body - TAG;
    make_nonce(r->iv, r->keys.seq++, nonce);
    if (!EVP_AEAD_CTX_open_gather(&r->aead->ctx, out, nonce, sizeof nonce, record + HEAD, plain,
                                  record + HEAD + plain, TAG, record, HEAD)) {
        ERR_clear_error();
        return refuse(result, ERR_VERIFY, TLS_ALERT_BAD_RECORD_MAC);
    }
    return take_inner(r, view_of(out, plain), result);
}

enum err tls_reader_open(struct tls_reader *r, struct view in, uint8_t *out, size_t room,
                         struct tls_opened *result)
{
    *result = (struct tls_opened){0};
    while (in.len >= HEAD && !r->closed) {
        size_t body = (size_t)in.ptr[3] << 8 | in.ptr[4];
        if (in.ptr[0] != TYPE_DATA)
            return refuse(result, ERR_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
        if (body > BODY_MAX)
            return refuse(result, ERR_LIMIT, TLS_ALERT_RECORD_OVERFLOW);
        if (body <= TAG)
            return refuse(result, ERR_PROTOCOL, TLS_ALERT_DECODE_ERROR);
        if (in.len < HEAD + body || room - result->len < body - TAG)
            break;
        TRY(open_record(r, in.ptr, body, out + result->len, result));
        result->used += HEAD + body;
        in = view_skip(in, HEAD + body);
    }
    return OK;
}

/* --- sending --- */

enum err tls_writer_init(struct tls_writer *w, const struct tls_record_keys *keys)
{
    if (!tls_suite_is_known(keys->suite))
        return ERR_UNSUPPORTED;
    *w = (struct tls_writer){.keys = *keys, .records_max = TLS_KEY_RECORDS_MAX};
    use_secret(&w->keys, &w->aead, w->iv);
    return OK;
}

void tls_writer_fini(struct tls_writer *w)
{
    aead_free(w->aead);
    mem_wipe(w, sizeof *w);
}

size_t tls_writer_record(struct tls_writer *w, uint8_t type, struct view data, uint8_t *out)
{
    uint8_t nonce[TLS_IV_LEN];
    size_t body = data.len + 1 + TAG;
    size_t tag_len = 0;
    CHECK(data.len <= TLS_DATA_MAX);
    out[0] = TYPE_DATA;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t)(body >> 8);
    out[4] = (uint8_t)body;
    make_nonce(w->iv, w->keys.seq++, nonce);
    CHECK(EVP_AEAD_CTX_seal_scatter(&w->aead->ctx, out + HEAD, out + HEAD + data.len, &tag_len,
                                    1 + TAG, nonce, sizeof nonce, data.ptr, data.len, &type, 1, out,
                                    HEAD) == 1);
    return HEAD + data.len + tag_len;
}

size_t tls_sealed_max(size_t len)
{
    size_t records = len / TLS_DATA_MAX + 1;
    return len + records * (TLS_RECORD_OVERHEAD + TLS_UPDATE_RECORD);
}

size_t tls_writer_seal(struct tls_writer *w, struct view data, uint8_t *out)
{
    size_t n = 0;
    while (data.len) {
        struct view part = view_take(data, TLS_DATA_MAX);
        if (w->keys.seq + 1 >= w->records_max)
            n += tls_writer_update(w, out + n);
        n += tls_writer_record(w, TYPE_DATA, part, out + n);
        data = view_skip(data, part.len);
    }
    return n;
}

size_t tls_writer_alert(struct tls_writer *w, uint8_t alert, uint8_t *out)
{
    uint8_t body[ALERT_LEN] = {alert == TLS_ALERT_CLOSE_NOTIFY ? WARNING : FATAL, alert};
    return tls_writer_record(w, TYPE_ALERT, view_of(body, sizeof body), out);
}

size_t tls_writer_update(struct tls_writer *w, uint8_t *out)
{
    static const uint8_t message[] = {KEY_UPDATE, 0, 0, 1, 0};
    size_t n = tls_writer_record(w, TYPE_HANDSHAKE, view_of(message, sizeof message), out);
    next_secret(&w->keys);
    use_secret(&w->keys, &w->aead, w->iv);
    return n;
}
