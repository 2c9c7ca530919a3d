#include "common/crypto/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/base/check.h"
#include "common/crypto/pkey.h"
#include "common/crypto/x509_pem.h"

static int no_password(char *buf, int size, int rwflag, void *userdata)
{
    (void)buf, (void)size, (void)rwflag, (void)userdata;
    return -1;
}

/* The end of the text looks like an error to the PEM reader. */
static bool is_end_of_pem(void)
{
    uint32_t e = ERR_peek_last_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

enum err x509_pem_read(struct view pem, STACK_OF(X509) * *out)
{
    if (pem.len > X509_PEM_MAX)
        return ERR_LIMIT;
    if (pem.len == 0)
        return ERR_SYNTAX;
    AUTO(x509_pem_free) STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    CHECK(certs && bio);
    ERR_clear_error();
    X509 *cert;
    enum err e = OK;
    while ((cert = PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
        CHECK(sk_X509_push(certs, cert));
        if (sk_X509_num(certs) > 8192)
            e = ERR_LIMIT;
    }
    if (e == OK && (!is_end_of_pem() || sk_X509_num(certs) == 0))
        e = ERR_SYNTAX;
    BIO_free(bio);
    ERR_clear_error();
    TRY(e);
    *out = certs;
    certs = NULL;
    return OK;
}

static enum err to_ms(const ASN1_TIME *t, uint64_t *out_at)
{
    int64_t s;
    if (!ASN1_TIME_to_posix(t, &s))
        return pkey_failed(ERR_SYNTAX);
    *out_at = s > 0 ? (uint64_t)s * 1000 : 0;
    return OK;
}

/* A NUL or a control byte within a name would make the rest disappear from the C string. */
static enum err name_to_str(const ASN1_STRING *s, char **out)
{
    struct view v = view_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] <= ' ' || v.ptr[i] >= 0x7f)
            return ERR_SYNTAX;
    *out = mem_strndup(v.ptr, v.len);
    return OK;
}

static enum err read_names(const GENERAL_NAMES *names, struct x509_info *i)
{
    size_t count = sk_GENERAL_NAME_num(names);
    if (count > X509_NAMES_MAX)
        return ERR_LIMIT;
    i->uris = mem_zalloc_array(count, sizeof *i->uris);
    i->dns = mem_zalloc_array(count, sizeof *i->dns);
    for (size_t n = 0; n < count; n++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, n);
        if (name->type == GEN_URI) {
            TRY(name_to_str(name->d.uniformResourceIdentifier, &i->uris[i->uris_len]));
            i->uris_len++;
        } else if (name->type == GEN_DNS) {
            TRY(name_to_str(name->d.dNSName, &i->dns[i->dns_len]));
            i->dns_len++;
        }
    }
    return OK;
}

static enum err read_sans(X509 *cert, struct x509_info *i)
{
    int critical = -1;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    /* -1: there is none. Otherwise it is malformed or there are two. */
    if (!names)
        return pkey_failed(critical == -1 ? OK : ERR_SYNTAX);
    enum err e = read_names(names, i);
    GENERAL_NAMES_free(names);
    return e;
}

static char *subject_of(X509 *cert)
{
    const uint8_t *text = NULL;
    size_t len = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(bio);
    (void)X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
    CHECK(BIO_mem_contents(bio, &text, &len));
    char *out = mem_strndup(text, len);
    BIO_free(bio);
    return out;
}

static enum err read_info(X509 *cert, struct x509_info *i)
{
    unsigned len = sizeof i->fingerprint;
    TRY(to_ms(X509_get0_notBefore(cert), &i->not_before_at));
    TRY(to_ms(X509_get0_notAfter(cert), &i->not_after_at));
    TRY(read_sans(cert, i));
    i->subject = subject_of(cert);
    i->is_ca = X509_check_ca(cert) == 1;
    if (!X509_digest(cert, EVP_sha256(), i->fingerprint, &len))
        return pkey_failed(ERR_SYNTAX);
    return pkey_failed(OK);
}

enum err x509_info_parse(struct x509_info *i, struct view pem)
{
    AUTO(x509_pem_free) STACK_OF(X509) *certs = NULL;
    TRY(x509_pem_read(pem, &certs));
    struct x509_info fresh = {0};
    enum err e = read_info(sk_X509_value(certs, 0), &fresh);
    if (e == OK)
        *i = fresh;
    else
        x509_info_fini(&fresh);
    return e;
}

void x509_info_fini(struct x509_info *i)
{
    for (size_t n = 0; n < i->uris_len; n++)
        mem_free(i->uris[n]);
    for (size_t n = 0; n < i->dns_len; n++)
        mem_free(i->dns[n]);
    mem_free(i->uris);
    mem_free(i->dns);
    mem_free(i->subject);
    *i = (struct x509_info){0};
}

enum err x509_check_pair(struct view cert_pem, struct view key_pem)
{
    AUTO(x509_pem_free) STACK_OF(X509) *certs = NULL;
    AUTO(private_key_fini) struct private_key key = {0};
    TRY(x509_pem_read(cert_pem, &certs));
    TRY(private_key_parse(&key, key_pem));
    if (X509_check_private_key(sk_X509_value(certs, 0), key.pkey) != 1)
        return pkey_failed(ERR_MISMATCH);
    return OK;
}

static enum err verify_result(X509_STORE_CTX *ctx)
{
    switch (X509_STORE_CTX_get_error(ctx)) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return ERR_EXPIRED;
    default: /* BoringSSL's numbers, not an enum of ours */
        return ERR_VERIFY;
    }
}

enum err x509_verify(struct view pem, struct view ca_pem, uint64_t now_at)
{
    AUTO(x509_pem_free) STACK_OF(X509) *chain = NULL;
    AUTO(x509_pem_free) STACK_OF(X509) *roots = NULL;
    TRY(x509_pem_read(pem, &chain));
    TRY(x509_pem_read(ca_pem, &roots));
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    CHECK(store && ctx);
    for (size_t i = 0; i < sk_X509_num(roots); i++)
        (void)X509_STORE_add_cert(store, sk_X509_value(roots, i));
    CHECK(X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain));
    /* What the caller names is an anchor, also an intermediate or a self-signed leaf. */
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
    X509_STORE_CTX_set_time_posix(ctx, 0, (int64_t)(now_at / 1000));
    enum err e = X509_verify_cert(ctx) == 1 ? OK : verify_result(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return pkey_failed(e);
}

enum err x509_count(struct view pem, size_t *out)
{
    AUTO(x509_pem_free) STACK_OF(X509) *certs = NULL;
    TRY(x509_pem_read(pem, &certs));
    *out = sk_X509_num(certs);
    return OK;
}
