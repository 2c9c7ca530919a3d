#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include "common/base/check.h"
#include "common/crypto/pkey.h"
#include "common/crypto/x509.h"
#include "common/crypto/x509_pem.h"

enum { SERIAL_LEN = 16, DERIVE_SECRET_MIN = 32, NAME_MAX_LEN = 255, CN_MAX_LEN = 64 };
enum { USAGE_DIGITAL_SIGNATURE = 0, USAGE_CERT_SIGN = 5, USAGE_CRL_SIGN = 6 }; /* §4.2.1.3 */

static const uint64_t derived_from_at = 1577836800000;  /* 2020-01-01T00:00:00Z */
static const uint64_t derived_until_at = 4102444799000; /* 2099-12-31T23:59:59Z */

static void free_cert(X509 **p)
{
    X509_free(*p);
}

void x509_pair_fini(struct x509_pair *p)
{
    if (p->key_pem)
        mem_wipe(p->key_pem, strlen(p->key_pem));
    mem_free(p->key_pem);
    mem_free(p->cert_pem);
    *p = (struct x509_pair){0};
}

static void add_ext(X509 *cert, int nid, void *value, bool critical)
{
    CHECK(X509_add1_ext_i2d(cert, nid, value, critical, X509V3_ADD_DEFAULT) == 1);
}

static enum err set_times(X509 *cert, uint64_t from_at, uint64_t until_at)
{
    ASN1_TIME *from = ASN1_TIME_set_posix(NULL, (int64_t)(from_at / 1000));
    ASN1_TIME *until = ASN1_TIME_set_posix(NULL, (int64_t)(until_at / 1000));
    bool ok = from && until && from_at < until_at && X509_set1_notBefore(cert, from) &&
              X509_set1_notAfter(cert, until);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return pkey_failed(ok ? OK : ERR_RANGE);
}

static void set_serial(X509 *cert, const uint8_t bytes[SERIAL_LEN])
{
    BIGNUM *n = BN_bin2bn(bytes, SERIAL_LEN, NULL);
    CHECK(n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)));
    BN_free(n);
}

static enum err set_subject(X509 *cert, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(cert);
    size_t len = common_name ? strlen(common_name) : 0;
    if (len == 0 || len > CN_MAX_LEN)
        return ERR_RANGE;
    if (!X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)common_name, -1, -1,
                                    0))
        return pkey_failed(ERR_SYNTAX);
    return OK;
}

/* RFC 7093 §2 (1): the first 160 bits of the SHA-256 of the public key. */
static void key_id(X509 *cert, uint8_t out[DIGEST_SHA256_LEN])
{
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(cert);
    digest(DIGEST_SHA256, view_of(ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits)),
           out);
}

static void add_key_ids(X509 *cert, X509 *issuer)
{
    uint8_t id[DIGEST_SHA256_LEN];
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    ASN1_OCTET_STRING *subject = ASN1_OCTET_STRING_new();
    CHECK(authority && subject);
    key_id(cert, id);
    CHECK(ASN1_OCTET_STRING_set(subject, id, 20));
    add_ext(cert, NID_subject_key_identifier, subject, false);
    /* What the issuer says of itself, as other tools may have made it. */
    const ASN1_OCTET_STRING *known = issuer == cert ? subject : X509_get0_subject_key_id(issuer);
    if (known) {
        authority->keyid = ASN1_OCTET_STRING_dup(known);
        CHECK(authority->keyid);
        add_ext(cert, NID_authority_key_identifier, authority, false);
    }
    ASN1_OCTET_STRING_free(subject);
    AUTHORITY_KEYID_free(authority);
}

static void add_usage(X509 *cert, bool is_ca)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    CHECK(constraints && usage);
    constraints->ca = is_ca ? 0xff : 0;
    if (is_ca) {
        constraints->pathlen = ASN1_INTEGER_new();
        CHECK(constraints->pathlen && ASN1_INTEGER_set_uint64(constraints->pathlen, 0));
        CHECK(ASN1_BIT_STRING_set_bit(usage, USAGE_CERT_SIGN, 1) &&
              ASN1_BIT_STRING_set_bit(usage, USAGE_CRL_SIGN, 1));
    } else {
        CHECK(ASN1_BIT_STRING_set_bit(usage, USAGE_DIGITAL_SIGNATURE, 1));
    }
    add_ext(cert, NID_basic_constraints, constraints, true);
    add_ext(cert, NID_key_usage, usage, true);
    ASN1_BIT_STRING_free(usage);
    BASIC_CONSTRAINTS_free(constraints);
}

static void add_extended_usage(X509 *cert, const struct x509_leaf *leaf)
{
    if (!leaf->server_auth && !leaf->client_auth)
        return;
    EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();
    CHECK(usage);
    if (leaf->server_auth)
        CHECK(sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_server_auth)));
    if (leaf->client_auth)
        CHECK(sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_client_auth)));
    add_ext(cert, NID_ext_key_usage, usage, false);
    EXTENDED_KEY_USAGE_free(usage);
}

static void push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value, struct view bytes)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    CHECK(name && value && ASN1_STRING_set(value, bytes.ptr, (ossl_ssize_t)bytes.len));
    GENERAL_NAME_set0_value(name, type, value);
    CHECK(sk_GENERAL_NAME_push(names, name));
}

static enum err push_texts(GENERAL_NAMES *names, int type, const char *const *list)
{
    for (; list && *list; list++) {
        struct view text = view_str(*list);
        if (text.len == 0 || text.len > NAME_MAX_LEN ||
            sk_GENERAL_NAME_num(names) >= X509_NAMES_MAX)
            return ERR_RANGE;
        for (size_t i = 0; i < text.len; i++)
            if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
                return ERR_SYNTAX;
        push_name(names, type, ASN1_IA5STRING_new(), text);
    }
    return OK;
}

static enum err push_ips(GENERAL_NAMES *names, const char *const *list)
{
    for (; list && *list; list++) {
        uint8_t bytes[16];
        size_t len = strchr(*list, ':') ? 16 : 4;
        if (inet_pton(len == 16 ? AF_INET6 : AF_INET, *list, bytes) != 1)
            return ERR_SYNTAX;
        if (sk_GENERAL_NAME_num(names) >= X509_NAMES_MAX)
            return ERR_RANGE;
        push_name(names, GEN_IPADD, ASN1_OCTET_STRING_new(), view_of(bytes, len));
    }
    return OK;
}

static enum err add_sans(X509 *cert, const struct x509_leaf *leaf)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    CHECK(names);
    enum err e = push_texts(names, GEN_URI, leaf->uris);
    if (e == OK)
        e = push_texts(names, GEN_DNS, leaf->dns);
    if (e == OK)
        e = push_ips(names, leaf->ips);
    if (e == OK && sk_GENERAL_NAME_num(names))
        add_ext(cert, NID_subject_alt_name, names, false);
    GENERAL_NAMES_free(names);
    return e;
}

static enum err write_pair(X509 *cert, const struct private_key *key, struct x509_pair *out)
{
    uint8_t *der = NULL;
    AUTO(buf_fini) struct buf cert_pem;
    AUTO(buf_wipe) struct buf key_pem;
    buf_init(&cert_pem, X509_PEM_MAX);
    buf_init(&key_pem, KEY_FILE_MAX);
    TRY(private_key_write_pem(key, &key_pem));
    int len = i2d_X509(cert, &der);
    CHECK(len > 0);
    enum err e = key_pem_write("CERTIFICATE", view_of(der, (size_t)len), 64, &cert_pem);
    OPENSSL_free(der);
    TRY(e);
    *out = (struct x509_pair){.cert_pem = buf_to_str(&cert_pem), .key_pem = buf_to_str(&key_pem)};
    return OK;
}

static X509 *new_cert(const struct private_key *key, const uint8_t serial[SERIAL_LEN])
{
    X509 *cert = X509_new();
    CHECK(cert && X509_set_version(cert, X509_VERSION_3) && X509_set_pubkey(cert, key->pkey));
    set_serial(cert, serial);
    return cert;
}

/* RFC 5280 §4.1.2.2: positive, 20 bytes at most. */
static void random_serial(uint8_t out[SERIAL_LEN])
{
    struct rng rng = rng_system();
    rng_fill(&rng, out, SERIAL_LEN);
    out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
}

static enum err make_ca(const char *common_name, uint64_t from_at, uint64_t until_at,
                        const struct private_key *key, const uint8_t serial[SERIAL_LEN],
                        struct x509_pair *out)
{
    AUTO(free_cert) X509 *cert = new_cert(key, serial);
    TRY(set_times(cert, from_at, until_at));
    TRY(set_subject(cert, common_name));
    CHECK(X509_set_issuer_name(cert, X509_get_subject_name(cert)));
    add_usage(cert, true);
    add_key_ids(cert, cert);
    CHECK(X509_sign(cert, key->pkey, EVP_sha256()));
    return write_pair(cert, key, out);
}

enum err x509_make_ca(const char *common_name, uint64_t not_before_at, uint64_t not_after_at,
                      struct x509_pair *out)
{
    uint8_t serial[SERIAL_LEN];
    struct rng rng = rng_system();
    AUTO(private_key_fini) struct private_key key = {0};
    random_serial(serial);
    TRY(private_key_generate(&key, KEY_ECDSA_P256, &rng));
    return make_ca(common_name, not_before_at, not_after_at, &key, serial, out);
}

enum err x509_derive_ca(struct view shared_secret, struct x509_pair *out)
{
    static const uint8_t serial[SERIAL_LEN] = {[SERIAL_LEN - 1] = 1};
    uint8_t secret[32];
    AUTO(private_key_fini) struct private_key key = {0};
    if (shared_secret.len < DERIVE_SECRET_MIN)
        return ERR_RANGE;
    digest_hkdf(shared_secret, view_of(NULL, 0), VIEW("postern service ca 1"), secret,
                sizeof secret);
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    AUTO(pkey_free_ec) EC_KEY *ec = EC_KEY_derive_from_secret(group, secret, sizeof secret);
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(ec && pkey && EVP_PKEY_set1_EC_KEY(pkey, ec));
    EC_GROUP_free(group);
    mem_wipe(secret, sizeof secret);
    TRY(private_key_adopt(&key, pkey));
    return make_ca("postern service ca 1", derived_from_at, derived_until_at, &key, serial, out);
}

static enum err make_leaf(X509 *issuer, const struct private_key *issuer_key,
                          const struct x509_leaf *leaf, struct x509_pair *out)
{
    uint8_t serial[SERIAL_LEN];
    struct rng rng = rng_system();
    AUTO(private_key_fini) struct private_key key = {0};
    TRY(private_key_generate(&key, KEY_ECDSA_P256, &rng));
    random_serial(serial);
    AUTO(free_cert) X509 *cert = new_cert(&key, serial);
    TRY(set_times(cert, leaf->not_before_at, leaf->not_after_at));
    TRY(set_subject(cert, leaf->common_name));
    CHECK(X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)));
    add_usage(cert, false);
    add_extended_usage(cert, leaf);
    TRY(add_sans(cert, leaf));
    add_key_ids(cert, issuer ? issuer : cert);
    const struct private_key *signer = issuer ? issuer_key : &key;
    bool is_ed25519 = signer->public.type == KEY_ED25519;
    CHECK(X509_sign(cert, signer->pkey, is_ed25519 ? NULL : EVP_sha256()));
    return write_pair(cert, &key, out);
}

enum err x509_make_leaf(const struct x509_pair *ca, const struct x509_leaf *leaf,
                        struct x509_pair *out)
{
    AUTO(x509_pem_free) STACK_OF(X509) *certs = NULL;
    AUTO(private_key_fini) struct private_key key = {0};
    TRY(x509_pem_read(view_str(ca->cert_pem), &certs));
    TRY(private_key_parse(&key, view_str(ca->key_pem)));
    X509 *issuer = sk_X509_value(certs, 0);
    if (X509_check_ca(issuer) != 1 || X509_check_private_key(issuer, key.pkey) != 1)
        return pkey_failed(ERR_SYNTAX);
    return make_leaf(issuer, &key, leaf, out);
}

enum err x509_make_self_signed(const struct x509_leaf *leaf, struct x509_pair *out)
{
    return make_leaf(NULL, NULL, leaf, out);
}

enum err x509_make_service(const struct x509_pair *ca, const char *service,
                           const struct x509_leaf *extra, struct x509_pair *out)
{
    AUTO_FREE char *uri = mem_printf("postern://service/%s", service);
    const char *uris[] = {uri, NULL};
    struct x509_leaf leaf = *extra;
    leaf.common_name = service;
    leaf.uris = uris;
    leaf.server_auth = true;
    leaf.client_auth = true;
    return x509_make_leaf(ca, &leaf, out);
}
