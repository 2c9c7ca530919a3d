#include "common/crypto/pkey.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/nid.h>

#include "common/base/check.h"
#include "common/base/wire.h"

enum { APPLICATION_MAX = 256, EXPONENT_BITS_MAX = 33 };

static const struct {
    int nid;
    const char *name;
    size_t coordinate_len;
} curves[KEY_TYPE_COUNT] = {
    [KEY_ECDSA_P256] = {NID_X9_62_prime256v1, "nistp256", 32},
    [KEY_ECDSA_P384] = {NID_secp384r1, "nistp384", 48},
    [KEY_ECDSA_P521] = {NID_secp521r1, "nistp521", 66},
    [KEY_SK_ECDSA_P256] = {NID_X9_62_prime256v1, "nistp256", 32},
};

enum err pkey_failed(enum err e)
{
    ERR_clear_error();
    return e;
}

int pkey_curve_nid(enum key_type type)
{
    return curves[type].nid;
}

const char *pkey_curve_name(enum key_type type)
{
    return curves[type].name;
}

size_t pkey_coordinate_len(enum key_type type)
{
    return curves[type].coordinate_len;
}

bool pkey_is_ecdsa(enum key_type type)
{
    return curves[type].nid != 0;
}

const EVP_MD *pkey_md(enum digest_alg alg)
{
    switch (alg) {
    case DIGEST_SHA256:
        return EVP_sha256();
    case DIGEST_SHA384:
        return EVP_sha384();
    case DIGEST_SHA512:
        return EVP_sha512();
    }
    check_failed("digest algorithm", __FILE__, __LINE__);
}

enum err pkey_reserve(struct buf *b, size_t n)
{
    uint8_t *unused;
    return buf_reserve(b, n, &unused);
}

enum err pkey_rsa_public(struct view n, struct view e, EVP_PKEY **out)
{
    if (n.len > KEY_RSA_BITS_MAX / 8 || e.len > (EXPONENT_BITS_MAX + 7) / 8)
        return ERR_RANGE;
    AUTO(pkey_free_rsa) RSA *rsa = RSA_new();
    BIGNUM *bn_n = BN_bin2bn(n.ptr, n.len, NULL);
    BIGNUM *bn_e = BN_bin2bn(e.ptr, e.len, NULL);
    CHECK(rsa && bn_n && bn_e && RSA_set0_key(rsa, bn_n, bn_e, NULL));
    if (BN_num_bits(bn_n) < KEY_RSA_BITS_MIN || BN_num_bits(bn_n) > KEY_RSA_BITS_MAX ||
        BN_num_bits(bn_e) > EXPONENT_BITS_MAX)
        return ERR_RANGE;
    if (!BN_is_odd(bn_n) || !BN_is_odd(bn_e) || BN_is_one(bn_e))
        return ERR_RANGE;
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(pkey && EVP_PKEY_set1_RSA(pkey, rsa));
    *out = pkey;
    return OK;
}

enum err pkey_ec_public(enum key_type type, struct view point, EVP_PKEY **out)
{
    /* RFC 5656 §3.1; compressed points are not accepted, as in OpenSSH. */
    if (point.len != 1 + 2 * curves[type].coordinate_len || point.ptr[0] != 0x04)
        return ERR_SYNTAX;
    AUTO(pkey_free_ec) EC_KEY *ec = EC_KEY_new_by_curve_name(curves[type].nid);
    CHECK(ec);
    /* Checks that the point is on the curve. */
    if (!EC_KEY_oct2key(ec, point.ptr, point.len, NULL))
        return pkey_failed(ERR_SYNTAX);
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(pkey && EVP_PKEY_set1_EC_KEY(pkey, ec));
    *out = pkey;
    return OK;
}

enum err pkey_ed25519_public(struct view raw, EVP_PKEY **out)
{
    /* RFC 8709 §4; a shorter one was CVE-2020-9283 elsewhere. */
    if (raw.len != 32)
        return ERR_SYNTAX;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw.ptr, raw.len);
    CHECK(pkey);
    *out = pkey;
    return OK;
}

static enum err read_ec(struct reader *r, enum key_type type, EVP_PKEY **out)
{
    struct view curve = read_string(r);
    struct view point = read_string(r);
    if (!view_eq_str(curve, curves[type].name))
        return ERR_SYNTAX;
    return pkey_ec_public(type, point, out);
}

static enum err read_rsa(struct reader *r, EVP_PKEY **out)
{
    struct view e = read_mpint(r);
    struct view n = read_mpint(r);
    TRY(reader_ok(r));
    return pkey_rsa_public(n, e, out);
}

static enum err read_key(struct reader *r, enum key_type type, EVP_PKEY **out)
{
    switch (type) {
    case KEY_ED25519:
    case KEY_SK_ED25519:
        return pkey_ed25519_public(read_string(r), out);
    case KEY_ECDSA_P256:
    case KEY_ECDSA_P384:
    case KEY_ECDSA_P521:
    case KEY_SK_ECDSA_P256:
        return read_ec(r, type, out);
    case KEY_RSA:
        return read_rsa(r, out);
    case KEY_TYPE_COUNT:
        break;
    }
    return ERR_UNSUPPORTED;
}

enum err pkey_from_blob(struct view blob, enum key_type *out_type, struct view *out_application,
                        EVP_PKEY **out)
{
    struct reader r = reader_of(blob);
    enum key_type type;
    struct view application = {0};
    if (blob.len > KEY_BLOB_MAX)
        return ERR_LIMIT;
    struct view name = read_string(&r);
    TRY(reader_ok(&r));
    TRY(key_type_find(name, &type));
    AUTO(pkey_free) EVP_PKEY *pkey = NULL;
    TRY(read_key(&r, type, &pkey));
    if (type == KEY_SK_ED25519 || type == KEY_SK_ECDSA_P256)
        application = read_string_max(&r, APPLICATION_MAX);
    TRY(reader_done(&r));
    *out_type = type;
    *out_application = application;
    *out = pkey;
    pkey = NULL;
    return OK;
}

static void write_bn(struct writer *w, const BIGNUM *n)
{
    uint8_t bytes[KEY_RSA_BITS_MAX / 8];
    CHECK(BN_num_bytes(n) <= sizeof bytes);
    size_t len = BN_bn2bin(n, bytes);
    write_mpint(w, view_of(bytes, len));
}

static enum err write_ec(struct writer *w, const EC_KEY *ec)
{
    int nid = EC_GROUP_get_curve_name(EC_KEY_get0_group(ec));
    for (unsigned t = KEY_ECDSA_P256; t <= KEY_ECDSA_P521; t++) {
        uint8_t point[1 + 2 * 66];
        if (curves[t].nid != nid)
            continue;
        size_t len = EC_POINT_point2oct(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec),
                                        POINT_CONVERSION_UNCOMPRESSED, point, sizeof point, NULL);
        CHECK(len == 1 + 2 * curves[t].coordinate_len);
        write_cstring(w, key_type_name((enum key_type)t));
        write_cstring(w, curves[t].name);
        write_string(w, view_of(point, len));
        return writer_done(w);
    }
    return ERR_UNSUPPORTED;
}

enum err pkey_write_blob(const EVP_PKEY *pkey, struct buf *out)
{
    struct writer w = writer_to(out);
    switch (EVP_PKEY_id(pkey)) {
    case EVP_PKEY_ED25519: {
        uint8_t raw[32];
        size_t len = sizeof raw;
        CHECK(EVP_PKEY_get_raw_public_key(pkey, raw, &len));
        write_cstring(&w, key_type_name(KEY_ED25519));
        write_string(&w, view_of(raw, len));
        return writer_done(&w);
    }
    case EVP_PKEY_EC:
        return write_ec(&w, EVP_PKEY_get0_EC_KEY(pkey));
    case EVP_PKEY_RSA: {
        const RSA *rsa = EVP_PKEY_get0_RSA(pkey);
        if (RSA_bits(rsa) > KEY_RSA_BITS_MAX)
            return ERR_RANGE;
        write_cstring(&w, key_type_name(KEY_RSA));
        write_bn(&w, RSA_get0_e(rsa));
        write_bn(&w, RSA_get0_n(rsa));
        return writer_done(&w);
    }
    default: /* BoringSSL's numbers, not an enum of ours */
        return ERR_UNSUPPORTED;
    }
}
