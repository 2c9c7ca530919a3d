#include "proxy/ssh/engine.h"
#include "tests/support/pair.h"

/* A stream of numbered packets in both directions, with hooks in between. */
struct stream {
    size_t sent;
    size_t seen;
};

static void send_some(struct pair_end *from, struct stream *s, size_t count, size_t len)
{
    struct buf data;
    buf_init(&data, 1 << 20);
    for (size_t i = 0; i < count && transport_writable(from->t); i++) {
        pair_data(&data, len, (uint8_t)s->sent);
        CHECK_OK(transport_send(from->t, buf_view(&data)));
        s->sent++;
    }
    buf_fini(&data);
}

/* Everything delivered so far is the next of the numbers. */
static void check_seen(struct pair_end *to, struct stream *s, size_t len)
{
    struct buf data;
    struct reader r = reader_of(buf_view(&to->packets));
    buf_init(&data, 1 << 20);
    while (reader_left(&r)) {
        struct view payload = read_string(&r);
        pair_data(&data, len, (uint8_t)s->seen);
        CHECK_VIEW(payload, buf_view(&data));
        s->seen++;
    }
    buf_clear(&to->packets);
    buf_fini(&data);
}

enum { BY_CLIENT = 1, BY_SERVER = 2 };

static void transfer(struct pair *p, int who, size_t rounds, size_t len)
{
    struct stream up = {0};
    struct stream down = {0};
    for (size_t i = 0; i < rounds; i++) {
        send_some(&p->client, &up, 7, len);
        send_some(&p->server, &down, 7, len);
        if (i % 10 == 3 && (who & BY_CLIENT))
            CHECK_OK(transport_rekey(p->client.t));
        if (i % 10 == 3 && (who & BY_SERVER))
            CHECK_OK(transport_rekey(p->server.t));
        send_some(&p->client, &up, 7, len);
        (void)pair_move(p, &p->client, &p->server);
        send_some(&p->server, &down, 7, len);
        (void)pair_move(p, &p->server, &p->client);
        check_seen(&p->server, &up, len);
        check_seen(&p->client, &down, len);
    }
    pair_pump(p);
    check_seen(&p->server, &up, len);
    check_seen(&p->client, &down, len);
    assert_int_equal(p->server.failed, OK);
    assert_int_equal(p->client.failed, OK);
    assert_int_equal(up.sent, up.seen);
    assert_int_equal(down.sent, down.seen);
    assert_true(up.sent > rounds * 3);
    assert_true(down.sent > rounds * 3);
}

static void test_in_mid_transfer(void **state)
{
    (void)state;
    static const char *const ciphers[] = {"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com",
                                          "aes256-ctr"};
    static const size_t cuts[] = {0, 1, 977};
    for (size_t c = 0; c < ARRAY_LEN(ciphers); c++) {
        for (int who = BY_CLIENT; who <= (BY_CLIENT | BY_SERVER); who++) {
            struct pair p;
            pair_init(&p);
            p.client_algorithms.cipher = ciphers[c];
            pair_authenticated(&p);
            struct buf session_id;
            buf_init(&session_id, 64);
            CHECK_OK(buf_append(&session_id, transport_session_id(p.client.t)));
            p.cut = cuts[(c + (size_t)who) % ARRAY_LEN(cuts)];
            transfer(&p, who, 40, p.cut == 1 ? 60 : 3000);
            assert_int_equal(p.server.events[TRANSPORT_READY], 5);
            assert_int_equal(p.client.events[TRANSPORT_READY], 5);
            assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], 1);
            assert_int_equal(p.client.events[TRANSPORT_EXT_INFO], 1);
            CHECK_VIEW(transport_session_id(p.server.t), buf_view(&session_id));
            CHECK_VIEW(transport_session_id(p.client.t), buf_view(&session_id));
            buf_fini(&session_id);
            pair_fini(&p);
        }
    }
}

static void test_by_bytes(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.limits.rekey_bytes = 64 * 1024;
    pair_authenticated(&p);
    transfer(&p, 0, 100, 4000);
    assert_true(p.server.events[TRANSPORT_READY] > 20);
    assert_int_equal(p.server.events[TRANSPORT_READY], p.client.events[TRANSPORT_READY]);
    pair_fini(&p);
}

static void test_by_packets(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.limits.rekey_packets = 100;
    pair_authenticated(&p);
    transfer(&p, 0, 100, 10);
    assert_true(p.server.events[TRANSPORT_READY] > 5);
    pair_fini(&p);
}

static void test_not_before_authentication(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.limits.rekey_bytes = 1;
    p.limits.rekey_packets = 1;
    pair_ready(&p);
    for (int i = 0; i < 50; i++) {
        CHECK_OK(transport_send(p.client.t, VIEW("\x32 a request")));
        CHECK_OK(transport_send(p.server.t, VIEW("\x33 a failure")));
        pair_pump(&p);
    }
    assert_int_equal(p.server.events[TRANSPORT_READY], 1);
    CHECK_ERR(transport_rekey(p.server.t), ERR_STATE);
    CHECK_OK(transport_authenticated(p.server.t));
    assert_true(transport_rekeying(p.server.t));
    assert_false(transport_rekeying(p.client.t));
    pair_pump(&p);
    assert_int_equal(p.server.events[TRANSPORT_READY], 2);
    pair_fini(&p);
}

/* What is sent during a rekey waits, bounded, and comes out in order behind NEWKEYS. */
static void test_held_back(void **state)
{
    (void)state;
    struct pair p;
    struct stream down = {0};
    struct buf data;
    size_t held = 0;
    buf_init(&data, 1 << 20);
    pair_init(&p);
    p.limits.held_max = 100 * 1000;
    pair_authenticated(&p);
    CHECK_OK(transport_rekey(p.server.t));
    assert_false(transport_writable(p.server.t));
    size_t before = transport_output(p.server.t).len;
    for (;; held++) {
        pair_data(&data, 500, (uint8_t)held);
        if (transport_send(p.server.t, buf_view(&data)) != OK)
            break;
    }
    CHECK_ERR(transport_send(p.server.t, buf_view(&data)), ERR_LIMIT);
    assert_true(held > 150 && held < 200);
    assert_int_equal(transport_output(p.server.t).len, before);
    assert_true(transport_pending(p.server.t) > before + held * 500);
    /* The peer was still sending: its data is delivered before its KEXINIT. */
    CHECK_OK(transport_send(p.client.t, VIEW("\x5e in flight")));
    pair_pump(&p);
    assert_int_equal(p.server.packet_count, 1);
    assert_int_equal(p.client.packet_count, held);
    check_seen(&p.client, &down, 500);
    assert_true(transport_writable(p.server.t));
    buf_fini(&data);
    pair_fini(&p);
}

static void test_disconnect_overtakes(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_authenticated(&p);
    CHECK_OK(transport_rekey(p.server.t));
    CHECK_OK(transport_send(p.server.t, VIEW("\x5e held back")));
    transport_disconnect(p.server.t, REASON_BY_APPLICATION, VIEW("your session was revoked"));
    (void)pair_move(&p, &p.server, &p.client);
    assert_int_equal(p.client.packet_count, 0);
    assert_int_equal(p.client.events[TRANSPORT_DISCONNECTED], 1);
    assert_string_equal(p.client.text, "your session was revoked");
    pair_fini(&p);
}

static void set_list(char **list, const char *value)
{
    mem_set_str(list, value);
}

static void test_algorithms_may_change(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_authenticated(&p);
    assert_string_equal(transport_negotiated(p.client.t)->cipher_in, "aes128-gcm@openssh.com");
    set_list(&p.client.t->lists.cipher, "aes192-ctr");
    set_list(&p.client.t->lists.mac, "hmac-sha2-512-etm@openssh.com");
    set_list(&p.client.t->lists.kex, "curve25519-sha256@libssh.org");
    CHECK_OK(transport_rekey(p.client.t));
    pair_pump(&p);
    assert_string_equal(transport_negotiated(p.client.t)->cipher_in, "aes192-ctr");
    assert_string_equal(transport_negotiated(p.server.t)->mac_out, "hmac-sha2-512-etm@openssh.com");
    transfer(&p, BY_SERVER, 20, 100);
    /* Another host key in a rekey is a new question. */
    set_list(&p.client.t->lists.host_key, "rsa-sha2-256");
    assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], 1);
    CHECK_OK(transport_rekey(p.client.t));
    pair_pump(&p);
    assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], 2);
    CHECK_VIEW(transport_host_key(p.client.t), p.blobs[KEY_RSA]);
    transfer(&p, BY_CLIENT, 20, 100);
    pair_fini(&p);
}

/* The signature of a rekey may take its time, in which nothing is lost. */
static void test_slow_signature(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_authenticated(&p);
    p.server.auto_answer = false;
    CHECK_OK(transport_rekey(p.client.t));
    CHECK_OK(transport_send(p.server.t, VIEW("\x5e before")));
    pair_pump(&p);
    assert_int_equal(p.client.packet_count, 1);
    assert_true(transport_rekeying(p.server.t));
    CHECK_OK(transport_send(p.server.t, VIEW("\x5e during")));
    CHECK_OK(transport_send(p.client.t, VIEW("\x5e during")));
    pair_pump(&p);
    assert_int_equal(p.client.packet_count, 1);
    pair_sign(&p.server);
    pair_pump(&p);
    assert_int_equal(p.client.packet_count, 2);
    assert_int_equal(p.server.packet_count, 1);
    pair_fini(&p);
}

/* A rekey that the peer never joins: its data is still read, but not for ever. */
static void test_peer_ignores_rekey(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_authenticated(&p);
    CHECK_OK(transport_rekey(p.server.t));
    p.server.t->rx.packets = UINT32_MAX - 2;
    CHECK_OK(transport_send(p.client.t, VIEW("\x5e one")));
    (void)pair_move(&p, &p.client, &p.server);
    assert_int_equal(p.server.packet_count, 1);
    CHECK_OK(transport_send(p.client.t, VIEW("\x5e two")));
    (void)pair_move(&p, &p.client, &p.server);
    assert_int_equal(p.server.failed, ERR_PROTOCOL);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_mid_transfer),
        cmocka_unit_test(test_by_bytes),
        cmocka_unit_test(test_by_packets),
        cmocka_unit_test(test_not_before_authentication),
        cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_disconnect_overtakes),
        cmocka_unit_test(test_algorithms_may_change),
        cmocka_unit_test(test_slow_signature),
        cmocka_unit_test(test_peer_ignores_rekey),
    };
    return RUN(tests);
}
