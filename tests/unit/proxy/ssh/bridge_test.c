#include "proxy/ssh/bridge.h"

#include "proxy/ssh/engine.h"
#include "tests/support/chain.h"

/* Opens `channels` that send `bytes` each way. */
static void open_channels(struct chain *c, uint32_t channels, uint64_t bytes)
{
    chain_open(c);
    for (uint32_t i = 0; i < channels; i++) {
        chain_open_channel(c, i, i ? "direct-tcpip" : "session");
        c->client.channels[i].to_send = bytes;
        c->target.channels[i].to_send = bytes;
    }
}

static void check_received(struct chain *c, uint32_t channels, uint64_t bytes)
{
    for (uint32_t i = 0; i < channels; i++) {
        assert_int_equal(c->client.channels[i].received, bytes);
        assert_int_equal(c->target.channels[i].received, bytes);
    }
    assert_int_equal(c->bridge.relay.bytes[RELAY_CLIENT], channels * bytes);
    assert_int_equal(c->bridge.relay.bytes[RELAY_TARGET], channels * bytes);
    assert_int_equal(relay_channels(&c->bridge.relay), 0);
}

static void transfer(struct chain *c, uint32_t channels, uint64_t bytes)
{
    open_channels(c, channels, bytes);
    chain_run(c, channels);
    check_received(c, channels, bytes);
}

static void test_transfer(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 1);
    transfer(&c, 3, 1 << 20);
    chain_fini(&c);
}

/* Windows and packets far smaller than any buffer of ours: pomerium#6285, #6448. */
static void test_pomerium_6285_small_windows(void **state)
{
    (void)state;
    static const uint32_t windows[] = {1, 7, 1000, 8191, 8192, 40000};
    for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
        struct chain c;
        chain_init(&c, 10 + i);
        c.window[RELAY_CLIENT] = windows[i];
        c.window[RELAY_TARGET] = windows[ARRAY_LEN(windows) - 1 - i];
        c.packet = 512;
        transfer(&c, 2, windows[i] < 100 ? 2000 : 100000);
        chain_fini(&c);
    }
}

/* Windows larger than every buffer between, both ends saturated and slow. */
static void test_pomerium_6448_saturated_slow_readers(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct chain c;
        chain_init(&c, 20 + seed);
        c.window[RELAY_CLIENT] = c.window[RELAY_TARGET] = 4 << 20;
        c.client.reads_one_in = seed % 2 ? 1 : 7;
        c.target.reads_one_in = seed % 2 ? 7 : 5;
        transfer(&c, 2, 3 << 20);
        chain_fini(&c);
    }
}

/* sshpiper#3, hpn-ssh#5, diego-ssh#31, cbssh#231: rekeys of all four, at any time, under load. */
static void test_sshpiper_3_rekey_in_mid_transfer(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct chain c;
        chain_init(&c, 30 + seed);
        c.window[RELAY_CLIENT] = seed % 2 ? 2 << 20 : 5000;
        c.window[RELAY_TARGET] = seed % 3 ? 2 << 20 : 5000;
        c.client.reads_one_in = seed % 2 ? 3 : 1;
        c.rekey_one_in = 25;
        transfer(&c, 2, 1 << 20);
        assert_true(c.client.leg.rekeys > 1);
        assert_true(c.target.leg.rekeys > 1);
        chain_fini(&c);
    }
}

static void test_hpn_ssh_5_rekey_by_bytes(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 40);
    c.limits.rekey_bytes = 64 << 10;
    transfer(&c, 2, 2 << 20);
    assert_true(c.client.leg.rekeys > 10);
    chain_fini(&c);
}

/* Both ends write without reading until nothing moves, both legs of the proxy rekey, then all go
 * on: KEXINITs are behind data that cannot be delivered at that moment. */
static void test_rekey_while_both_are_full(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 50);
    c.window[RELAY_CLIENT] = c.window[RELAY_TARGET] = 16 << 20;
    open_channels(&c, 2, 4 << 20);
    for (int i = 0; i < 200; i++)
        (void)chain_step(&c);
    c.client.reads_one_in = c.target.reads_one_in = 0;
    size_t idle = 0;
    while (idle < 50)
        idle = chain_step(&c) ? 0 : idle + 1;
    CHECK_OK(transport_rekey(c.proxy[RELAY_CLIENT].t));
    CHECK_OK(transport_rekey(c.proxy[RELAY_TARGET].t));
    CHECK_OK(transport_rekey(c.client.leg.t));
    for (int i = 0; i < 200; i++)
        (void)chain_step(&c);
    c.client.reads_one_in = c.target.reads_one_in = 1;
    chain_run(&c, 2);
    check_received(&c, 2, 4 << 20);
    assert_true(c.client.leg.rekeys > 0 && c.target.leg.rekeys > 0);
    chain_fini(&c);
}

/* A side that is idle rekeys too. */
static void test_cbssh_231_idle_rekey(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 60);
    chain_open(&c);
    struct transport *all[] = {c.client.leg.t, c.target.leg.t, c.proxy[0].t, c.proxy[1].t};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        CHECK_OK(transport_rekey(all[i]));
        while (chain_step(&c))
            ;
        assert_int_equal(c.client.leg.rekeys + c.target.leg.rekeys, i + 1);
    }
    chain_fini(&c);
}

static void test_split_points(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 60; cut += cut < 8 ? 1 : 17) {
        struct chain c;
        chain_init(&c, 70 + cut);
        c.cut_max = cut;
        c.rekey_one_in = 4000;
        transfer(&c, 2, 3000);
        chain_fini(&c);
    }
}

static void test_requests_keep_their_order(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 80);
    c.rekey_one_in = 100;
    open_channels(&c, 1, 300000);
    for (int i = 0; i < 500; i++) {
        chain_ask(&c.client);
        chain_ask(&c.target);
        while (c.client.requests_sent - c.client.requests_answered > 100)
            (void)chain_step(&c);
        (void)chain_step(&c);
    }
    chain_run(&c, 1);
    assert_int_equal(c.client.requests_answered, 500);
    assert_int_equal(c.target.requests_seen, 500);
    check_received(&c, 1, 300000);
    chain_fini(&c);
}

/* The proxy's half is exported and imported again and again while data flows and keys change. */
static void test_moves(void **state)
{
    (void)state;
    static const char *const ciphers[] = {"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com",
                                          "aes128-ctr"};
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
        struct chain c;
        chain_init(&c, 90 + i);
        c.algorithms[TRANSPORT_CLIENT].cipher = ciphers[i];
        c.move_one_in = 40;
        c.rekey_one_in = 400;
        transfer(&c, 2, 1 << 20);
        assert_true(c.moves > 3);
        chain_fini(&c);
    }
}

/* Lines of ours never make the target overrun the client's window, whatever the client's window. */
static void test_warn_under_load(void **state)
{
    (void)state;
    static const uint32_t windows[] = {600, 9000, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
        struct chain c;
        chain_init(&c, 100 + i);
        c.window[RELAY_CLIENT] = windows[i];
        open_channels(&c, 1, 500000);
        while (c.target.channels[0].sent < 100000)
            (void)chain_step(&c);
        relay_warn(&c.bridge.relay, VIEW("soon"));
        while (c.target.channels[0].sent < 200000)
            (void)chain_step(&c);
        relay_warn(&c.bridge.relay, VIEW("sooner"));
        chain_run(&c, 1);
        CHECK_VIEW_STR(buf_view(&c.client.channels[0].stderr_text), "soon\nsooner\n");
        assert_int_equal(c.client.channels[0].received, 500000 + strlen("soon\nsooner\n"));
        assert_int_equal(c.target.channels[0].received, 500000);
        chain_fini(&c);
    }
}

static void test_cut_under_load(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 110);
    open_channels(&c, 2, 5 << 20);
    while (c.target.channels[0].sent < 1 << 20)
        (void)chain_step(&c);
    relay_cut(&c.bridge.relay, VIEW("Your session was revoked."), REASON_BY_APPLICATION, 0);
    transport_disconnect(c.proxy[RELAY_TARGET].t, REASON_BY_APPLICATION, VIEW("cut"));
    for (int i = 0; i < 5000 && !c.client.leg.ended; i++) {
        for (int n = 0; n < CHAIN_CHANNELS; n++) {
            struct chain_channel *ch = &c.client.channels[n];
            if (ch->close_seen && !ch->close_sent) {
                chain_short(&c.client, MSG_CHANNEL_CLOSE, ch->peer);
                ch->close_sent = true;
            }
        }
        (void)chain_step(&c);
    }
    assert_string_equal(c.client.leg.ended, "Your session was revoked.");
    assert_string_equal(c.target.leg.ended, "cut");
    CHECK_VIEW_STR(buf_view(&c.client.channels[0].stderr_text), "Your session was revoked.\n");
    assert_true(c.client.channels[0].eof_seen && c.client.channels[1].eof_seen);
    chain_fini(&c);
}

/* ssh2#1505: what exceeds the window never gets through, and ends the one who sent it. */
static void test_ssh2_1505_window_overrun(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 120);
    open_channels(&c, 1, 1000);
    while (!c.client.channels[0].is_open)
        (void)chain_step(&c);
    c.client.channels[0].window += 1;
    c.client.channels[0].to_send = 5 << 20;
    c.target.reads_one_in = 0; /* grants nothing more */
    for (int i = 0; i < 20000 && !c.client.leg.ended; i++)
        (void)chain_step(&c);
    assert_non_null(c.client.leg.ended);
    assert_string_equal(c.proxy[RELAY_CLIENT].ended, "more data than the window allows");
    chain_fini(&c);
}

/* What the proxy holds for one connection, whatever the peers do. */
static size_t kept(const struct chain *c)
{
    size_t n = 0;
    for (int side = 0; side < 2; side++)
        n += transport_pending(c->proxy[side].t) + c->proxy[side].t->input.len;
    return n;
}

/* ssh2#1505, proftpd#2252: a client that grants nothing pins nothing, however much there is. */
static void test_ssh2_1505_zero_window_pins_no_memory(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 130);
    c.window[RELAY_CLIENT] = 0;
    open_channels(&c, 3, 5 << 20);
    c.client.channels[0].to_send = 1000;
    for (int i = 0; i < 5000; i++) {
        (void)chain_step(&c);
        for (int n = 0; n < 3; n++)
            c.client.channels[n].granted = c.client.channels[n].received; /* nothing is granted */
        assert_true(kept(&c) < 100000);
    }
    assert_null(c.client.leg.ended);
    assert_null(c.target.leg.ended);
    assert_int_equal(c.target.channels[0].sent, 0);
    assert_int_equal(c.target.channels[0].received, 1000);
    chain_fini(&c);
}

/* A client with an enormous window that does not read its socket: what waits is bounded. */
static void test_proftpd_2252_a_client_that_does_not_read(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 140);
    c.window[RELAY_CLIENT] = UINT32_MAX;
    c.packet = UINT32_MAX;
    open_channels(&c, 2, 40 << 20);
    for (int i = 0; i < 300; i++)
        (void)chain_step(&c);
    c.client.reads_one_in = 0;
    for (int i = 0; i < 5000; i++) {
        (void)chain_step(&c);
        assert_true(kept(&c) < 2 << 20);
    }
    assert_null(c.client.leg.ended);
    c.client.reads_one_in = 1;
    chain_run(&c, 2);
    check_received(&c, 2, 40 << 20);
    chain_fini(&c);
}

/* The target ends in the middle: what was relayed arrives, what comes on is dropped. */
static void test_the_target_disconnects_in_mid_transfer(void **state)
{
    (void)state;
    for (int rekeying = 0; rekeying < 2; rekeying++) {
        struct chain c;
        chain_init(&c, 150 + (uint64_t)rekeying);
        open_channels(&c, 2, 5 << 20);
        while (c.target.channels[0].sent < 1 << 20)
            (void)chain_step(&c);
        if (rekeying)
            CHECK_OK(transport_rekey(c.proxy[RELAY_TARGET].t));
        transport_disconnect(c.target.leg.t, REASON_BY_APPLICATION, VIEW("reboot"));
        for (int i = 0; i < 5000 && !c.proxy[RELAY_TARGET].ended; i++)
            (void)chain_step(&c);
        assert_string_equal(c.proxy[RELAY_TARGET].ended, "reboot");
        for (int i = 0; i < 2000; i++) {
            (void)chain_step(&c);
            assert_true(kept(&c) < 2 << 20);
        }
        assert_null(c.client.leg.ended);
        transport_disconnect(c.proxy[RELAY_CLIENT].t, REASON_CONNECTION_LOST, VIEW("it is gone"));
        for (int i = 0; i < 5000 && !c.client.leg.ended; i++)
            (void)chain_step(&c);
        assert_string_equal(c.client.leg.ended, "it is gone");
        uint64_t got = c.client.channels[0].received + c.client.channels[1].received;
        assert_int_equal(got, c.bridge.relay.bytes[RELAY_TARGET]);
        chain_fini(&c);
    }
}

/* A cut in the middle of a rekey: the line waits for the keys, DISCONNECT does not. */
static void test_cut_in_a_rekey(void **state)
{
    (void)state;
    struct chain c;
    chain_init(&c, 160);
    open_channels(&c, 1, 5 << 20);
    while (c.target.channels[0].sent < 1 << 20)
        (void)chain_step(&c);
    c.client.reads_one_in = 0; /* the client does not answer the KEXINIT */
    CHECK_OK(transport_rekey(c.proxy[RELAY_CLIENT].t));
    relay_cut(&c.bridge.relay, VIEW("Your session was revoked."), REASON_BY_APPLICATION, 0);
    transport_disconnect(c.proxy[RELAY_TARGET].t, REASON_BY_APPLICATION, VIEW("cut"));
    for (int i = 0; i < 100; i++)
        (void)chain_step(&c);
    relay_tick(&c.bridge.relay, RELAY_CUT_GRACE_MS);
    (void)chain_step(&c);
    c.client.reads_one_in = 1;
    for (int i = 0; i < 5000 && !c.client.leg.ended; i++)
        (void)chain_step(&c);
    assert_string_equal(c.client.leg.ended, "Your session was revoked.");
    assert_true(transport_ended(c.proxy[RELAY_CLIENT].t));
    chain_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_pomerium_6285_small_windows),
        cmocka_unit_test(test_pomerium_6448_saturated_slow_readers),
        cmocka_unit_test(test_sshpiper_3_rekey_in_mid_transfer),
        cmocka_unit_test(test_hpn_ssh_5_rekey_by_bytes),
        cmocka_unit_test(test_rekey_while_both_are_full),
        cmocka_unit_test(test_cbssh_231_idle_rekey),
        cmocka_unit_test(test_split_points),
        cmocka_unit_test(test_requests_keep_their_order),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_warn_under_load),
        cmocka_unit_test(test_cut_under_load),
        cmocka_unit_test(test_ssh2_1505_window_overrun),
        cmocka_unit_test(test_ssh2_1505_zero_window_pins_no_memory),
        cmocka_unit_test(test_proftpd_2252_a_client_that_does_not_read),
        cmocka_unit_test(test_the_target_disconnects_in_mid_transfer),
        cmocka_unit_test(test_cut_in_a_rekey),
    };
    return RUN(tests);
}
