/*
 * TLS 1.3 over a non-blocking socket after the handshake: common/crypto/tls_record.h with many
 * records per system call, and nothing kept while nothing is under way. For tls_session.c alone.
 */
#ifndef COMMON_IO_TLS_LINK_H
#define COMMON_IO_TLS_LINK_H

#include "common/base/buf.h"
#include "common/crypto/tls_record.h"
#include "common/io/loop.h"

struct tls_link {
    struct loop *loop;
    int fd;
    struct tls_reader reader;
    struct tls_writer writer;
    struct buf in;  /* the beginning of a record, or */
    bool has_early; /* what was read before the link took over */
    struct buf out; /* records that the kernel did not take */
    bool owes_update;
    bool shut;       /* close_notify is in `out` or sent */
    enum err failed; /* of reading: told after the data before it */
    char why[96];
};

/* Takes not the socket. ERR_UNSUPPORTED: the suite. */
enum err tls_link_init(struct tls_link *k, struct loop *loop, int fd,
                       const struct tls_record_keys keys[2], bool is_client);
void tls_link_fini(struct tls_link *k);

/* Bytes that were read from the socket already, at most TLS_RECORD_MAX. Before any read. */
void tls_link_take(struct tls_link *k, struct view bytes);

/*
 * One read of at most `max` bytes, LOOP_SCRATCH to LOOP_READ_MAX. OK with data in *out, or empty
 * for the peer's close_notify; ERR_MORE; failures, with k->why. *out_drained: the socket had no
 * more.
 */
enum err tls_link_read(struct tls_link *k, size_t max, struct view *out, bool *out_drained);

/* There is something to be told that no poll will tell of. */
bool tls_link_has_pending(const struct tls_link *k);

/* OK with how much was taken, of which some may wait in `out`; ERR_MORE: `out` has to go first. */
enum err tls_link_write(struct tls_link *k, struct view bytes, size_t *out_n);

/* Sends what waits: OK, ERR_MORE, failures. */
enum err tls_link_flush(struct tls_link *k);

/* close_notify: OK when it is sent, ERR_MORE, failures. */
enum err tls_link_shutdown(struct tls_link *k);

#endif
