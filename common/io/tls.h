/*
 * TLS contexts: what a stream needs to speak TLS. At least TLS 1.2, ECDHE and AEAD only, no
 * renegotiation, no compression, no 0-RTT, no resumption. A context is immutable, counted and may
 * be shared by streams of one or several loops; a reload makes a new one. Nothing of BoringSSL
 * shows here.
 */
#ifndef COMMON_IO_TLS_H
#define COMMON_IO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/view.h"

struct tls_context;

/* One signature that another process makes, see tls_signer. */
struct tls_sign;

/*
 * Signs with keys that this process does not hold. `sign` is asked on the stream's loop thread for
 * chain `chain` (the index in tls_server_spec.chains); `algorithm` is the TLS SignatureScheme,
 * `input` what is to be signed (not hashed), valid during the call. It is answered exactly once by
 * tls_sign_done on the same thread, inside `sign` or later, also after the stream has gone.
 */
struct tls_signer {
    void (*sign)(void *ctx, struct tls_sign *op, size_t chain, uint16_t algorithm,
                 struct view input);
    void *ctx;
};

/* An `err` other than OK fails the handshake. `signature` is copied. Consumes `op`. */
void tls_sign_done(struct tls_sign *op, enum err err, struct view signature);

struct tls_chain {
    const char *chain_pem; /* leaf first, then intermediates */
    const char *key_pem;   /* NULL: the signer has it */
};

struct tls_server_spec {
    /*
     * The chain whose leaf has a DNS or IP name that is SNI, else the first with a wildcard that
     * matches it, else the first. At least one.
     */
    const struct tls_chain *chains;
    size_t chain_count;
    struct tls_signer signer; /* used by chains without a key */
    /* Not NULL: the client must show a certificate that this CA (PEM) issued for client use. */
    const char *client_ca_pem;
    /* Not NULL, instead of client_ca_pem and client_uri: see struct tls_client_rules. */
    const struct tls_client_rules *client_rules;
    /* Not NULL: with exactly one URI name, equal to this. NULL: exactly one, any. */
    const char *client_uri;
    bool alpn_http1; /* choose "http/1.1"; a client that offers ALPN without it is refused */
    bool alpn_h2;    /* with alpn_http1: choose "h2" before it */
};

/*
 * One name of a client's certificate has to match. A name with a NUL or of more than 256 bytes
 * never does. An address is matched in its usual text form.
 */
struct tls_san_match {
    const char *kind;    /* dns, email, ip_address, uri, user_principal_name */
    const char *pattern; /* POSIX extended regular expression for the whole name */
};

/*
 * Client certificates are asked for. One that is not good, or none, ends the handshake when
 * `required`; else the connection goes on and stream_client_certificate says what there was.
 */
struct tls_client_rules {
    const char *ca_pem;
    /*
     * NULL: no revocation list. Else the leaf's issuer must have one here, and the certificates
     * above are checked against those that there are; one that is out of date counts for nobody.
     */
    const char *crl_pem;
    bool required;
    unsigned max_depth; /* certificates above the leaf: 1 is issued by the CA itself; 0: no limit */
    const struct tls_san_match *matches;
    size_t match_count; /* 0: any name */
};

/* What a client has shown; live as long as the stream. */
struct tls_client_certificate {
    bool presented;
    bool valid;
    const char *error; /* presented and not valid: why; else "" */
    struct view leaf;  /* DER */
};

struct tls_client_spec {
    const char *ca_pem; /* NULL: the system's store */
    /* Not NULL: exactly one URI name in the leaf, equal to this. NULL: the stream's host name. */
    const char *server_uri;
    bool skip_verify;      /* whoever answers is taken */
    const char *chain_pem; /* our certificate, or NULL */
    const char *key_pem;
    bool alpn_http1;
    bool alpn_h2; /* with alpn_http1: offers "h2" first */
};

/*
 * ERR_CONFIG when a certificate, key or CA is malformed or does not fit; *out_why then says what,
 * in fresh memory. The spec is not kept.
 */
enum err tls_server_new(const struct tls_server_spec *spec, struct tls_context **out,
                        char **out_why);
enum err tls_client_new(const struct tls_client_spec *spec, struct tls_context **out,
                        char **out_why);

/* Any thread. tls_unref of NULL is fine. */
struct tls_context *tls_ref(struct tls_context *t);
void tls_unref(struct tls_context *t);

/*
 * What a holder of the key does for a signer elsewhere: the signature of `input` in the form that
 * TLS wants. ERR_UNSUPPORTED when the algorithm does not fit the key, ERR_CONFIG for a bad key.
 */
struct tls_key;
enum err tls_key_parse(const char *pem, struct tls_key **out);
void tls_key_free(struct tls_key *k);
enum { TLS_SIGNATURE_MAX = 1024 };
struct buf;
enum err tls_key_sign(const struct tls_key *k, uint16_t algorithm, struct view input,
                      struct buf *out);

/* ERR_MISMATCH when the key is not that of the chain's leaf, ERR_CONFIG when either is bad. */
enum err tls_key_fits(const struct tls_key *k, const char *chain_pem);

/* False for PKCS#1 v1.5, which TLS 1.3 does not allow here (RFC 8446 §4.2.3), and for unknown. */
bool tls_algorithm_is_tls13(uint16_t algorithm);

/*
 * True when `input` is what a TLS 1.3 server signs (RFC 8446 §4.4.3): 64 spaces, the context
 * string "TLS 1.3, server CertificateVerify", a zero byte and a hash of 32 or 48 bytes.
 */
bool tls_input_is_tls13(struct view input);

/*
 * True when `input` has the form of a TLS 1.2 ECDHE ServerKeyExchange signature (RFC 8422 §5.4):
 * two randoms, named curve, a point of that curve's size and nothing else.
 */
bool tls_input_is_tls12(struct view input);

#endif
