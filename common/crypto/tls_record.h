/*
 * The record layer of TLS 1.3 after the handshake (RFC 8446 §5), one object per direction: bytes
 * in, data and notices out. Many records are opened or sealed in one call, from one piece of
 * memory to another, so that a relay copies nothing. Pure.
 *
 * After the handshake there is application data, alerts, KeyUpdate (§4.6.3) and, towards a client,
 * NewSessionTicket, which is passed over. Everything else is refused.
 */
#ifndef COMMON_CRYPTO_TLS_RECORD_H
#define COMMON_CRYPTO_TLS_RECORD_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/view.h"

enum {
    TLS_SECRET_MAX = 48,
    TLS_IV_LEN = 12,
    TLS_DATA_MAX = 16384,               /* of one record */
    TLS_RECORD_MAX = 5 + 16384 + 256,   /* one that we take */
    TLS_RECORD_OVERHEAD = 5 + 1 + 16,   /* of one that we make */
    TLS_ALERT_RECORD = 5 + 2 + 1 + 16,  /* an alert as a record */
    TLS_UPDATE_RECORD = 5 + 5 + 1 + 16, /* a KeyUpdate as a record */
    TLS_IDLE_RECORDS_MAX = 32,          /* in a row that carry no data, KeyUpdates too */
    TLS_KEY_RECORDS_MAX = 1 << 24,      /* under one key (§5.5 allows 2^24.5) */
};

/* AlertDescription, §6. */
enum tls_alert {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_BAD_RECORD_MAC = 20,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_USER_CANCELED = 90,
};

/* One direction as plain data: what an export is made of. Wipe after use. */
struct tls_record_keys {
    uint16_t suite; /* IANA's number: 0x1301, 0x1302, 0x1303 */
    uint8_t secret[TLS_SECRET_MAX];
    uint64_t seq; /* of the next record under this secret */
};

bool tls_suite_is_known(uint16_t suite);

/* Bytes of a traffic secret; 0 for an unknown suite. */
size_t tls_suite_secret_len(uint16_t suite);

struct tls_aead;

/* Receiving. A zeroed struct may be finished. */
struct tls_reader {
    struct tls_record_keys keys;
    struct tls_aead *aead;
    uint8_t iv[TLS_IV_LEN];
    bool is_client; /* NewSessionTickets may come */
    bool closed;    /* close_notify has come: nothing is opened any more */
    unsigned idle;  /* records without data in a row */
    /* A handshake message that is not yet there as a whole. */
    uint8_t head[5];
    uint8_t head_len;
    uint32_t skip;
};

/* ERR_UNSUPPORTED: the suite. Copies the keys. */
enum err tls_reader_init(struct tls_reader *r, const struct tls_record_keys *keys, bool is_client);
void tls_reader_fini(struct tls_reader *r); /* wipes */

struct tls_opened {
    size_t used;           /* of the input: whole records */
    size_t len;            /* of data, at the front of the output */
    bool update_requested; /* the peer wants a KeyUpdate from us */
    bool closed;
    uint8_t alert;      /* to be sent after a failure */
    uint8_t peer_alert; /* why the peer has failed; 0: it has not */
};

/*
 * Opens records from the front of `in` as long as they are whole and `room` at `out` takes them;
 * TLS_RECORD_MAX is room for one, and as many bytes as `in` has are enough for all. `out` must not
 * overlap `in`. OK with what came, also nothing; what is left of `in` comes again with more behind
 * it. A failure is for good, what was opened before it stands in `out` and result:
 * ERR_VERIFY (bad_record_mac), ERR_LIMIT (too long, or idle records), ERR_PROTOCOL (unexpected, or
 * the peer's alert). *out is written in any case.
 */
enum err tls_reader_open(struct tls_reader *r, struct view in, uint8_t *out, size_t room,
                         struct tls_opened *result);

/* Sending. A zeroed struct may be finished. */
struct tls_writer {
    struct tls_record_keys keys;
    struct tls_aead *aead;
    uint8_t iv[TLS_IV_LEN];
    uint64_t records_max; /* TLS_KEY_RECORDS_MAX; a test may lower it */
};

enum err tls_writer_init(struct tls_writer *w, const struct tls_record_keys *keys);
void tls_writer_fini(struct tls_writer *w); /* wipes */

/* What tls_writer_seal may need for `len` bytes. */
size_t tls_sealed_max(size_t len);

/*
 * All of `data` as records at `out`, which has tls_sealed_max(data.len) bytes and does not overlap
 * it; returns how many were written. A key that has served long enough is replaced on the way.
 */
size_t tls_writer_seal(struct tls_writer *w, struct view data, uint8_t *out);

/* One record of at most TLS_DATA_MAX bytes with its inner type; TLS_RECORD_OVERHEAD is added. */
size_t tls_writer_record(struct tls_writer *w, uint8_t type, struct view content, uint8_t *out);

/* An alert, fatal unless it is close_notify. Returns its length, TLS_ALERT_RECORD. */
size_t tls_writer_alert(struct tls_writer *w, uint8_t alert, uint8_t *out);

/* KeyUpdate (update_not_requested) under the old key; what follows is under a new one. */
size_t tls_writer_update(struct tls_writer *w, uint8_t *out);

#endif
