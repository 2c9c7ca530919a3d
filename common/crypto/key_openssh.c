/* PROTOCOL.key: the openssh-key-v1 format, without encryption. */
#include "common/base/check.h"
#include "common/base/wire.h"
#include "common/crypto/pkey.h"

enum { BLOCK_LEN = 8, COMMENT_MAX = 1024 };

static const struct view magic = {(const uint8_t *)"openssh-key-v1", 15}; /* with its NUL */

static enum err read_ed25519(struct reader *r, EVP_PKEY **out)
{
    uint8_t public_key[32];
    size_t len = sizeof public_key;
    struct view pk = read_string(r);
    struct view sk = read_string(r);
    TRY(reader_ok(r));
    if (pk.len != 32 || sk.len != 64 || !view_eq(view_skip(sk, 32), pk))
        return ERR_SYNTAX;
    AUTO(pkey_free)
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, sk.ptr, 32);
    CHECK(pkey && EVP_PKEY_get_raw_public_key(pkey, public_key, &len));
    if (!view_eq(view_of(public_key, len), pk))
        return ERR_SYNTAX;
    *out = pkey;
    pkey = NULL;
    return OK;
}

static enum err read_ecdsa(struct reader *r, enum key_type type, EVP_PKEY **out)
{
    uint8_t padded[66] = {0};
    size_t size = pkey_coordinate_len(type);
    struct view curve = read_string(r);
    struct view point = read_string(r);
    struct view d = read_mpint(r);
    TRY(reader_ok(r));
    if (!view_eq_str(curve, pkey_curve_name(type)) || d.len == 0 || d.len > size)
        return ERR_SYNTAX;
    AUTO(pkey_free_ec) EC_KEY *ec = EC_KEY_new_by_curve_name(pkey_curve_nid(type));
    CHECK(ec);
    memcpy(padded + (size - d.len), d.ptr, d.len);
    bool ok = EC_KEY_oct2key(ec, point.ptr, point.len, NULL) && EC_KEY_oct2priv(ec, padded, size) &&
              EC_KEY_check_key(ec);
    mem_wipe(padded, sizeof padded);
    if (!ok)
        return pkey_failed(ERR_SYNTAX);
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(pkey && EVP_PKEY_set1_EC_KEY(pkey, ec));
    *out = pkey;
    return OK;
}

static BIGNUM *read_bn(struct reader *r)
{
    struct view v = read_mpint(r);
    BIGNUM *n = v.len > KEY_RSA_BITS_MAX / 8 ? NULL : BN_bin2bn(v.ptr, v.len, NULL);
    if (!n)
        reader_fail(r);
    return n;
}

/* d mod (p - 1), which the file leaves out. */
static BIGNUM *crt_exponent(const BIGNUM *d, const BIGNUM *p)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *out = BN_new();
    AUTO(pkey_free_bn) BIGNUM *minus = BN_dup(p);
    CHECK(ctx && out && minus);
    bool ok = BN_sub_word(minus, 1) && !BN_is_zero(minus) && !BN_is_negative(minus) &&
              BN_mod(out, d, minus, ctx);
    BN_CTX_free(ctx);
    if (ok)
        return out;
    BN_clear_free(out);
    return NULL;
}

static enum err read_rsa(struct reader *r, EVP_PKEY **out)
{
    AUTO(pkey_free_rsa) RSA *rsa = RSA_new();
    AUTO(pkey_free_bn) BIGNUM *n = read_bn(r);
    AUTO(pkey_free_bn) BIGNUM *e = read_bn(r);
    AUTO(pkey_free_bn) BIGNUM *d = read_bn(r);
    AUTO(pkey_free_bn) BIGNUM *iqmp = read_bn(r);
    AUTO(pkey_free_bn) BIGNUM *p = read_bn(r);
    AUTO(pkey_free_bn) BIGNUM *q = read_bn(r);
    TRY(reader_ok(r));
    CHECK(rsa);
    AUTO(pkey_free_bn) BIGNUM *dmp1 = crt_exponent(d, p);
    AUTO(pkey_free_bn) BIGNUM *dmq1 = crt_exponent(d, q);
    if (!dmp1 || !dmq1 || BN_num_bits(n) < KEY_RSA_BITS_MIN)
        return pkey_failed(dmp1 && dmq1 ? ERR_RANGE : ERR_SYNTAX);
    CHECK(RSA_set0_key(rsa, n, e, d));
    n = e = d = NULL;
    CHECK(RSA_set0_factors(rsa, p, q));
    p = q = NULL;
    CHECK(RSA_set0_crt_params(rsa, dmp1, dmq1, iqmp));
    dmp1 = dmq1 = iqmp = NULL;
    if (!RSA_check_key(rsa))
        return pkey_failed(ERR_SYNTAX);
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(pkey && EVP_PKEY_set1_RSA(pkey, rsa));
    *out = pkey;
    return OK;
}

static enum err read_private(struct reader *r, EVP_PKEY **out)
{
    enum key_type type;
    struct view name = read_string(r);
    TRY(reader_ok(r));
    TRY(key_type_find(name, &type));
    if (type == KEY_SK_ED25519 || type == KEY_SK_ECDSA_P256)
        return ERR_UNSUPPORTED;
    if (type == KEY_ED25519)
        return read_ed25519(r, out);
    return type == KEY_RSA ? read_rsa(r, out) : read_ecdsa(r, type, out);
}

/* Comment and padding 1, 2, 3, … up to the block length. */
static enum err read_tail(struct reader *r)
{
    (void)read_string_max(r, COMMENT_MAX);
    TRY(reader_ok(r));
    struct view padding = read_rest(r);
    if (padding.len >= BLOCK_LEN)
        return ERR_SYNTAX;
    for (size_t i = 0; i < padding.len; i++)
        if (padding.ptr[i] != i + 1)
            return ERR_SYNTAX;
    return OK;
}

enum err key_openssh_parse(struct view blob, EVP_PKEY **out)
{
    struct reader r = reader_of(blob);
    bool has_magic = view_eq(read_bytes(&r, magic.len), magic);
    struct view cipher = read_string(&r);
    struct view kdf = read_string(&r);
    struct view kdf_options = read_string(&r);
    uint32_t keys = read_u32(&r);
    struct view public_blob = read_string(&r);
    struct view section = read_string(&r);
    if (!has_magic || reader_ok(&r) != OK)
        return ERR_SYNTAX;
    if (!view_eq_str(cipher, "none") || !view_eq_str(kdf, "none"))
        return ERR_ENCRYPTED;
    if (reader_done(&r) != OK || keys != 1 || kdf_options.len || section.len % BLOCK_LEN)
        return ERR_SYNTAX;
    r = reader_of(section);
    uint32_t check = read_u32(&r);
    if (read_u32(&r) != check)
        return ERR_SYNTAX;
    AUTO(pkey_free) EVP_PKEY *pkey = NULL;
    AUTO(buf_fini) struct buf derived;
    buf_init(&derived, KEY_BLOB_MAX);
    TRY(read_private(&r, &pkey));
    TRY(read_tail(&r));
    TRY(pkey_write_blob(pkey, &derived));
    if (!view_eq(buf_view(&derived), public_blob))
        return ERR_SYNTAX;
    *out = pkey;
    pkey = NULL;
    return OK;
}

static void write_bn(struct writer *w, const BIGNUM *n)
{
    uint8_t bytes[KEY_RSA_BITS_MAX / 8];
    CHECK(n && BN_num_bytes(n) <= sizeof bytes);
    size_t len = BN_bn2bin(n, bytes);
    write_mpint(w, view_of(bytes, len));
    mem_wipe(bytes, len);
}

static void write_ed25519(struct writer *w, const EVP_PKEY *pkey)
{
    uint8_t sk[64];
    size_t seed_len = 32, public_len = 32;
    CHECK(EVP_PKEY_get_raw_private_key(pkey, sk, &seed_len) &&
          EVP_PKEY_get_raw_public_key(pkey, sk + 32, &public_len));
    write_string(w, view_of(sk + 32, 32));
    write_string(w, view_of(sk, sizeof sk));
    mem_wipe(sk, sizeof sk);
}

static void write_private(struct writer *w, const struct private_key *k)
{
    struct reader r = reader_of(public_key_blob(&k->public));
    write_string(w, read_string(&r));
    if (k->public.type == KEY_ED25519) {
        write_ed25519(w, k->pkey);
        return;
    }
    if (k->public.type != KEY_RSA) {
        write_bytes(w, read_rest(&r)); /* curve and point */
        write_bn(w, EC_KEY_get0_private_key(EVP_PKEY_get0_EC_KEY(k->pkey)));
        return;
    }
    const RSA *rsa = EVP_PKEY_get0_RSA(k->pkey);
    write_bn(w, RSA_get0_n(rsa));
    write_bn(w, RSA_get0_e(rsa));
    write_bn(w, RSA_get0_d(rsa));
    write_bn(w, RSA_get0_iqmp(rsa));
    write_bn(w, RSA_get0_p(rsa));
    write_bn(w, RSA_get0_q(rsa));
}

enum err key_openssh_write(const struct private_key *k, const char *comment, const struct rng *rng,
                           struct buf *out)
{
    uint8_t check[4];
    struct writer w = writer_to(out);
    if (comment && strlen(comment) > COMMENT_MAX)
        return ERR_RANGE;
    rng_fill(rng, check, sizeof check);
    write_bytes(&w, magic);
    write_cstring(&w, "none");
    write_cstring(&w, "none");
    write_cstring(&w, "");
    write_u32(&w, 1);
    write_string(&w, public_key_blob(&k->public));
    size_t mark = write_begin(&w);
    size_t start = out->len;
    write_bytes(&w, view_of(check, sizeof check));
    write_bytes(&w, view_of(check, sizeof check));
    write_private(&w, k);
    write_cstring(&w, comment ? comment : "");
    for (uint8_t i = 1; writer_done(&w) == OK && (out->len - start) % BLOCK_LEN; i++)
        write_u8(&w, i);
    write_end(&w, mark);
    return writer_done(&w);
}
