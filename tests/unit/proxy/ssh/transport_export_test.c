#include "proxy/ssh/engine.h"
#include "tests/support/pair.h"

static void export_end(struct pair_end *e, struct buf *out)
{
    buf_init(out, 4 << 20);
    CHECK_OK(transport_export(e->t, out));
}

/* Replaces the end's transport by an import of its export. */
static void move_house(struct pair *p, struct pair_end *e)
{
    struct buf state;
    struct transport *t;
    struct transport_config c = pair_config(p, transport_role(e->t));
    export_end(e, &state);
    CHECK_OK(transport_import(&c, buf_view(&state), &t));
    transport_free(e->t);
    e->t = t;
    buf_wipe(&state);
}

static void send_numbered(struct pair_end *e, uint8_t number)
{
    struct buf data;
    buf_init(&data, 1 << 20);
    pair_data(&data, 100 + number, number);
    CHECK_OK(transport_send(e->t, buf_view(&data)));
    buf_fini(&data);
}

static void check_numbered(struct pair_end *e, size_t count)
{
    struct buf data;
    struct reader r = reader_of(buf_view(&e->packets));
    buf_init(&data, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        pair_data(&data, 100 + i, (uint8_t)i);
        CHECK_VIEW(read_string(&r), buf_view(&data));
    }
    CHECK_OK(reader_done(&r));
    buf_fini(&data);
}

/*
 * Both ends are replaced in mid-session again and again, with half a packet unread and bytes
 * unsent, and rekey afterwards.
 */
static void mid_session(const char *cipher, const char *mac)
{
    struct pair p;
    pair_init(&p);
    p.client_algorithms.cipher = cipher;
    p.client_algorithms.mac = mac;
    pair_authenticated(&p);
    uint8_t number = 0;
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 5; i++, number++) {
            send_numbered(&p.server, number);
            send_numbered(&p.client, number);
        }
        /* One and a half packets of the server arrive; the rest stays unsent. */
        size_t part = transport_output(p.server.t).len * 3 / 10;
        CHECK_OK(transport_feed(p.client.t, view_take(transport_output(p.server.t), part), 0));
        transport_sent(p.server.t, part);
        move_house(&p, &p.client);
        pair_drain(&p.client);
        move_house(&p, &p.client);
        move_house(&p, &p.server);
        pair_pump(&p);
        if (round == 2)
            CHECK_OK(transport_rekey(p.server.t));
        if (round == 4)
            CHECK_OK(transport_rekey(p.client.t));
        pair_pump(&p);
    }
    check_numbered(&p.server, number);
    check_numbered(&p.client, number);
    assert_int_equal(p.server.events[TRANSPORT_READY], 3);
    assert_int_equal(p.client.events[TRANSPORT_READY], 3);
    assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], 1);
    pair_fini(&p);
}

static void test_mid_session(void **state)
{
    (void)state;
    static const char *const macs[] = {"hmac-sha2-256-etm@openssh.com",
                                       "hmac-sha2-512-etm@openssh.com"};
    mid_session("chacha20-poly1305@openssh.com", macs[0]);
    mid_session("aes128-gcm@openssh.com", macs[0]);
    mid_session("aes256-gcm@openssh.com", macs[0]);
    mid_session("aes128-ctr", macs[0]);
    mid_session("aes192-ctr", macs[1]);
    mid_session("aes256-ctr", macs[1]);
}

static void test_what_is_known_moves_too(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.client_algorithms.host_key = "rsa-sha2-256";
    pair_authenticated(&p);
    struct transport_negotiated before = *transport_negotiated(p.client.t);
    uint64_t bytes = p.server.t->tx.bytes;
    move_house(&p, &p.client);
    move_house(&p, &p.server);
    const struct transport_negotiated *after = transport_negotiated(p.client.t);
    assert_string_equal(after->kex, before.kex);
    assert_string_equal(after->host_key, "rsa-sha2-256");
    assert_string_equal(after->cipher_in, before.cipher_in);
    assert_string_equal(after->cipher_out, before.cipher_out);
    assert_string_equal(after->mac_in, before.mac_in);
    assert_true(after->strict);
    assert_true(transport_is_authenticated(p.server.t));
    assert_int_equal(p.server.t->tx.bytes, bytes);
    assert_true(bytes > 0);
    CHECK_VIEW(transport_session_id(p.client.t), transport_session_id(p.server.t));
    CHECK_VIEW_STR(transport_peer_ident(p.client.t), "SSH-2.0-Postern_0.1");
    CHECK_VIEW(transport_host_key(p.client.t), p.blobs[KEY_RSA]);
    assert_true(transport_peer_ext(p.client.t)->has_ping);
    assert_true(transport_peer_ext(p.client.t)->server_sig_algs.len > 20);
    assert_true(transport_peer_wants_ext_info(p.server.t));
    pair_fini(&p);
}

/* The identification is part of the exchange hash: an import keeps the old one for rekeys. */
static void test_other_software(void **state)
{
    (void)state;
    struct pair p;
    struct buf bytes;
    struct transport *t;
    pair_init(&p);
    pair_authenticated(&p);
    struct transport_config c = pair_config(&p, TRANSPORT_SERVER);
    c.software = "Postern_9.9";
    export_end(&p.server, &bytes);
    CHECK_OK(transport_import(&c, buf_view(&bytes), &t));
    transport_free(p.server.t);
    p.server.t = t;
    CHECK_OK(transport_rekey(t));
    pair_pump(&p);
    assert_int_equal(p.client.events[TRANSPORT_READY], 2);
    buf_wipe(&bytes);
    pair_fini(&p);
}

static void test_when(void **state)
{
    (void)state;
    struct pair p;
    struct buf out;
    buf_init(&out, 1 << 20);
    pair_init(&p);
    pair_open(&p);
    CHECK_ERR(transport_export(p.server.t, &out), ERR_BUSY);
    pair_pump(&p);
    CHECK_OK(transport_authenticated(p.server.t));
    CHECK_OK(transport_rekey(p.server.t));
    CHECK_ERR(transport_export(p.server.t, &out), ERR_BUSY);
    assert_int_equal(out.len, 0);
    pair_pump(&p);
    CHECK_OK(transport_export(p.server.t, &out));
    transport_disconnect(p.server.t, REASON_BY_APPLICATION, VIEW(""));
    CHECK_ERR(transport_export(p.server.t, &out), ERR_CLOSED);
    buf_wipe(&out);
    pair_fini(&p);
}

static void test_damaged(void **state)
{
    (void)state;
    struct pair p;
    struct buf out;
    struct transport *t = NULL;
    pair_init(&p);
    pair_authenticated(&p);
    export_end(&p.client, &out);
    struct transport_config c = pair_config(&p, TRANSPORT_CLIENT);
    struct transport_config server = pair_config(&p, TRANSPORT_SERVER);
    for (size_t n = 0; n < out.len; n++)
        CHECK_ERR(transport_import(&c, view_take(buf_view(&out), n), &t),
                  n < 6 ? ERR_VERSION : ERR_DAMAGED);
    CHECK_ERR(transport_import(&server, buf_view(&out), &t), ERR_DAMAGED);
    buf_ptr(&out)[5]++;
    CHECK_ERR(transport_import(&c, buf_view(&out), &t), ERR_VERSION);
    assert_null(t);
    buf_wipe(&out);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mid_session),    cmocka_unit_test(test_what_is_known_moves_too),
        cmocka_unit_test(test_other_software), cmocka_unit_test(test_when),
        cmocka_unit_test(test_damaged),
    };
    return RUN(tests);
}
