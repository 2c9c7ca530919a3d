/* One TLS connection over a non-blocking socket: for stream.c alone. */
#ifndef COMMON_IO_TLS_SESSION_H
#define COMMON_IO_TLS_SESSION_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/loop.h"
#include "common/io/tls.h"

struct tls_session;

/* What has to happen before the call that gave ERR_MORE is repeated. */
enum tls_want { TLS_WANT_READ, TLS_WANT_WRITE, TLS_WANT_SIGNATURE };

/*
 * Takes a reference to `context`, not the socket. `wake` is called when a signature has come;
 * it may be called inside tls_session_handshake. NULL when `server_name` cannot be verified.
 */
struct tls_session_spec {
    struct tls_context *context;
    struct loop *loop;
    int fd;
    const char *server_name; /* client, or NULL */
    void (*wake)(void *ctx);
    void *ctx;
};
struct tls_session *tls_session_new(const struct tls_session_spec *spec);
void tls_session_free(struct tls_session *t);

/* OK when done, ERR_MORE, else the connection failed. */
enum err tls_session_handshake(struct tls_session *t);

/*
 * One read of at most `max` bytes. OK with data, which live until the loop's next read, or empty
 * for the peer's close_notify; ERR_MORE; failures. *out_drained: the socket had no more than this.
 */
enum err tls_session_read(struct tls_session *t, size_t max, struct view *out, bool *out_drained);

/* OK with how much was taken. After ERR_MORE the same bytes, or more, have to come again. */
enum err tls_session_write(struct tls_session *t, struct view bytes, size_t *out_n);

/* Taken, and not yet handed to the kernel. tls_session_flush: OK when it is, ERR_MORE, failures. */
size_t tls_session_unsent(const struct tls_session *t);
enum err tls_session_flush(struct tls_session *t);

/* Sends close_notify. OK, ERR_MORE, failures. */
enum err tls_session_shutdown(struct tls_session *t);

/* Something waits to be read that no poll will tell of. */
bool tls_session_has_pending(const struct tls_session *t);

/*
 * To be called when a poll has told that there is something to read: before the link has taken
 * over, a read that took all is followed by none until then. is_drained: the last one did.
 */
void tls_session_readable(struct tls_session *t);
bool tls_session_is_drained(const struct tls_session *t);

enum tls_want tls_session_want(const struct tls_session *t);

/* Why the last call failed. "" when none did. Live as long as the session. */
const char *tls_session_why(const struct tls_session *t);

const char *tls_session_peer_uri(const struct tls_session *t);    /* NULL when there is none */
const char *tls_session_server_name(const struct tls_session *t); /* SNI, or NULL */
const char *tls_session_alpn(const struct tls_session *t);        /* "" when nothing was chosen */
struct tls_client_certificate tls_session_client_certificate(const struct tls_session *t);

#endif
