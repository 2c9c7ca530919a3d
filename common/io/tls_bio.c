/*
 * BoringSSL's way to the socket. It asks for the five bytes of a record's head and then for the
 * rest; during the handshake one read takes all that there is, and the next record is mostly in it.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <sys/socket.h>

#include "common/base/check.h"
#include "common/io/tls_parts.h"

static int fail(BIO *bio, bool writing)
{
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return -1;
    if (writing)
        BIO_set_retry_write(bio);
    else
        BIO_set_retry_read(bio);
    return -1;
}

static int receive(BIO *bio, struct tls_session *t, uint8_t *out, size_t room)
{
    ssize_t n = -1;
    errno = EAGAIN;
    if (!t->drained)
        n = recv(t->fd, out, room, MSG_DONTWAIT);
    t->drained = n < 0 ? errno != EINTR : (size_t)n < room;
    return n < 0 ? fail(bio, false) : (int)n;
}

static int take_ahead(struct tls_session *t, char *out, size_t room)
{
    struct view part = view_take(buf_view(&t->ahead), room);
    memcpy(out, part.ptr, part.len);
    buf_consume(&t->ahead, part.len);
    if (!t->ahead.len)
        buf_trim(&t->ahead);
    return (int)part.len;
}

static int bio_read(BIO *bio, char *out, int len)
{
    struct tls_session *t = BIO_get_data(bio);
    size_t room = (size_t)len;
    uint8_t bytes[TLS_AHEAD_MAX];
    BIO_clear_retry_flags(bio);
    if (t->ahead.len)
        return take_ahead(t, out, room);
    if (t->opened || room >= sizeof bytes)
        return receive(bio, t, (uint8_t *)out, room);
    int n = receive(bio, t, bytes, sizeof bytes);
    if (n <= 0)
        return n;
    struct view all = view_of(bytes, (size_t)n);
    struct view part = view_take(all, room);
    memcpy(out, part.ptr, part.len);
    CHECK(buf_append(&t->ahead, view_skip(all, part.len)) == OK);
    return (int)part.len;
}

static int bio_write(BIO *bio, const char *in, int len)
{
    const struct tls_session *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = send(t->fd, in, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? fail(bio, true) : (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(0, "stream");
    CHECK(m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
          BIO_meth_set_ctrl(m, bio_ctrl));
    return m;
}

BIO *tls_bio_new(struct tls_session *t)
{
    BIO *bio = BIO_new(t->context->bio_method);
    CHECK(bio);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    buf_init(&t->ahead, TLS_AHEAD_MAX);
    return bio;
}
