#include <openssl/base.h>
#ifndef OPENSSL_IS_BORINGSSL
#error "common/io needs BoringSSL"
#endif
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/tls_parts.h"

/* ECDHE and AEAD alone, so that a stolen key decrypts nothing and no RSA decryption is asked for.
 */
static const char ciphers[] = "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:"
                              "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

static const uint16_t signing[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_ED25519,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_RSA_PKCS1_SHA512,
};

static const uint8_t http2_and_1[] = "\x02h2\x08http/1.1";
enum { ALPN_H2_LEN = 3 }; /* what stands before http/1.1 */

/* `name` with its length before it, in the client's list: the place, or NULL. */
static const uint8_t *find_alpn(struct view list, struct view name)
{
    for (size_t i = 0; list.ptr && i < list.len; i += 1u + list.ptr[i]) {
        if (view_starts_with(view_skip(list, i), name))
            return list.ptr + i + 1;
    }
    return NULL;
}

static int choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                       unsigned in_len, void *arg)
{
    (void)ssl;
    const struct tls_context *t = arg;
    struct view list = view_of(in, in_len);
    struct view both = view_of(http2_and_1, sizeof http2_and_1 - 1);
    const uint8_t *found = t->has_h2 ? find_alpn(list, view_take(both, ALPN_H2_LEN)) : NULL;
    if (!found)
        found = find_alpn(list, view_skip(both, ALPN_H2_LEN));
    if (!found) /* RFC 7301 §3.2 */
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = found;
    *out_len = found[-1];
    return SSL_TLSEXT_ERR_OK;
}

static struct tls_context *context_new(bool server)
{
    struct tls_context *t = mem_zalloc(sizeof *t);
    atomic_init(&t->refs, 1);
    t->server = server;
    t->ssl_ctx = SSL_CTX_new(TLS_method());
    t->bio_method = tls_bio_method();
    CHECK(t->ssl_ctx);
    SSL_CTX *c = t->ssl_ctx;
    CHECK(SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION));
    CHECK(SSL_CTX_set_strict_cipher_list(c, ciphers));
    CHECK(SSL_CTX_set_signing_algorithm_prefs(c, signing, ARRAY_LEN(signing)));
    CHECK(SSL_CTX_set_verify_algorithm_prefs(c, signing, ARRAY_LEN(signing)));
    /* No tickets: each connection shows its certificate. */
    (void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_cert_verify_callback(c, tls_verify, t);
    SSL_CTX_set_keylog_callback(c, tls_take_secret);
    return t;
}

struct tls_context *tls_ref(struct tls_context *t)
{
    atomic_fetch_add(&t->refs, 1);
    return t;
}

void tls_unref(struct tls_context *t)
{
    if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    for (size_t i = 0; i < t->chain_count; i++)
        tls_parsed_fini(&t->chains[i]);
    mem_free(t->chains);
    mem_free(t->peer_uri);
    tls_rules_free(t->rules);
    SSL_CTX_free(t->ssl_ctx);
    BIO_meth_free(t->bio_method);
    mem_free(t);
}

static enum err require_client(struct tls_context *t, const struct tls_server_spec *spec)
{
    SSL_CTX *c = t->ssl_ctx;
    t->needs_peer_uri = true;
    if (spec->client_uri)
        t->peer_uri = mem_strdup(spec->client_uri);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return tls_store_fill(SSL_CTX_get_cert_store(c), spec->client_ca_pem, c);
}

static enum err server_fill(struct tls_context *t, const struct tls_server_spec *spec,
                            char **out_why)
{
    CHECK(spec->chain_count > 0 && spec->chain_count <= TLS_CHAINS_MAX);
    t->signer = spec->signer;
    t->chains = mem_zalloc_array(spec->chain_count, sizeof *t->chains);
    for (; t->chain_count < spec->chain_count; t->chain_count++) {
        CHECK(spec->chains[t->chain_count].key_pem || spec->signer.sign);
        TRY(tls_parsed_init(&t->chains[t->chain_count], &spec->chains[t->chain_count], out_why));
    }
    tls_set_default_chain(t);
    SSL_CTX_set_cert_cb(t->ssl_ctx, tls_choose_chain, t);
    t->has_h2 = spec->alpn_h2;
    if (spec->alpn_http1)
        SSL_CTX_set_alpn_select_cb(t->ssl_ctx, choose_alpn, t);
    if (spec->client_rules)
        return tls_rules_new(t->ssl_ctx, spec->client_rules, &t->rules, out_why);
    if (spec->client_ca_pem && require_client(t, spec) != OK) {
        *out_why = mem_strdup("the certificate authority is no PEM certificate");
        return ERR_CONFIG;
    }
    return OK;
}

enum err tls_server_new(const struct tls_server_spec *spec, struct tls_context **out,
                        char **out_why)
{
    struct tls_context *t = context_new(true);
    enum err e = server_fill(t, spec, out_why);
    ERR_clear_error();
    if (e != OK)
        tls_unref(t);
    else
        *out = t;
    return e;
}

static enum err load_system_store(X509_STORE *store)
{
    static const char *const files[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (X509_STORE_load_locations(store, files[i], NULL))
            return OK;
    }
    return ERR_NOT_FOUND;
}

static enum err client_identity(struct tls_context *t, const struct tls_client_spec *spec,
                                char **out_why)
{
    struct tls_parsed p = {0};
    const struct tls_chain chain = {.chain_pem = spec->chain_pem, .key_pem = spec->key_pem};
    TRY(tls_parsed_init(&p, &chain, out_why));
    int ok = SSL_CTX_set_chain_and_key(t->ssl_ctx, p.certs, p.count, p.key, NULL);
    tls_parsed_fini(&p);
    if (ok)
        return OK;
    *out_why = mem_strdup("the certificate and its key cannot be used");
    return ERR_CONFIG;
}

static enum err client_trust(struct tls_context *t, const struct tls_client_spec *spec,
                             char **out_why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(t->ssl_ctx);
    if (spec->server_uri) {
        t->needs_peer_uri = true;
        t->peer_uri = mem_strdup(spec->server_uri);
    }
    if (spec->ca_pem && tls_store_fill(store, spec->ca_pem, NULL) != OK) {
        *out_why = mem_strdup("the certificate authority is no PEM certificate");
        return ERR_CONFIG;
    }
    /* A certificate that is named as trusted is good for itself, as a self-signed one has to be. */
    if (spec->ca_pem && !spec->server_uri)
        CHECK(X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN));
    if (!spec->ca_pem && load_system_store(store) != OK) {
        *out_why = mem_strdup("the system has no bundle of certificate authorities");
        return ERR_CONFIG;
    }
    return OK;
}

static enum err client_fill(struct tls_context *t, const struct tls_client_spec *spec,
                            char **out_why)
{
    struct view alpn = view_of(http2_and_1, sizeof http2_and_1 - 1);
    if (!spec->alpn_h2)
        alpn = view_skip(alpn, ALPN_H2_LEN);
    if (spec->alpn_http1)
        CHECK(SSL_CTX_set_alpn_protos(t->ssl_ctx, alpn.ptr, alpn.len) == 0);
    SSL_CTX_set_verify(t->ssl_ctx, SSL_VERIFY_PEER, NULL);
    t->skip_verify = spec->skip_verify;
    if (!spec->skip_verify)
        TRY(client_trust(t, spec, out_why));
    return spec->chain_pem ? client_identity(t, spec, out_why) : OK;
}

enum err tls_client_new(const struct tls_client_spec *spec, struct tls_context **out,
                        char **out_why)
{
    struct tls_context *t = context_new(false);
    enum err e = client_fill(t, spec, out_why);
    ERR_clear_error();
    if (e != OK)
        tls_unref(t);
    else
        *out = t;
    return e;
}
