/* Private to tls_*.c. */
#ifndef COMMON_IO_TLS_PARTS_H
#define COMMON_IO_TLS_PARTS_H

#include <stdatomic.h>

#include "common/io/tls.h"
#include "common/io/tls_link.h"
#include "common/io/tls_session.h"

struct bio_method_st;
struct bio_st;
struct crypto_buffer_st;
struct evp_pkey_st;
struct ssl_ctx_st;
struct ssl_private_key_method_st;
struct ssl_st;
struct x509_st;
struct x509_store_ctx_st;
struct x509_store_st;

enum {
    TLS_CHAIN_MAX = 10,
    TLS_CHAINS_MAX = 64,
    TLS_CA_MAX = 1000,
    TLS_PEM_MAX = 1 << 20,
    TLS_AHEAD_MAX = 4096
};

/* A parsed tls_chain. */
struct tls_parsed {
    struct crypto_buffer_st *certs[TLS_CHAIN_MAX];
    size_t count;
    struct x509_st *leaf;
    struct evp_pkey_st *key; /* NULL: the signer's */
};

/* A parsed tls_client_rules. */
struct tls_rules;

struct tls_context {
    atomic_uint refs;
    struct ssl_ctx_st *ssl_ctx;
    struct bio_method_st *bio_method;
    bool server;
    bool needs_peer_uri; /* exactly one URI name in the peer's leaf */
    char *peer_uri;      /* which it has to be, or NULL */
    struct tls_parsed *chains;
    size_t chain_count;
    bool has_default; /* each SSL has the first chain from the beginning */
    struct tls_signer signer;
    struct tls_rules *rules; /* NULL: none */
    bool skip_verify;
    bool has_h2; /* server: ALPN may choose it */
};

struct tls_session {
    struct ssl_st *ssl;    /* NULL once `link` has taken over */
    struct tls_link *link; /* NULL before, and with TLS 1.2 */
    struct tls_context *context;
    struct loop *loop;
    int fd;
    struct buf ahead;             /* read during the handshake and not yet asked for */
    bool drained;                 /* the last read took all that there was */
    bool opened;                  /* the handshake is over */
    struct tls_record_keys *keys; /* of reading and writing, during a TLS 1.3 handshake */
    char *server_name;            /* SNI */
    const char *alpn;             /* static */
    struct tls_sign *op;
    size_t chain;
    enum tls_want want;
    void (*wake)(void *ctx);
    void *ctx;
    char *peer_uri;
    char *why;
    bool presented; /* a client certificate, under rules */
    bool valid;
    char *invalid; /* why not, or NULL */
    uint8_t *leaf; /* DER */
    size_t leaf_len;
    bool refused; /* by verification */
    bool failed;  /* no close_notify any more */
};

enum err tls_parse_key(const char *pem, struct evp_pkey_st **out);
enum err tls_parsed_init(struct tls_parsed *p, const struct tls_chain *chain, char **out_why);
void tls_parsed_fini(struct tls_parsed *p);

/* Adds every certificate of the PEM; `names` collects them for a CertificateRequest. */
enum err tls_store_fill(struct x509_store_st *store, const char *pem, struct ssl_ctx_st *names);

/* For SSL_CTX_set_cert_verify_callback. */
int tls_verify(struct x509_store_ctx_st *store, void *context);

/* ERR_CONFIG with *out_why. Fills the context's store and its list of names. */
enum err tls_rules_new(struct ssl_ctx_st *ctx, const struct tls_client_rules *spec,
                       struct tls_rules **out, char **out_why);
void tls_rules_free(struct tls_rules *r);

/* tls_verify under rules: records in `t` what was shown and whether it is good. */
int tls_rules_verify(const struct tls_rules *r, struct tls_session *t,
                     struct x509_store_ctx_st *store);

/* So that BoringSSL parses it once and not for each connection. */
void tls_set_default_chain(struct tls_context *c);

/* For SSL_CTX_set_cert_cb: chooses the chain by SNI. */
int tls_choose_chain(struct ssl_st *ssl, void *context);

/* For SSL_CTX_set_keylog_callback: the only way to a TLS 1.3 connection's keys in C. */
void tls_take_secret(const struct ssl_st *ssl, const char *line);

/* What connects SSL with the session's socket; `ahead` is its own. */
struct bio_method_st *tls_bio_method(void);
struct bio_st *tls_bio_new(struct tls_session *t);

/* The key operations that ask the context's signer. */
const struct ssl_private_key_method_st *tls_remote_key(void);

struct tls_session *tls_session_of(const struct ssl_st *ssl);
void tls_session_say(struct tls_session *t, const char *what, const char *detail);

#endif
