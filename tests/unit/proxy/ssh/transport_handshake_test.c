#include "proxy/ssh/engine.h"
#include "tests/support/pair.h"

static const char *const kexes[] = {"mlkem768x25519-sha256", "curve25519-sha256",
                                    "curve25519-sha256@libssh.org"};
static const char *const aeads[] = {"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com",
                                    "aes256-gcm@openssh.com"};
static const char *const ctrs[] = {"aes128-ctr", "aes192-ctr", "aes256-ctr"};
static const char *const macs[] = {"hmac-sha2-256-etm@openssh.com",
                                   "hmac-sha2-512-etm@openssh.com"};
static const char *const host_keys[] = {"ssh-ed25519",         "ecdsa-sha2-nistp256",
                                        "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
                                        "rsa-sha2-512",        "rsa-sha2-256"};

/* Both ways after the handshake: data arrives unchanged. */
static void exchange_data(struct pair *p)
{
    struct buf data;
    buf_init(&data, 1 << 20);
    for (size_t len = 0; len < 70; len++) {
        pair_data(&data, len, (uint8_t)len);
        CHECK_OK(transport_send(p->server.t, buf_view(&data)));
        CHECK_OK(transport_send(p->client.t, buf_view(&data)));
        buf_clear(&p->server.packets);
        buf_clear(&p->client.packets);
        pair_pump(p);
        CHECK_VIEW(view_skip(buf_view(&p->server.packets), 4), buf_view(&data));
        CHECK_VIEW(view_skip(buf_view(&p->client.packets), 4), buf_view(&data));
    }
    buf_fini(&data);
}

struct combination {
    const char *kex;
    const char *host_key;
    const char *cipher;
    const char *mac;
};

static void handshake(const struct combination *c)
{
    struct pair p;
    pair_init(&p);
    p.client_algorithms.kex = c->kex;
    p.client_algorithms.host_key = c->host_key;
    p.client_algorithms.cipher = c->cipher;
    p.client_algorithms.mac = c->mac;
    pair_authenticated(&p);
    const struct transport_negotiated *n = transport_negotiated(p.server.t);
    assert_string_equal(n->kex, c->kex);
    assert_string_equal(n->host_key, c->host_key);
    assert_string_equal(n->cipher_in, c->cipher);
    assert_string_equal(n->cipher_out, c->cipher);
    assert_string_equal(n->mac_in, strchr(c->cipher, '@') ? "" : c->mac);
    assert_true(n->strict);
    CHECK_VIEW(transport_session_id(p.server.t), transport_session_id(p.client.t));
    assert_int_equal(transport_session_id(p.server.t).len, 32);
    assert_true(transport_host_key(p.client.t).len > 0);
    exchange_data(&p);
    pair_fini(&p);
}

static void test_every_kex_and_host_key(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kexes); k++) {
        for (size_t h = 0; h < ARRAY_LEN(host_keys); h++)
            handshake(&(struct combination){kexes[k], host_keys[h], aeads[0], macs[0]});
    }
}

static void test_every_cipher_and_mac(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kexes); k++) {
        for (size_t c = 0; c < ARRAY_LEN(aeads); c++)
            handshake(&(struct combination){kexes[k], host_keys[0], aeads[c], macs[0]});
        for (size_t c = 0; c < ARRAY_LEN(ctrs); c++) {
            for (size_t m = 0; m < ARRAY_LEN(macs); m++)
                handshake(&(struct combination){kexes[k], host_keys[0], ctrs[c], macs[m]});
        }
    }
}

static void test_mac_list_does_not_matter_for_aead(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.client_algorithms.cipher = aeads[1];
    p.client_algorithms.mac = macs[0];
    p.server_algorithms.mac = macs[1];
    pair_ready(&p);
    pair_fini(&p);
}

static void test_profiles(void **state)
{
    (void)state;
    struct pair p;
    for (int i = TRANSPORT_COMPAT; i <= TRANSPORT_STRICT; i++) {
        for (int role = TRANSPORT_SERVER; role <= TRANSPORT_CLIENT; role++)
            CHECK_OK(transport_algorithms_check(
                transport_profile((enum transport_profile)i, (enum transport_role)role)));
    }
    pair_init(&p);
    p.server_algorithms = *transport_profile(TRANSPORT_STRICT, TRANSPORT_SERVER);
    pair_ready(&p);
    assert_string_equal(transport_negotiated(p.client.t)->kex, "mlkem768x25519-sha256");
    pair_fini(&p);
    struct transport_algorithms none = *transport_profile(TRANSPORT_STRICT, TRANSPORT_SERVER);
    none.cipher = "aes128-cbc,none";
    CHECK_ERR(transport_algorithms_check(&none), ERR_CONFIG);
}

/* A whole handshake in pieces of every size. */
static void test_every_cut(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 1500; cut = cut < 40 ? cut + 1 : cut + 37) {
        struct pair p;
        pair_init(&p);
        p.client_algorithms.kex = kexes[cut % 2];
        p.cut = cut;
        pair_authenticated(&p);
        exchange_data(&p);
        pair_fini(&p);
    }
}

/* The first flight and the second flight of the client split in two at every byte. */
static void test_every_split_point(void **state)
{
    (void)state;
    size_t total = SIZE_MAX;
    for (size_t at = 0; at < total; at++) {
        struct pair p;
        size_t gone = 0;
        pair_init(&p);
        p.client_algorithms.kex = kexes[1];
        p.client_algorithms.host_key = host_keys[0];
        pair_open(&p);
        for (bool moved = true; moved;) {
            struct buf out;
            buf_init(&out, PAIR_STREAM_MAX);
            CHECK_OK(buf_append(&out, transport_output(p.client.t)));
            transport_sent(p.client.t, out.len);
            size_t cut = at > gone && at - gone < out.len ? at - gone : out.len;
            (void)pair_feed(&p, &p.server, view_take(buf_view(&out), cut));
            (void)pair_feed(&p, &p.server, view_skip(buf_view(&out), cut));
            gone += out.len;
            moved = out.len > 0;
            buf_fini(&out);
            moved = pair_move(&p, &p.server, &p.client) || moved;
        }
        assert_int_equal(p.server.events[TRANSPORT_READY], 1);
        assert_int_equal(p.client.events[TRANSPORT_READY], 1);
        total = gone;
        pair_fini(&p);
    }
    assert_true(total > 400);
}

static void test_ident_is_sent_first(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_open(&p);
    CHECK_VIEW_STR(transport_output(p.server.t), "SSH-2.0-Postern_0.1\r\n");
    CHECK_VIEW_STR(transport_output(p.client.t), "SSH-2.0-Postern_0.1 client\r\n");
    CHECK_ERR(transport_send(p.server.t, VIEW("\x02")), ERR_STATE);
    CHECK_ERR(transport_authenticated(p.server.t), ERR_STATE);
    CHECK_ERR(transport_rekey(p.server.t), ERR_STATE);
    pair_fini(&p);
}

static void test_signature_and_verdict_may_come_later(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.server.auto_answer = p.client.auto_answer = false;
    pair_open(&p);
    pair_pump(&p);
    assert_int_equal(p.server.events[TRANSPORT_KEX_SIGN], 1);
    assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], 0);
    CHECK_ERR(transport_host_key_accept(p.server.t), ERR_STATE);
    pair_sign(&p.server);
    pair_pump(&p);
    assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], 1);
    assert_int_equal(p.server.events[TRANSPORT_READY], 0);
    assert_int_equal(p.client.events[TRANSPORT_READY], 0);
    CHECK_OK(transport_host_key_accept(p.client.t));
    pair_pump(&p);
    assert_int_equal(p.server.events[TRANSPORT_READY], 1);
    assert_int_equal(p.client.events[TRANSPORT_READY], 1);
    CHECK_ERR(transport_signed(p.server.t, VIEW("")), ERR_STATE);
    pair_fini(&p);
}

static void test_host_key_refused(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.client.auto_answer = false;
    pair_open(&p);
    pair_pump(&p);
    CHECK_OK(transport_host_key_refuse(p.client.t, "the host key has changed"));
    pair_pump(&p);
    assert_int_equal(p.client.failed, ERR_MISMATCH);
    assert_int_equal(p.server.events[TRANSPORT_DISCONNECTED], 1);
    assert_int_equal(p.server.reason, REASON_HOST_KEY_NOT_VERIFIABLE);
    assert_string_equal(p.server.text, "the host key has changed");
    pair_fini(&p);
}

static void test_signature_of_another_algorithm(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.server.auto_answer = false;
    p.client_algorithms.host_key = "rsa-sha2-512";
    pair_open(&p);
    pair_pump(&p);
    (void)snprintf(p.server.pending_algorithm, sizeof p.server.pending_algorithm, "rsa-sha2-256");
    struct buf signature;
    buf_init(&signature, KEY_BLOB_MAX);
    CHECK_OK(private_key_sign(pair_key(KEY_RSA), VIEW("rsa-sha2-256"),
                              buf_view(&p.server.pending_hash), &signature));
    CHECK_ERR(transport_signed(p.server.t, buf_view(&signature)), ERR_INTERNAL);
    assert_true(transport_ended(p.server.t));
    buf_fini(&signature);
    pair_fini(&p);
}

/* A server that signs something else, or with a key that is not the one it shows. */
static void test_wrong_host_signature(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pair p;
        pair_init(&p);
        p.server.auto_answer = false;
        p.client_algorithms.host_key = i ? "ssh-ed25519" : "rsa-sha2-512";
        pair_open(&p);
        pair_pump(&p);
        buf_ptr(&p.server.pending_hash)[3] ^= 1;
        pair_sign(&p.server);
        pair_pump(&p);
        assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], 0);
        assert_int_equal(p.client.failed, ERR_VERIFY);
        assert_int_equal(p.server.reason, REASON_HOST_KEY_NOT_VERIFIABLE);
        pair_fini(&p);
    }
}

static void check_no_common(struct pair *p, const char *what)
{
    pair_open(p);
    pair_pump(p);
    assert_int_equal(p->server.failed, ERR_NEGOTIATION);
    assert_int_equal(p->client.failed, ERR_NEGOTIATION);
    assert_non_null(strstr(p->server.text, what));
    assert_non_null(strstr(p->client.text, "no common algorithm for "));
    pair_fini(p);
}

static void test_no_common_algorithm(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.client_algorithms.kex = kexes[0];
    p.server_algorithms.kex = kexes[1];
    check_no_common(&p, "no common algorithm for key exchange; the client offers: "
                        "mlkem768x25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com; "
                        "the server offers: curve25519-sha256");
    pair_init(&p);
    p.client_algorithms.host_key = host_keys[1];
    p.server_algorithms.host_key = host_keys[4];
    check_no_common(&p, "no common algorithm for host key; the client offers: "
                        "ecdsa-sha2-nistp256; the server offers: rsa-sha2-512");
    pair_init(&p);
    p.client_algorithms.cipher = aeads[1];
    p.server_algorithms.cipher = aeads[2];
    check_no_common(&p, "no common algorithm for cipher, client to server; ");
    pair_init(&p);
    p.client_algorithms.cipher = ctrs[0];
    p.client_algorithms.mac = macs[0];
    p.server_algorithms.mac = macs[1];
    check_no_common(&p, "no common algorithm for MAC, client to server; ");
}

static void test_ext_info(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_ready(&p);
    assert_true(transport_peer_wants_ext_info(p.server.t));
    assert_int_equal(p.client.events[TRANSPORT_EXT_INFO], 1);
    assert_int_equal(p.server.events[TRANSPORT_EXT_INFO], 0);
    const struct msg_ext_info *info = transport_peer_ext(p.client.t);
    CHECK_VIEW_STR(info->server_sig_algs,
                   "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
                   "ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,"
                   "rsa-sha2-256");
    assert_true(info->has_ping);
    assert_false(info->has_in_auth);
    pair_fini(&p);
}

/* A client's EXT_INFO is legal as the first packet after its NEWKEYS and nowhere else. */
static void test_ext_info_of_a_client(void **state)
{
    (void)state;
    static const uint8_t ext_info[] = {
        MSG_EXT_INFO, 0,   0,   0,   1,   0,   0,   0,   18,  'p', 'i', 'n', 'g', '@', 'o', 'p',
        'e',          'n', 's', 's', 'h', '.', 'c', 'o', 'm', 'x', 'y', 0,   0,   0,   1,   '0'};
    static const uint8_t ignore[] = {MSG_IGNORE, 0, 0, 0, 0};
    for (int late = 0; late < 2; late++) {
        struct pair p;
        pair_init(&p);
        pair_ready(&p);
        if (late)
            CHECK_OK(transport_send(p.client.t, view_of(ignore, sizeof ignore)));
        CHECK_OK(transport_send(p.client.t, view_of(ext_info, sizeof ext_info)));
        pair_pump(&p);
        assert_int_equal(p.server.events[TRANSPORT_EXT_INFO], late ? 0 : 1);
        assert_int_equal(p.server.failed, late ? ERR_PROTOCOL : OK);
        if (!late) {
            CHECK_OK(transport_send(p.client.t, view_of(ext_info, sizeof ext_info)));
            pair_pump(&p);
            assert_int_equal(p.server.failed, ERR_PROTOCOL);
        }
        pair_fini(&p);
    }
}

static void test_deadline(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.limits.handshake_ms = 1000;
    p.now = 50;
    pair_open(&p);
    assert_int_equal(transport_deadline(p.server.t), 1050);
    transport_tick(p.server.t, 1049);
    assert_false(transport_ended(p.server.t));
    transport_tick(p.server.t, 1050);
    assert_true(transport_ended(p.server.t));
    pair_drain(&p.server);
    assert_int_equal(p.server.failed, ERR_TIMEOUT);
    CHECK_VIEW_STR(transport_output(p.server.t), "SSH-2.0-Postern_0.1\r\n");
    CHECK_OK(transport_feed(p.client.t, VIEW("SSH-"), 2000));
    pair_drain(&p.client);
    assert_int_equal(p.client.failed, ERR_TIMEOUT);
    pair_fini(&p);
    pair_init(&p);
    p.limits.handshake_ms = 1000;
    pair_ready(&p);
    assert_true(transport_deadline(p.server.t) == UINT64_MAX);
    transport_tick(p.server.t, 99999);
    assert_false(transport_ended(p.server.t));
    pair_fini(&p);
}

static void test_disconnect(void **state)
{
    (void)state;
    char text[700];
    struct pair p;
    memset(text, 'x', sizeof text);
    memcpy(text, "bad\n\x1b[2J", 8);
    pair_init(&p);
    pair_authenticated(&p);
    transport_disconnect(p.server.t, REASON_BY_APPLICATION, view_of(text, sizeof text));
    size_t n = transport_output(p.server.t).len;
    CHECK_ERR(transport_send(p.server.t, VIEW("\x02")), ERR_CLOSED);
    transport_disconnect(p.server.t, REASON_BY_APPLICATION, VIEW("again"));
    transport_unimplemented(p.server.t, 3);
    assert_int_equal(transport_output(p.server.t).len, n);
    assert_int_equal(transport_room(p.server.t), 0);
    pair_pump(&p);
    assert_int_equal(p.client.reason, REASON_BY_APPLICATION);
    assert_int_equal(strlen(p.client.text), MSG_TEXT_MAX);
    assert_null(strpbrk(p.client.text, "\n\x1b"));
    assert_true(transport_ended(p.client.t));
    pair_fini(&p);
}

static void test_ping(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_authenticated(&p);
    CHECK_OK(transport_send(p.client.t, VIEW("\xc0\0\0\0\3abc")));
    (void)pair_move(&p, &p.client, &p.server);
    assert_int_equal(p.server.packet_count, 0);
    size_t n = transport_output(p.server.t).len;
    assert_true(n > 0);
    /* A peer that pings and does not read: the output stays bounded. */
    for (int i = 0; i < 40000; i++) {
        if (transport_send(p.client.t, VIEW("\xc0\0\0\0\3abc")) != OK || i % 100 == 0)
            (void)pair_move(&p, &p.client, &p.server);
    }
    (void)pair_move(&p, &p.client, &p.server);
    assert_true(transport_output(p.server.t).len <= TRANSPORT_OUTPUT_HARD);
    assert_false(transport_ended(p.server.t));
    (void)pair_move(&p, &p.server, &p.client);
    assert_false(transport_ended(p.client.t));
    pair_fini(&p);
}

static void test_unimplemented(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_authenticated(&p);
    /* Strict: the numbers began again at 0 with NEWKEYS; this is the client's third packet. */
    CHECK_OK(transport_send(p.client.t, VIEW("\x02\0\0\0\0")));
    CHECK_OK(transport_send(p.client.t, VIEW("\x02\0\0\0\0")));
    CHECK_OK(transport_send(p.client.t, VIEW("\xc8whatever")));
    (void)pair_move(&p, &p.client, &p.server);
    struct packet_dir *rx = &p.client.t->rx;
    struct buf raw;
    buf_init(&raw, 4096);
    CHECK_OK(buf_append(&raw, transport_output(p.server.t)));
    struct packet packet;
    CHECK_OK(packet_open(rx, buf_ptr(&raw), raw.len, TRANSPORT_PACKET_MAX, &packet));
    CHECK_VIEW(view_of(packet.payload, packet.len), VIEW("\x03\0\0\0\2"));
    buf_fini(&raw);
    pair_fini(&p);
}

static void test_hostkeys_prove(void **state)
{
    (void)state;
    struct pair p;
    struct buf out;
    buf_init(&out, 4096);
    pair_init(&p);
    pair_ready(&p);
    CHECK_OK(transport_hostkeys_prove(p.server.t, VIEW("blob"), &out));
    struct reader r = reader_of(buf_view(&out));
    CHECK_VIEW_STR(read_string(&r), "hostkeys-prove-00@openssh.com");
    CHECK_VIEW(read_string(&r), transport_session_id(p.client.t));
    CHECK_VIEW_STR(read_string(&r), "blob");
    CHECK_OK(reader_done(&r));
    buf_fini(&out);
    pair_fini(&p);
}

/* What was shown in an event is overwritten by the next call. */
static void test_events_are_poisoned(void **state)
{
    (void)state;
#ifdef POSTERN_POISON
    struct pair p;
    struct transport_event ev;
    pair_init(&p);
    pair_authenticated(&p);
    CHECK_OK(transport_send(p.client.t, VIEW("\x5e\0\0\0\0\0\0\0\4data")));
    CHECK_OK(transport_feed(p.server.t, transport_output(p.client.t), 0));
    transport_sent(p.client.t, transport_output(p.client.t).len);
    assert_true(transport_next(p.server.t, &ev));
    assert_int_equal(ev.type, TRANSPORT_PACKET);
    uint8_t *payload = ev.packet.payload;
    assert_int_equal(payload[0], MSG_CHANNEL_DATA);
    assert_false(transport_next(p.server.t, &ev));
    assert_int_equal(payload[0], 0xdb);
    pair_fini(&p);
#endif
}

static void test_trim(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_authenticated(&p);
    transport_trim(p.server.t);
    assert_null(p.server.t->input.data);
    assert_null(p.server.t->output.data);
    exchange_data(&p);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kex_and_host_key),
        cmocka_unit_test(test_every_cipher_and_mac),
        cmocka_unit_test(test_mac_list_does_not_matter_for_aead),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_split_point),
        cmocka_unit_test(test_ident_is_sent_first),
        cmocka_unit_test(test_signature_and_verdict_may_come_later),
        cmocka_unit_test(test_host_key_refused),
        cmocka_unit_test(test_signature_of_another_algorithm),
        cmocka_unit_test(test_wrong_host_signature),
        cmocka_unit_test(test_no_common_algorithm),
        cmocka_unit_test(test_ext_info),
        cmocka_unit_test(test_ext_info_of_a_client),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_unimplemented),
        cmocka_unit_test(test_hostkeys_prove),
        cmocka_unit_test(test_events_are_poisoned),
        cmocka_unit_test(test_trim),
    };
    return RUN(tests);
}
