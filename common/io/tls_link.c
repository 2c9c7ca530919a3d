#include "common/io/tls_link.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/socket.h"

enum {
    SEAL_STEP = LOOP_READ_MAX,
    OUT_MAX = LOOP_WIRE + TLS_UPDATE_RECORD + TLS_ALERT_RECORD,
};

enum err tls_link_init(struct tls_link *k, struct loop *loop, int fd,
                       const struct tls_record_keys keys[2], bool is_client)
{
    *k = (struct tls_link){.loop = loop, .fd = fd};
    CHECK(tls_sealed_max(SEAL_STEP) + TLS_UPDATE_RECORD <= LOOP_WIRE &&
          LOOP_READ_MAX + TLS_RECORD_MAX <= LOOP_WIRE);
    TRY(tls_reader_init(&k->reader, &keys[0], is_client));
    TRY(tls_writer_init(&k->writer, &keys[1]));
    buf_init(&k->in, TLS_RECORD_MAX);
    buf_init(&k->out, OUT_MAX);
    if (!loop->wire_in) {
        loop->wire_in = mem_zalloc(LOOP_WIRE);
        loop->wire_out = mem_zalloc(LOOP_WIRE);
    }
    return OK;
}

void tls_link_take(struct tls_link *k, struct view bytes)
{
    CHECK(buf_append(&k->in, bytes) == OK);
    k->has_early = bytes.len > 0;
}

void tls_link_fini(struct tls_link *k)
{
    tls_reader_fini(&k->reader);
    tls_writer_fini(&k->writer);
    buf_fini(&k->in);
    buf_fini(&k->out);
}

static enum err say(struct tls_link *k, enum err e, const char *why)
{
    if (k->why[0] == '\0')
        (void)snprintf(k->why, sizeof k->why, "%s", why);
    return e;
}

/* --- sending --- */

static enum err put(struct tls_link *k, struct view records, size_t *out_n)
{
    const char *why = "";
    return say(k, socket_send(k->fd, records, out_n, &why), why);
}

enum err tls_link_flush(struct tls_link *k)
{
    while (k->out.len) {
        size_t n = 0;
        TRY(put(k, buf_view(&k->out), &n));
        buf_consume(&k->out, n);
    }
    buf_trim(&k->out);
    return OK;
}

/* Sends records that stand in wire_out; what does not go at once is kept. */
static enum err send_records(struct tls_link *k, size_t len)
{
    size_t n = 0;
    enum err e = k->out.len ? ERR_MORE : put(k, view_of(k->loop->wire_out, len), &n);
    if (e != OK && e != ERR_MORE)
        return e;
    return buf_append(&k->out, view_of(k->loop->wire_out + n, len - n));
}

enum err tls_link_write(struct tls_link *k, struct view bytes, size_t *out_n)
{
    TRY(tls_link_flush(k));
    struct view part = view_take(bytes, SEAL_STEP);
    size_t len = 0;
    if (k->owes_update)
        len = tls_writer_update(&k->writer, k->loop->wire_out);
    k->owes_update = false;
    len += tls_writer_seal(&k->writer, part, k->loop->wire_out + len);
    TRY(send_records(k, len));
    *out_n = part.len;
    return OK;
}

enum err tls_link_shutdown(struct tls_link *k)
{
    if (k->failed != OK)
        return ERR_STATE;
    if (!k->shut) {
        k->shut = true;
        TRY(send_records(k,
                         tls_writer_alert(&k->writer, TLS_ALERT_CLOSE_NOTIFY, k->loop->wire_out)));
    }
    return tls_link_flush(k);
}

/* --- receiving --- */

/* RFC 8446 §6.2: the peer learns why. */
static void refuse(struct tls_link *k, enum err e, const struct tls_opened *o)
{
    char text[64];
    k->failed = e == ERR_VERIFY || e == ERR_LIMIT ? ERR_PROTOCOL : e;
    if (o->peer_alert) {
        (void)snprintf(text, sizeof text, "TLS: the peer sent alert %u", o->peer_alert);
    } else {
        (void)snprintf(text, sizeof text, "TLS: a record was refused, alert %u", o->alert);
        if (!k->shut)
            IGNORE(send_records(k, tls_writer_alert(&k->writer, o->alert, k->loop->wire_out)),
                   "the connection is over in any case");
    }
    IGNORE(say(k, k->failed, text), "is in k->failed");
}

/* RFC 8446 §4.6.3: owed once, and put off while other records wait. */
static void answer_update(struct tls_link *k)
{
    if (k->shut)
        return;
    k->owes_update = true;
    if (k->out.len)
        return;
    k->owes_update = false;
    IGNORE(send_records(k, tls_writer_update(&k->writer, k->loop->wire_out)),
           "the next read or write meets it");
}

static size_t open_all(struct tls_link *k, size_t len)
{
    struct tls_opened o;
    struct view wire = view_of(k->loop->wire_in, len);
    enum err e = tls_reader_open(&k->reader, wire, k->loop->scratch, LOOP_WIRE, &o);
    if (e != OK)
        refuse(k, e, &o);
    else if (!o.closed)
        CHECK(buf_append(&k->in, view_skip(wire, o.used)) == OK);
    if (o.update_requested && e == OK)
        answer_update(k);
    return o.len;
}

/* Behind what was kept in wire_in. */
static enum err receive(struct tls_link *k, size_t room, size_t *out_n)
{
    const char *why = "";
    TRY(say(k, socket_receive(k->fd, k->loop->wire_in + k->in.len, room, out_n, &why), why));
    return *out_n ? OK : say(k, ERR_CLOSED, "the peer closed without a TLS close");
}

enum err tls_link_read(struct tls_link *k, size_t max, struct view *out, bool *out_drained)
{
    size_t opened = 0;
    CHECK(max <= LOOP_READ_MAX && max > TLS_RECORD_MAX);
    *out_drained = false;
    while (!opened) {
        if (k->failed != OK)
            return k->failed;
        if (k->reader.closed)
            break;
        if (*out_drained)
            return ERR_MORE;
        size_t have = k->in.len;
        size_t n = 0;
        /* Whether the socket has more than the early bytes, the poll tells. */
        if (!k->has_early)
            TRY(receive(k, max - have, &n));
        k->has_early = false;
        if (have)
            memcpy(k->loop->wire_in, buf_ptr(&k->in), have);
        buf_clear(&k->in);
        *out_drained = n < max - have;
        opened = open_all(k, have + n);
        if (!k->in.len)
            buf_trim(&k->in);
    }
    *out = view_of(k->loop->scratch, opened);
    return OK;
}

bool tls_link_has_pending(const struct tls_link *k)
{
    return k->has_early || k->failed != OK || k->reader.closed;
}
