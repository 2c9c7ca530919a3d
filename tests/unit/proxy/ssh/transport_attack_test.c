#include "proxy/ssh/engine.h"
#include "tests/support/pair.h"

/* Changes bytes of a KEXINIT that is still in the output, and in what will be hashed. */
static void replace(struct buf *b, const char *from, const char *to)
{
    assert_int_equal(strlen(from), strlen(to));
    ptrdiff_t at = view_search(buf_view(b), view_str(from));
    assert_true(at >= 0);
    memcpy(buf_ptr(b) + at, to, strlen(to));
}

/* After this, `e` is a peer from before strict key exchange. */
static void hide_strict(struct pair_end *e)
{
    bool is_server = transport_role(e->t) == TRANSPORT_SERVER;
    const char *from = is_server ? "kex-strict-s-v00" : "kex-strict-c-v00";
    const char *to = is_server ? "kex-strikt-s-v00" : "kex-strikt-c-v00";
    replace(&e->t->output, from, to);
    replace(&e->t->exchange->ours, from, to);
}

/* Both have read the other's identification; their KEXINITs are in their outputs. */
static void exchange_idents(struct pair *p)
{
    struct view server = VIEW("SSH-2.0-Postern_0.1\r\n");
    struct view client = VIEW("SSH-2.0-Postern_0.1 client\r\n");
    pair_open(p);
    CHECK_VIEW(transport_output(p->server.t), server);
    CHECK_VIEW(transport_output(p->client.t), client);
    transport_sent(p->server.t, server.len);
    transport_sent(p->client.t, client.len);
    assert_true(pair_feed(p, &p->server, client));
    assert_true(pair_feed(p, &p->client, server));
}

static void inject_clear(struct pair *p, struct pair_end *to, struct view payload)
{
    struct buf raw;
    buf_init(&raw, 4096);
    pair_clear_packet(&raw, payload);
    (void)pair_feed(p, to, buf_view(&raw));
    buf_fini(&raw);
}

#define IGNORE_PAYLOAD VIEW("\x02\0\0\0\0")

/* Terrapin: a message slipped in at any of the places of a strict first exchange is fatal. */
static void test_cve_2023_48795_terrapin_injection(void **state)
{
    (void)state;
    static const char *const payloads[] = {"\x02", "\x03", "\x04", "\x05", "\x07", "\x32", "\xc0"};
    for (int place = 0; place < 4; place++) {
        for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
            uint8_t payload[16] = {(uint8_t)payloads[i][0]};
            struct view message = view_of(payload, sizeof payload);
            struct pair p;
            pair_init(&p);
            exchange_idents(&p);
            struct pair_end *victim = place < 3 ? &p.server : &p.client;
            if (place == 0)
                inject_clear(&p, &p.server, message);
            (void)pair_move(&p, &p.client, &p.server); /* KEXINIT */
            if (place == 1)
                inject_clear(&p, &p.server, message);
            if (place >= 2) {
                (void)pair_move(&p, &p.server, &p.client); /* KEXINIT */
                (void)pair_move(&p, &p.client, &p.server); /* ECDH_INIT: answered by now */
            }
            if (place == 2)
                inject_clear(&p, &p.server, message);
            if (place == 3)
                inject_clear(&p, &p.client, message);
            assert_true(transport_ended(victim->t));
            assert_int_equal(victim->failed, ERR_PROTOCOL);
            assert_int_equal(victim->events[TRANSPORT_READY], 0);
            pair_fini(&p);
        }
    }
}

/* Without strict mode RFC 4253 §7.1 allows IGNORE; the sequence numbers go on over NEWKEYS. */
static void test_loose_peers(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    exchange_idents(&p);
    hide_strict(&p.client);
    hide_strict(&p.server);
    /* Between KEXINIT and the share, both ways. */
    CHECK_OK(engine_seal(p.client.t, IGNORE_PAYLOAD));
    CHECK_OK(engine_seal(p.server.t, IGNORE_PAYLOAD));
    pair_pump(&p);
    assert_int_equal(p.server.events[TRANSPORT_READY], 1);
    assert_int_equal(p.client.events[TRANSPORT_READY], 1);
    assert_false(transport_negotiated(p.server.t)->strict);
    assert_false(transport_negotiated(p.client.t)->strict);
    assert_int_equal(p.client.t->tx.seq, 4); /* KEXINIT, IGNORE, ECDH_INIT, NEWKEYS */
    assert_int_equal(p.server.t->tx.seq, 5); /* KEXINIT, IGNORE, ECDH_REPLY, NEWKEYS, EXT_INFO */
    CHECK_OK(transport_authenticated(p.server.t));
    CHECK_OK(transport_authenticated(p.client.t));
    CHECK_OK(transport_rekey(p.server.t));
    CHECK_OK(transport_send(p.client.t, VIEW("\x50hello")));
    pair_pump(&p);
    assert_int_equal(p.server.packet_count, 1);
    assert_int_equal(p.server.events[TRANSPORT_READY], 2);
    pair_fini(&p);
}

/* Before KEXINIT nobody knows what the peer will offer: a packet in front of it shows up there. */
static void test_cve_2023_48795_terrapin_prefix(void **state)
{
    (void)state;
    for (int hidden = 0; hidden < 2; hidden++) {
        struct pair p;
        pair_init(&p);
        exchange_idents(&p);
        if (hidden) {
            hide_strict(&p.client);
            hide_strict(&p.server);
        }
        struct buf kexinit;
        buf_init(&kexinit, 4096);
        CHECK_OK(buf_append(&kexinit, buf_view(&p.client.t->exchange->ours)));
        transport_sent(p.client.t, transport_output(p.client.t).len);
        CHECK_OK(engine_seal(p.client.t, IGNORE_PAYLOAD));
        CHECK_OK(engine_seal(p.client.t, buf_view(&kexinit)));
        pair_pump(&p);
        assert_int_equal(p.server.failed, hidden ? OK : ERR_PROTOCOL);
        assert_int_equal(p.server.events[TRANSPORT_READY], hidden);
        buf_fini(&kexinit);
        pair_fini(&p);
    }
}

static void test_cve_2023_48795_sequence_numbers_begin_again(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_ready(&p);
    assert_true(p.server.t->is_strict);
    assert_int_equal(p.client.t->tx.seq, 0);
    assert_int_equal(p.server.t->rx.seq, 0);
    assert_int_equal(p.server.t->tx.seq, 1); /* EXT_INFO */
    pair_fini(&p);
}

/* The packet after a KEXINIT with first_kex_packet_follows is skipped when the guess was wrong. */
static void guess(bool wrong)
{
    struct pair p;
    pair_init(&p);
    p.server_algorithms.kex = wrong ? "curve25519-sha256,mlkem768x25519-sha256"
                                    : "mlkem768x25519-sha256,curve25519-sha256";
    p.client_algorithms.host_key = "ssh-ed25519";
    p.server_algorithms.host_key = "ssh-ed25519";
    exchange_idents(&p);
    struct buf *ours = &p.client.t->exchange->ours;
    struct view kexinit = buf_view(ours);
    ptrdiff_t at = view_search(buf_view(&p.client.t->output), kexinit);
    assert_true(at > 0);
    buf_ptr(ours)[kexinit.len - 5] = 1;
    buf_ptr(&p.client.t->output)[(size_t)at + kexinit.len - 5] = 1;
    if (wrong)
        CHECK_OK(engine_seal(p.client.t, VIEW("\x1e\0\0\0\4junk")));
    pair_pump(&p);
    assert_int_equal(p.server.events[TRANSPORT_READY], 1);
    assert_int_equal(p.client.events[TRANSPORT_READY], 1);
    pair_fini(&p);
}

static void test_guess(void **state)
{
    (void)state;
    guess(true);
    guess(false);
}

/* Only one packet is skipped, and only a kex message. */
static void test_guess_is_not_a_loophole(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.server_algorithms.kex = "curve25519-sha256,mlkem768x25519-sha256";
    exchange_idents(&p);
    struct buf *ours = &p.client.t->exchange->ours;
    struct view kexinit = buf_view(ours);
    ptrdiff_t at = view_search(buf_view(&p.client.t->output), kexinit);
    buf_ptr(&p.client.t->output)[(size_t)at + kexinit.len - 5] = 1;
    CHECK_OK(engine_seal(p.client.t, IGNORE_PAYLOAD));
    (void)pair_move(&p, &p.client, &p.server);
    assert_int_equal(p.server.failed, ERR_PROTOCOL);
    pair_fini(&p);
}

/* CVE-2016-8858: KEXINIT repeated within an exchange. */
static void test_cve_2016_8858_repeated_kexinit(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    exchange_idents(&p);
    struct buf kexinit;
    buf_init(&kexinit, 4096);
    CHECK_OK(buf_append(&kexinit, buf_view(&p.client.t->exchange->ours)));
    (void)pair_move(&p, &p.client, &p.server);
    assert_false(transport_ended(p.server.t));
    CHECK_OK(engine_seal(p.client.t, buf_view(&kexinit)));
    (void)pair_move(&p, &p.client, &p.server);
    assert_int_equal(p.server.failed, ERR_PROTOCOL);
    buf_fini(&kexinit);
    pair_fini(&p);
}

/* A stranger may rekey before authentication, but not for ever. */
static void test_cve_2002_20001_early_rekeys_are_bounded(void **state)
{
    (void)state;
    struct pair p;
    size_t done = 0;
    pair_init(&p);
    pair_ready(&p);
    while (!transport_ended(p.client.t) && done < 100) {
        exchange_start(p.client.t);
        pair_pump(&p);
        done++;
    }
    assert_int_equal(done, 4);
    assert_int_equal(p.server.events[TRANSPORT_READY], 4);
    assert_int_equal(p.server.failed, ERR_PROTOCOL);
    pair_fini(&p);
}

/* Any byte of a sealed packet changed on the way ends the connection, never delivers. */
static void test_every_flipped_byte(void **state)
{
    (void)state;
    static const char *const ciphers[] = {"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com",
                                          "aes128-ctr"};
    for (size_t c = 0; c < ARRAY_LEN(ciphers); c++) {
        size_t len = 1;
        for (size_t at = 0; at < len; at++) {
            struct pair p;
            pair_init(&p);
            p.client_algorithms.cipher = ciphers[c];
            p.client_algorithms.kex = "curve25519-sha256";
            pair_authenticated(&p);
            CHECK_OK(transport_send(p.client.t, VIEW("\x5e\0\0\0\0\0\0\0\4data")));
            struct buf raw;
            buf_init(&raw, 1 << 20);
            CHECK_OK(buf_append(&raw, transport_output(p.client.t)));
            len = raw.len;
            buf_ptr(&raw)[at] ^= 0x40;
            (void)pair_feed(&p, &p.server, buf_view(&raw));
            assert_int_equal(p.server.packet_count, 0);
            bool waits = at < 4 && !transport_ended(p.server.t); /* a larger legal length */
            assert_true(waits || p.server.failed == ERR_MAC || p.server.failed == ERR_RANGE);
            buf_fini(&raw);
            pair_fini(&p);
        }
    }
}

/* CVE-2024-43410: a claimed length is judged before anything is kept for it. */
static void test_cve_2024_43410_claimed_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool refused;
    } cases[] = {
        {"ffffffff", true},
        {"80000000", true},
        {"00040004", true},
        {"00000000", true},
        {"00000001", true},
        {"00000004", true},
        {"0000000d", true},
        {"0000000c", false},
        {"00008804", false} /* 34,820: a packet that RFC 4253 §6.1 wants us to take */,
        {"00009004", true} /* beyond the limit before authentication */,
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair p;
        pair_init(&p);
        exchange_idents(&p);
        (void)pair_feed(&p, &p.server, test_hex(cases[i].head));
        assert_int_equal(transport_ended(p.server.t), cases[i].refused);
        assert_true(p.server.t->input.cap <= 4096);
        pair_fini(&p);
    }
}

static void test_padding(void **state)
{
    (void)state;
    static const char *const packets[] = {
        "0000000c 03 02 00000000 00000000000000", /* three bytes of padding */
        "0000000c 0b 02 00000000 00000000000000", /* no payload */
        "0000000c ff 02 00000000 00000000000000", /* more than the packet */
    };
    for (size_t i = 0; i < ARRAY_LEN(packets); i++) {
        struct pair p;
        pair_init(&p);
        exchange_idents(&p);
        (void)pair_feed(&p, &p.server, view_take(test_hex(packets[i]), 16));
        assert_int_equal(p.server.failed, ERR_SYNTAX);
        pair_fini(&p);
    }
}

static void test_largest_packets(void **state)
{
    (void)state;
    struct pair p;
    struct buf data;
    buf_init(&data, 1 << 20);
    pair_init(&p);
    pair_authenticated(&p);
    pair_data(&data, TRANSPORT_PAYLOAD_MAX - 9, 1);
    CHECK_OK(transport_send(p.client.t, buf_view(&data)));
    pair_pump(&p);
    CHECK_VIEW(view_skip(buf_view(&p.server.packets), 4), buf_view(&data));
    pair_data(&data, TRANSPORT_PAYLOAD_MAX - 8, 1);
    CHECK_ERR(transport_send(p.client.t, buf_view(&data)), ERR_LIMIT);
    CHECK_ERR(transport_send(p.client.t, VIEW("")), ERR_LIMIT);
    pair_data(&data, TRANSPORT_PACKET_MAX + 100, 1);
    CHECK_OK(engine_seal(p.client.t, buf_view(&data)));
    (void)pair_move(&p, &p.client, &p.server);
    assert_int_equal(p.server.failed, ERR_RANGE);
    buf_fini(&data);
    pair_fini(&p);
    pair_init(&p);
    pair_ready(&p);
    pair_data(&data, TRANSPORT_PACKET_MAX_PREAUTH, 1);
    CHECK_OK(transport_send(p.client.t, buf_view(&data)));
    (void)pair_move(&p, &p.client, &p.server);
    assert_int_equal(p.server.failed, ERR_RANGE);
    buf_fini(&data);
    pair_fini(&p);
}

/* RFC 8731 §3 and a share of the wrong length: no key is made of them. */
static void test_bad_shares(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 31, 32, 33, 1216};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct pair p;
        uint8_t payload[2000] = {MSG_KEX_ECDH_INIT};
        pair_init(&p);
        p.client_algorithms.kex = "curve25519-sha256";
        exchange_idents(&p);
        (void)pair_move(&p, &p.client, &p.server);
        store_u32(payload + 1, (uint32_t)lengths[i]);
        CHECK_OK(engine_seal(p.client.t, view_of(payload, 5 + lengths[i])));
        (void)pair_move(&p, &p.client, &p.server);
        assert_int_equal(p.server.failed, ERR_PROTOCOL);
        assert_int_equal(p.server.events[TRANSPORT_KEX_SIGN], 0);
        pair_fini(&p);
    }
}

static void test_pomerium_5824_not_ssh(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t output; /* of DISCONNECT: only to those who speak SSH */
    } cases[] = {
        {"GET / HTTP/1.1\r\n", 0}, {"\x16\x03\x01\x02", 0}, {"SSH-1.5-old\r\n", 1},
        {"SSH-1.99-older\r\n", 1}, {"SSH-2.0-\r\n", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair p;
        pair_init(&p);
        pair_open(&p);
        transport_sent(p.server.t, transport_output(p.server.t).len);
        (void)pair_feed(&p, &p.server, view_str(cases[i].bytes));
        assert_int_equal(p.server.events[TRANSPORT_FAILED], 1);
        assert_int_equal(transport_output(p.server.t).len > 0, cases[i].output);
        pair_fini(&p);
    }
}

/* Unknown messages by the thousand from a peer that does not read: the answers stay bounded. */
static void test_unimplemented_is_bounded(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_ready(&p);
    for (int i = 0; i < 30000; i++) {
        CHECK_OK(engine_seal(p.client.t, VIEW("\x46")));
        if (i % 1000 == 999)
            (void)pair_move(&p, &p.client, &p.server);
    }
    assert_false(transport_ended(p.server.t));
    assert_true(transport_output(p.server.t).len < TRANSPORT_OUTPUT_SOFT + (80 << 10));
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cve_2023_48795_terrapin_injection),
        cmocka_unit_test(test_loose_peers),
        cmocka_unit_test(test_cve_2023_48795_terrapin_prefix),
        cmocka_unit_test(test_cve_2023_48795_sequence_numbers_begin_again),
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_guess_is_not_a_loophole),
        cmocka_unit_test(test_cve_2016_8858_repeated_kexinit),
        cmocka_unit_test(test_cve_2002_20001_early_rekeys_are_bounded),
        cmocka_unit_test(test_every_flipped_byte),
        cmocka_unit_test(test_cve_2024_43410_claimed_lengths),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_largest_packets),
        cmocka_unit_test(test_bad_shares),
        cmocka_unit_test(test_pomerium_5824_not_ssh),
        cmocka_unit_test(test_unimplemented_is_bounded),
    };
    return RUN(tests);
}
