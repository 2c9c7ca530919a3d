#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/address.h"
#include "common/io/tls_parts.h"

static BIO *open_pem(const char *pem)
{
    size_t len = pem ? strnlen(pem, TLS_PEM_MAX + 1) : 0;
    return len == 0 || len > TLS_PEM_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
}

/* A key with a passphrase is refused, never asked for. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return 0;
}

enum err tls_parse_key(const char *pem, EVP_PKEY **out)
{
    BIO *bio = open_pem(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (!key)
        return ERR_CONFIG;
    *out = key;
    return OK;
}

static enum err add_cert(struct tls_parsed *p, X509 *x)
{
    uint8_t *der = NULL;
    int len = i2d_X509(x, &der);
    if (len <= 0)
        return ERR_CONFIG;
    p->certs[p->count] = CRYPTO_BUFFER_new(der, (size_t)len, NULL);
    OPENSSL_free(der);
    CHECK(p->certs[p->count]);
    p->count++;
    return OK;
}

static enum err parse_chain(struct tls_parsed *p, BIO *bio)
{
    X509 *x;
    while ((x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
        enum err e = p->count < TLS_CHAIN_MAX ? add_cert(p, x) : ERR_LIMIT;
        if (p->leaf)
            X509_free(x);
        else
            p->leaf = x;
        TRY(e);
    }
    /* The end of the text is no error, anything else is. */
    uint32_t why = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return at_end && p->count > 0 ? OK : ERR_CONFIG;
}

enum err tls_parsed_init(struct tls_parsed *p, const struct tls_chain *chain, char **out_why)
{
    *p = (struct tls_parsed){0};
    BIO *bio = open_pem(chain->chain_pem);
    enum err e = bio ? parse_chain(p, bio) : ERR_CONFIG;
    BIO_free(bio);
    const char *why = e == OK ? NULL : "the certificate is no chain of PEM certificates";
    if (e == OK && chain->key_pem) {
        e = tls_parse_key(chain->key_pem, &p->key);
        if (e != OK)
            why = "the private key is no unencrypted PEM key";
        else if (!X509_check_private_key(p->leaf, p->key))
            why = "the private key is not the certificate's";
    }
    ERR_clear_error();
    if (!why)
        return OK;
    tls_parsed_fini(p);
    *out_why = mem_strdup(why);
    return ERR_CONFIG;
}

void tls_parsed_fini(struct tls_parsed *p)
{
    for (size_t i = 0; i < p->count; i++)
        CRYPTO_BUFFER_free(p->certs[i]);
    X509_free(p->leaf);
    EVP_PKEY_free(p->key);
    *p = (struct tls_parsed){0};
}

enum err tls_store_fill(X509_STORE *store, const char *pem, SSL_CTX *names)
{
    BIO *bio = open_pem(pem);
    size_t count = 0;
    bool ok = bio != NULL;
    X509 *x;
    while (ok && (x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
        ok = ++count <= TLS_CA_MAX && X509_STORE_add_cert(store, x) &&
             (!names || SSL_CTX_add_client_CA(names, x));
        X509_free(x);
    }
    BIO_free(bio);
    ERR_clear_error();
    return ok && count > 0 ? OK : ERR_CONFIG;
}

/* The one URI name; several are as none. Fresh memory. */
static char *only_uri(X509 *leaf)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t count = 0;
    char *uri = NULL;
    for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_STRING *text = name->d.uniformResourceIdentifier;
        struct view v = view_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
        if (count++ == 0 && view_find(v, 0) < 0)
            uri = mem_strndup(v.ptr, v.len);
    }
    GENERAL_NAMES_free(names);
    if (count == 1)
        return uri;
    mem_free(uri);
    return NULL;
}

int tls_verify(X509_STORE_CTX *store, void *context)
{
    const struct tls_context *c = context;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *t = tls_session_of(ssl);
    if (c->skip_verify)
        return 1;
    if (c->rules)
        return tls_rules_verify(c->rules, t, store);
    if (X509_verify_cert(store) != 1) {
        t->refused = true;
        tls_session_say(t, "the peer's certificate",
                        X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
        return 0;
    }
    mem_free(t->peer_uri);
    t->peer_uri = only_uri(X509_STORE_CTX_get0_cert(store));
    bool right = !c->needs_peer_uri ||
                 (t->peer_uri && (!c->peer_uri || strcmp(t->peer_uri, c->peer_uri) == 0));
    if (right)
        return 1;
    t->refused = true;
    tls_session_say(t, "the peer's certificate is of",
                    t->peer_uri ? t->peer_uri : "no single service");
    mem_free(t->peer_uri);
    t->peer_uri = NULL;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

/* A whole name in the first round, a wildcard in the second. */
static bool leaf_has_name(X509 *leaf, struct view name, bool wildcard)
{
    char text[ADDRESS_HOST_MAX + 1];
    struct address ip;
    (void)snprintf(text, sizeof text, "%.*s", VIEW_FMT(name));
    if (address_parse_ip(name, &ip) == OK)
        return X509_check_ip_asc(leaf, text, 0) == 1;
    return X509_check_host(leaf, text, name.len, wildcard ? 0 : X509_CHECK_FLAG_NO_WILDCARDS,
                           NULL) == 1;
}

/* The last label's dot is no part of SNI (RFC 6066 §3), and sent by some all the same. */
static size_t chain_of(const struct tls_context *c, const char *server_name)
{
    struct view name = view_str(server_name);
    if (view_ends_with(name, VIEW(".")))
        name = view_take(name, name.len - 1);
    if (name.len == 0 || name.len > ADDRESS_HOST_MAX)
        return 0;
    for (int wildcard = 0; wildcard < 2 && c->chain_count > 1; wildcard++) {
        for (size_t i = 0; i < c->chain_count; i++) {
            if (leaf_has_name(c->chains[i].leaf, name, wildcard != 0))
                return i;
        }
    }
    return 0;
}

void tls_set_default_chain(struct tls_context *c)
{
    const struct tls_parsed *p = &c->chains[0];
    c->has_default = SSL_CTX_set_chain_and_key(c->ssl_ctx, p->certs, p->count, p->key,
                                               p->key ? NULL : tls_remote_key());
}

int tls_choose_chain(SSL *ssl, void *context)
{
    const struct tls_context *c = context;
    struct tls_session *t = tls_session_of(ssl);
    t->chain = chain_of(c, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    const struct tls_parsed *p = &c->chains[t->chain];
    if (t->chain == 0 && c->has_default)
        return 1;
    return SSL_set_chain_and_key(ssl, p->certs, p->count, p->key, p->key ? NULL : tls_remote_key());
}
