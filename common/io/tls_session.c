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

enum { WRITE_STEP = 65536 };

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
    t->loop = spec->loop;
    t->fd = spec->fd;
    t->alpn = "";
    t->wake = spec->wake;
    t->ctx = spec->ctx;
    t->why = mem_strdup("");
    t->ssl = SSL_new(c->ssl_ctx);
    CHECK(t->ssl && SSL_set_app_data(t->ssl, t));
    BIO *bio = tls_bio_new(t);
    SSL_set_bio(t->ssl, bio, bio);
    bool ok = true;
    if (c->server) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
        /* Without a name to check, any certificate of any server would do. */
        bool verify = !c->needs_peer_uri && !c->skip_verify;
        ok = spec->server_name ? name_server(t->ssl, spec->server_name, verify) : !verify;
    }
    ERR_clear_error();
    if (ok)
        return t;
    tls_session_free(t);
    return NULL;
}

static void drop_keys(struct tls_session *t)
{
    if (t->keys)
        mem_wipe(t->keys, 2 * sizeof *t->keys);
    mem_free(t->keys);
    t->keys = NULL;
}

/* Hexadecimal digits, all of them. */
static bool read_hex(struct view hex, uint8_t *out, size_t max)
{
    static const char digits[] = "0123456789abcdef";
    if (hex.len % 2 || hex.len / 2 > max)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        const char *d = hex.ptr[i] ? strchr(digits, hex.ptr[i]) : NULL;
        if (!d)
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (d - digits));
    }
    return true;
}

/* "LABEL client-random secret" */
void tls_take_secret(const SSL *ssl, const char *line)
{
    struct tls_session *t = tls_session_of(ssl);
    struct view rest = view_str(line);
    struct view label = view_word(&rest);
    bool by_client = view_eq_str(label, "CLIENT_TRAFFIC_SECRET_0");
    if (!by_client && !view_eq_str(label, "SERVER_TRAFFIC_SECRET_0"))
        return;
    (void)view_word(&rest);
    if (!t->keys)
        t->keys = mem_zalloc_array(2, sizeof *t->keys);
    /* Ours is the second: we write with it. */
    struct tls_record_keys *k = &t->keys[by_client == t->context->server ? 0 : 1];
    if (!read_hex(view_word(&rest), k->secret, sizeof k->secret))
        drop_keys(t);
}

void tls_session_free(struct tls_session *t)
{
    if (!t)
        return;
    drop_op(t);
    drop_keys(t);
    if (t->link)
        tls_link_fini(t->link);
    mem_free(t->link);
    SSL_free(t->ssl);
    buf_wipe(&t->ahead);
    mem_free(t->server_name);
    tls_unref(t->context);
    mem_free(t->peer_uri);
    mem_free(t->invalid);
    mem_free(t->leaf);
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

/* BoringSSL clears its list of errors at the beginning of each call. What one that returned
 * `result` <= 0 means. */
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

static const char *alpn_of(const SSL *ssl)
{
    const uint8_t *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(ssl, &name, &len);
    struct view v = view_of(name, len);
    return view_eq_str(v, "h2") ? "h2" : view_eq_str(v, "http/1.1") ? "http/1.1" : "";
}

/*
 * From here on the records are ours, and BoringSSL's object, with its buffers, can go. It has taken
 * nothing beyond the handshake: it takes whole records, and has_pending says so. What was read
 * ahead of it goes on to the link.
 */
static void take_over(struct tls_session *t)
{
    if (SSL_version(t->ssl) != TLS1_3_VERSION || !t->keys || SSL_has_pending(t->ssl))
        return;
    uint16_t suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(t->ssl));
    t->keys[0].suite = t->keys[1].suite = suite;
    t->keys[0].seq = SSL_get_read_sequence(t->ssl);
    t->keys[1].seq = SSL_get_write_sequence(t->ssl);
    struct tls_link *k = mem_zalloc(sizeof *k);
    if (tls_link_init(k, t->loop, t->fd, t->keys, !t->context->server) != OK) {
        mem_free(k);
        return;
    }
    tls_link_take(k, buf_view(&t->ahead));
    buf_wipe(&t->ahead);
    t->link = k;
    SSL_free(t->ssl);
    t->ssl = NULL;
}

enum err tls_session_handshake(struct tls_session *t)
{
    errno = 0;
    int n = SSL_do_handshake(t->ssl);
    if (n != 1)
        return outcome(t, n, errno);
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    t->server_name = name ? mem_strdup(name) : NULL;
    t->alpn = alpn_of(t->ssl);
    t->opened = true;
    take_over(t);
    drop_keys(t);
    return OK;
}

/* What a call of the link has given. */
static enum err of_link(struct tls_session *t, enum err e, enum tls_want want)
{
    t->want = want;
    if (e == OK || e == ERR_MORE)
        return e;
    t->failed = true;
    if (t->why[0] == '\0')
        tls_session_say(t, t->link->why, "");
    return e;
}

enum err tls_session_read(struct tls_session *t, size_t max, struct view *out, bool *out_drained)
{
    if (t->link)
        return of_link(t, tls_link_read(t->link, max, out, out_drained), TLS_WANT_READ);
    *out_drained = false;
    errno = 0;
    int got = SSL_read(t->ssl, t->loop->scratch, (int)max);
    int saved_errno = errno;
    if (got <= 0 && SSL_get_error(t->ssl, got) != SSL_ERROR_ZERO_RETURN)
        return outcome(t, got, saved_errno);
    *out = view_of(t->loop->scratch, got > 0 ? (size_t)got : 0);
    return OK;
}

enum err tls_session_write(struct tls_session *t, struct view bytes, size_t *out_n)
{
    if (t->link)
        return of_link(t, tls_link_write(t->link, bytes, out_n), TLS_WANT_WRITE);
    errno = 0;
    int put = SSL_write(t->ssl, bytes.ptr, (int)(bytes.len < WRITE_STEP ? bytes.len : WRITE_STEP));
    if (put <= 0)
        return outcome(t, put, errno);
    *out_n = (size_t)put;
    return OK;
}

size_t tls_session_unsent(const struct tls_session *t)
{
    return t->link ? t->link->out.len : 0;
}

enum err tls_session_flush(struct tls_session *t)
{
    return t->link ? of_link(t, tls_link_flush(t->link), TLS_WANT_WRITE) : OK;
}

enum err tls_session_shutdown(struct tls_session *t)
{
    if (t->failed || (t->ssl && SSL_in_init(t->ssl)))
        return ERR_STATE;
    if (t->link)
        return of_link(t, tls_link_shutdown(t->link), TLS_WANT_WRITE);
    errno = 0;
    int n = SSL_shutdown(t->ssl);
    return n >= 0 ? OK : outcome(t, n, errno);
}

bool tls_session_has_pending(const struct tls_session *t)
{
    /* SSL_has_pending counts the beginning of a record, whose rest the poll tells of. */
    return t->link ? tls_link_has_pending(t->link) : t->ahead.len || SSL_pending(t->ssl) > 0;
}

void tls_session_readable(struct tls_session *t)
{
    t->drained = false;
}

bool tls_session_is_drained(const struct tls_session *t)
{
    return t->drained;
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
    return t->server_name;
}

const char *tls_session_alpn(const struct tls_session *t)
{
    return t->alpn;
}

struct tls_client_certificate tls_session_client_certificate(const struct tls_session *t)
{
    return (struct tls_client_certificate){.presented = t->presented,
                                           .valid = t->valid,
                                           .error = t->invalid ? t->invalid : "",
                                           .leaf = view_of(t->leaf, t->leaf_len)};
}
