#include "common/io/tls_session.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/address.h"
#include "common/io/tls_parts.h"

struct tls_sign {
    struct tls_session *session; /* NULL once that is gone */
    unsigned refs;               /* the session's and the signer's */
    bool done;
    enum err err;
    size_t len;
    uint8_t signature[TLS_SIGNATURE_MAX];
};

struct tls_session *tls_session_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

void tls_session_say(struct tls_session *t, const char *what, const char *detail)
{
    mem_free(t->why);
    t->why = mem_printf("%s%s%s", what, *detail ? ": " : "", detail);
}

static void sign_unref(struct tls_sign *op)
{
    if (--op->refs == 0)
        mem_free(op);
}

static void drop_op(struct tls_session *t)
{
    if (!t->op)
        return;
    t->op->session = NULL;
    sign_unref(t->op);
    t->op = NULL;
}

void tls_sign_done(struct tls_sign *op, enum err err, struct view signature)
{
    struct tls_session *t = op->session;
    if (t) {
        op->done = true;
        op->err = err == OK && signature.len > sizeof op->signature ? ERR_LIMIT : err;
        if (op->err == OK) {
            op->len = signature.len;
            memcpy(op->signature, signature.ptr, signature.len);
        }
        t->wake(t->ctx);
    }
    sign_unref(op);
}

static enum ssl_private_key_result_t complete(SSL *ssl, uint8_t *out, size_t *out_len,
                                              size_t max_out)
{
    struct tls_session *t = tls_session_of(ssl);
    struct tls_sign *op = t->op;
    if (!op->done)
        return ssl_private_key_retry;
    bool ok = op->err == OK && op->len <= max_out;
    if (ok) {
        memcpy(out, op->signature, op->len);
        *out_len = op->len;
    } else {
        tls_session_say(t, "the private key did not sign", err_text(op->err));
    }
    drop_op(t);
    return ok ? ssl_private_key_success : ssl_private_key_failure;
}

/* BoringSSL's signature. NOLINTNEXTLINE(readability-function-size) */
static enum ssl_private_key_result_t sign(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out,
                                          uint16_t algorithm, const uint8_t *in, size_t in_len)
{
    struct tls_session *t = tls_session_of(ssl);
    const struct tls_signer *signer = &t->context->signer;
    drop_op(t);
    t->op = mem_zalloc(sizeof *t->op);
    *t->op = (struct tls_sign){.session = t, .refs = 2};
    signer->sign(signer->ctx, t->op, t->chain, algorithm, view_of(in, in_len));
    return complete(ssl, out, out_len, max_out);
}

/* No cipher that decrypts with the key is on the list. */
static enum ssl_private_key_result_t decrypt(SSL *ssl, uint8_t *out, size_t *out_len,
                                             size_t max_out, const uint8_t *in, size_t in_len)
{
    (void)ssl;
    (void)out;
    (void)out_len;
    (void)max_out;
    (void)in;
    (void)in_len;
    return ssl_private_key_failure;
}

const SSL_PRIVATE_KEY_METHOD *tls_remote_key(void)
{
    static const SSL_PRIVATE_KEY_METHOD method = {
        .sign = sign, .decrypt = decrypt, .complete = complete};
    return &method;
}

static bool name_server(SSL *ssl, const char *name, bool verify)
{
    struct address ip;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (address_parse_ip(view_str(name), &ip) == OK)
        return !verify || X509_VERIFY_PARAM_set1_ip_asc(param, name);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name) &&
           (!verify || X509_VERIFY_PARAM_set1_host(param, name, strlen(name)));
}

struct tls_session *tls_session_new(const struct tls_session_spec *spec)
{
    struct tls_context *c = spec->context;
    struct tls_session *t = mem_zalloc(sizeof *t);
    t->context = tls_ref(c);
    t->wake = spec->wake;
    t->ctx = spec->ctx;
    t->why = mem_strdup("");
    t->ssl = SSL_new(c->ssl_ctx);
    CHECK(t->ssl && SSL_set_fd(t->ssl, spec->fd) && SSL_set_app_data(t->ssl, t));
    bool ok = true;
    if (c->server) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
        /* Without a name to check, any certificate of any server would do. */
        ok = spec->server_name ? name_server(t->ssl, spec->server_name, !c->needs_peer_uri)
                               : c->needs_peer_uri;
    }
    ERR_clear_error();
    if (ok)
        return t;
    tls_session_free(t);
    return NULL;
}

void tls_session_free(struct tls_session *t)
{
    if (!t)
        return;
    drop_op(t);
    SSL_free(t->ssl);
    tls_unref(t->context);
    mem_free(t->peer_uri);
    mem_free(t->why);
    mem_free(t);
}

static enum err fail(struct tls_session *t, enum err e, const char *what)
{
    t->failed = true;
    if (t->why[0] == '\0') {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());
        tls_session_say(t, what, reason ? reason : "");
    }
    ERR_clear_error();
    return t->refused ? ERR_VERIFY : e;
}

/* What a call that returned `result` <= 0 means. */
static enum err outcome(struct tls_session *t, int result, int saved_errno)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        t->want = TLS_WANT_READ;
        return ERR_MORE;
    case SSL_ERROR_WANT_WRITE:
        t->want = TLS_WANT_WRITE;
        return ERR_MORE;
    case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION:
        t->want = TLS_WANT_SIGNATURE;
        return ERR_MORE;
    case SSL_ERROR_SYSCALL:
        if (result == 0 || saved_errno == 0)
            return fail(t, ERR_CLOSED, "the peer closed without a TLS close");
        return fail(t, saved_errno == ECONNRESET || saved_errno == EPIPE ? ERR_CLOSED : ERR_IO,
                    strerror(saved_errno));
    default:
        return fail(t, ERR_PROTOCOL, "TLS");
    }
}

enum err tls_session_handshake(struct tls_session *t)
{
    ERR_clear_error();
    errno = 0;
    int n = SSL_do_handshake(t->ssl);
    return n == 1 ? OK : outcome(t, n, errno);
}

enum err tls_session_read(struct tls_session *t, uint8_t *out, size_t n, size_t *out_n)
{
    ERR_clear_error();
    errno = 0;
    int got = SSL_read(t->ssl, out, n > INT32_MAX ? INT32_MAX : (int)n);
    int saved_errno = errno;
    if (got <= 0 && SSL_get_error(t->ssl, got) != SSL_ERROR_ZERO_RETURN)
        return outcome(t, got, saved_errno);
    *out_n = got > 0 ? (size_t)got : 0;
    return OK;
}

enum err tls_session_write(struct tls_session *t, struct view bytes, size_t *out_n)
{
    ERR_clear_error();
    errno = 0;
    int put = SSL_write(t->ssl, bytes.ptr, bytes.len > INT32_MAX ? INT32_MAX : (int)bytes.len);
    if (put <= 0)
        return outcome(t, put, errno);
    *out_n = (size_t)put;
    return OK;
}

enum err tls_session_shutdown(struct tls_session *t)
{
    if (t->failed || SSL_in_init(t->ssl))
        return ERR_STATE;
    ERR_clear_error();
    errno = 0;
    int n = SSL_shutdown(t->ssl);
    return n >= 0 ? OK : outcome(t, n, errno);
}

bool tls_session_has_pending(const struct tls_session *t)
{
    return SSL_has_pending(t->ssl) == 1;
}

enum tls_want tls_session_want(const struct tls_session *t)
{
    return t->want;
}

const char *tls_session_why(const struct tls_session *t)
{
    return t->why;
}

const char *tls_session_peer_uri(const struct tls_session *t)
{
    return t->peer_uri;
}

const char *tls_session_server_name(const struct tls_session *t)
{
    return SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
}
