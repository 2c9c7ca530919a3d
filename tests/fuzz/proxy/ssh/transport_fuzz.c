/*
 * A transport before encryption, and past it with cipher "none", which lets the fuzzer reach every
 * handler. Byte 0: role, ready, authenticated, how questions are answered; byte 1: piece size.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "proxy/ssh/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODE_CLIENT = 1, MODE_READY = 2, MODE_AUTHENTICATED = 4, MODE_REFUSE = 8, MODE_LATER = 16 };

static void answer_sign(struct transport *t, const struct transport_event *ev, uint8_t mode)
{
    struct buf out;
    buf_init(&out, 256);
    struct writer w = writer_to(&out);
    write_cstring(&w, mode & MODE_REFUSE ? "ssh-rsa" : ev->kex_sign.algorithm);
    write_string(&w, ev->kex_sign.hash);
    IGNORE(transport_signed(t, buf_view(&out)), "may have ended");
    buf_fini(&out);
}

static void handle(struct transport *t, const struct transport_event *ev, uint8_t mode)
{
    switch (ev->type) {
    case TRANSPORT_KEX_SIGN:
        answer_sign(t, ev, mode);
        break;
    case TRANSPORT_HOST_KEY:
        if (mode & MODE_REFUSE)
            IGNORE(transport_host_key_refuse(t, "no"), "may have ended");
        else
            IGNORE(transport_host_key_accept(t), "may have ended");
        break;
    case TRANSPORT_PACKET:
        CHECK(ev->packet.len >= 1 && ev->packet.payload[0] == ev->packet.type);
        memset(ev->packet.payload, 0xff, ev->packet.len);
        if (mode & MODE_LATER)
            transport_unimplemented(t, ev->packet.seq);
        break;
    case TRANSPORT_DISCONNECTED:
        CHECK(ev->disconnected.text.len <= MSG_TEXT_MAX);
        break;
    case TRANSPORT_FAILED:
        CHECK(ev->failed.text.len <= MSG_TEXT_MAX && transport_ended(t));
        break;
    case TRANSPORT_IDENT:
    case TRANSPORT_READY:
    case TRANSPORT_EXT_INFO:
        break;
    }
}

/* Past the handshake, still in clear text. */
static void skip_handshake(struct transport *t, uint8_t mode)
{
    t->peer_ident = mem_strdup("SSH-2.0-fuzz");
    t->is_ready = true;
    t->ext_info_now = true;
    t->session_id_len = TRANSPORT_HASH_LEN;
    if (mode & MODE_AUTHENTICATED)
        IGNORE(transport_authenticated(t), "is ready");
}

static void feed(struct transport *t, struct view in, size_t piece, uint8_t mode)
{
    struct transport_event ev;
    while (in.len) {
        size_t room = transport_room(t);
        size_t n = piece < room ? piece : room;
        n = n < in.len ? n : in.len;
        if (n == 0)
            return;
        CHECK(transport_feed(t, view_take(in, n), 1) == OK);
        in = view_skip(in, n);
        while (transport_next(t, &ev))
            handle(t, &ev, mode);
        CHECK(transport_pending(t) <= TRANSPORT_OUTPUT_HARD + TRANSPORT_HELD_MAX + (256 << 10));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
                                 "0123456789abcdef0123456789abcdef";
    const struct view blob = view_of(key, sizeof key - 1);
    if (size < 2)
        return 0;
    uint8_t mode = data[0];
    struct rng_test seed;
    struct transport_config c = {
        .role = mode & MODE_CLIENT ? TRANSPORT_CLIENT : TRANSPORT_SERVER,
        .software = "Postern_0.1",
        .host_keys = &blob,
        .host_key_count = 1,
        .rng = rng_test(&seed, 1),
        .limits = {.rekey_packets = 50, .handshake_ms = 1000},
    };
    struct transport *t = transport_new(&c);
    if (mode & MODE_READY)
        skip_handshake(t, mode);
    feed(t, view_of(data + 2, size - 2), (size_t)data[1] + 1, mode);
    transport_tick(t, 5000);
    transport_trim(t);
    transport_free(t);
    return 0;
}
