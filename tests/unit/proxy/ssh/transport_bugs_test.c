/*
 * Bugs of other transports, by name. Terrapin, repeated KEXINIT and claimed lengths are in
 * transport_attack_test.c; message by state in transport_state_test.c.
 */
#include "proxy/ssh/engine.h"
#include "tests/support/pair.h"

enum { SLACK = 128 << 10 };

/* PING after authentication is answered, but who does not read gets no queue of PONGs. */
static void test_cve_2025_26466_ping_flood(void **state)
{
    (void)state;
    struct pair p;
    struct buf ping;
    buf_init(&ping, 1 << 20);
    pair_data(&ping, 50000, 1);
    store_u32(buf_ptr(&ping) + 1, (uint32_t)ping.len - 5);
    buf_ptr(&ping)[0] = MSG_PING;
    pair_init(&p);
    pair_authenticated(&p);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(transport_send(p.client.t, buf_view(&ping)));
        (void)pair_move(&p, &p.client, &p.server);
    }
    assert_false(transport_ended(p.server.t));
    assert_true(transport_pending(p.server.t) <= TRANSPORT_OUTPUT_SOFT + SLACK);
    /* What is ours to send still gets through. */
    CHECK_OK(transport_send(p.server.t, VIEW("\x5e data")));
    (void)pair_move(&p, &p.server, &p.client);
    assert_int_equal(p.client.packet_count, 1);
    buf_fini(&ping);
    pair_fini(&p);
}

/* The same while a rekey of ours, which the peer does not join, holds everything back. */
static void test_cve_2025_26466_ping_flood_in_a_rekey(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_authenticated(&p);
    CHECK_OK(transport_rekey(p.server.t));
    for (int i = 0; i < 20000; i++) {
        CHECK_OK(transport_send(p.client.t, VIEW("\xc0\0\0\0\3abc")));
        if (i % 1000 == 999)
            (void)pair_move(&p, &p.client, &p.server);
    }
    assert_false(transport_ended(p.server.t));
    assert_true(transport_pending(p.server.t) <= SLACK);
    assert_true(p.server.t->held_cost <= SLACK);
    pair_pump(&p);
    assert_int_equal(p.server.events[TRANSPORT_READY], 2);
    pair_fini(&p);
}

/* 384 MB of KEXINITs: here the first one too many is the last, and nothing of it is kept. */
static void test_cve_2016_8858_memory_of_kexinit(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    pair_open(&p);
    (void)pair_move(&p, &p.client, &p.server); /* the identification… */
    (void)pair_move(&p, &p.server, &p.client);
    struct buf *ours = &p.client.t->exchange->ours;
    size_t kept = 0;
    for (int i = 0; i < 1000 && !transport_ended(p.server.t); i++) {
        CHECK_OK(engine_seal(p.client.t, buf_view(ours)));
        (void)pair_move(&p, &p.client, &p.server);
        kept = p.server.t->input.cap + p.server.t->output.cap;
    }
    assert_int_equal(p.server.failed, ERR_PROTOCOL);
    assert_true(kept < 100000);
    pair_fini(&p);
}

static enum err parse_names(size_t count, const char *name)
{
    struct buf b;
    struct kexinit k;
    buf_init(&b, 1 << 20);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_KEXINIT);
    write_u64(&w, 0);
    write_u64(&w, 0);
    for (int list = 0; list < 10; list++) {
        size_t mark = write_begin(&w);
        for (size_t i = 0; list == 0 && i < count; i++) {
            write_bytes(&w, i ? VIEW(",") : VIEW(""));
            write_bytes(&w, view_str(name));
        }
        write_end(&w, mark);
    }
    write_bool(&w, false);
    write_u32(&w, 0);
    CHECK_OK(writer_done(&w));
    enum err e = kexinit_parse(buf_view(&b), &k);
    buf_fini(&b);
    return e;
}

/* RUSTSEC-2026-0154: lists of names have an end, in names and in bytes. */
static void test_rustsec_2026_0154_name_lists(void **state)
{
    (void)state;
    CHECK_OK(parse_names(KEXINIT_NAMES_MAX, "x"));
    CHECK_ERR(parse_names(KEXINIT_NAMES_MAX + 1, "x"), ERR_SYNTAX);
    CHECK_OK(parse_names(200, "a-name-that-is-as-long-as-names-get@example.org"));
    CHECK_ERR(parse_names(1, ",,,,"), ERR_SYNTAX);
}

/* DHEat: no finite field to be made to work in, in either role and profile. */
static void test_cve_2002_20001_no_finite_field(void **state)
{
    (void)state;
    static const char *const names[] = {
        "diffie-hellman-group1-sha1", "diffie-hellman-group14-sha256",
        "diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha256"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum kex_method method;
        CHECK_ERR(kex_find(view_str(names[i]), &method), ERR_UNSUPPORTED);
        struct transport_algorithms a = *transport_profile(TRANSPORT_COMPAT, TRANSPORT_SERVER);
        a.kex = names[i];
        CHECK_ERR(transport_algorithms_check(&a), ERR_CONFIG);
    }
    for (int profile = TRANSPORT_COMPAT; profile <= TRANSPORT_STRICT; profile++) {
        for (int role = TRANSPORT_SERVER; role <= TRANSPORT_CLIENT; role++) {
            const struct transport_algorithms *a =
                transport_profile((enum transport_profile)profile, (enum transport_role)role);
            assert_null(strstr(a->kex, "diffie"));
            assert_null(strstr(a->host_key, "ssh-dss"));
            assert_false(view_list_has(view_str(a->host_key), VIEW("ssh-rsa")));
        }
    }
}

/* The host key of a target, cut anywhere: CVE-2020-9283 in the other role. */
static void test_cve_2020_9283_short_host_key(void **state)
{
    (void)state;
    for (size_t n = 0; n < 52; n += 3) {
        struct pair p;
        pair_init(&p);
        p.client_algorithms.kex = "curve25519-sha256";
        p.client_algorithms.host_key = "ssh-ed25519";
        p.server.auto_answer = false;
        pair_open(&p);
        pair_pump(&p);
        assert_int_equal(p.server.events[TRANSPORT_KEX_SIGN], 1);
        struct algorithms_key *key = &p.server.t->keys[p.server.t->exchange->key_index];
        key->len = n < 51 ? n : key->len;
        pair_sign(&p.server);
        (void)pair_move(&p, &p.server, &p.client);
        assert_int_equal(p.client.failed == OK, n >= 51);
        assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], n >= 51);
        pair_fini(&p);
    }
}

/* Traefik's half prelude: wherever a handshake stops, a deadline is running. */
static void test_cve_2026_25949_every_wait_has_a_deadline(void **state)
{
    (void)state;
    struct buf stream;
    buf_init(&stream, 1 << 20);
    for (size_t at = 0;; at += at < 64 ? 1 : 97) {
        struct pair p;
        pair_init(&p);
        p.limits.handshake_ms = 1000;
        pair_open(&p);
        /* The client's bytes one by one until `at` of them went over. */
        size_t sent = 0;
        while (sent < at) {
            (void)pair_move(&p, &p.server, &p.client);
            struct view out = transport_output(p.client.t);
            if (!out.len)
                break;
            struct view part = view_take(out, at - sent);
            buf_clear(&stream);
            CHECK_OK(buf_append(&stream, part));
            transport_sent(p.client.t, stream.len);
            (void)pair_feed(&p, &p.server, buf_view(&stream));
            sent += stream.len;
        }
        bool ready = p.server.events[TRANSPORT_READY] > 0;
        assert_int_equal(transport_deadline(p.server.t), ready ? UINT64_MAX : 1000);
        transport_tick(p.server.t, 1000);
        pair_drain(&p.server);
        assert_int_equal(p.server.failed, ready ? OK : ERR_TIMEOUT);
        pair_fini(&p);
        if (ready)
            break;
    }
    buf_fini(&stream);
}

/* …also while the signature, which is not the peer's to give, is awaited. */
static void test_cve_2026_25949_deadline_while_signing(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    p.limits.handshake_ms = 1000;
    p.server.auto_answer = false;
    pair_open(&p);
    pair_pump(&p);
    assert_int_equal(p.server.events[TRANSPORT_KEX_SIGN], 1);
    transport_tick(p.server.t, 1000);
    pair_drain(&p.server);
    assert_int_equal(p.server.failed, ERR_TIMEOUT);
    assert_null(p.server.t->exchange);
    CHECK_ERR(transport_signed(p.server.t, VIEW("late")), ERR_CLOSED);
    pair_fini(&p);
}

/* Bytes that are not SSH, or stop being it at some point, by the thousand. */
static void test_pomerium_5824_random_bytes(void **state)
{
    (void)state;
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 5824);
    uint8_t noise[3000];
    for (int i = 0; i < 3000; i++) {
        struct pair p;
        pair_init(&p);
        p.client_algorithms.kex = "curve25519-sha256";
        pair_open(&p);
        if (i % 3 > 0) /* behind an identification */
            (void)pair_move(&p, &p.client, &p.server);
        if (i % 3 > 1) { /* in a key exchange */
            (void)pair_move(&p, &p.server, &p.client);
            (void)pair_move(&p, &p.client, &p.server);
        }
        rng_fill(&rng, noise, sizeof noise);
        size_t len = 1 + load_u32(noise) % (sizeof noise - 1);
        noise[0] = i % 2 ? 0 : noise[0]; /* lengths that are possible */
        noise[1] = i % 2 ? 0 : noise[1];
        bool all = pair_feed(&p, i % 4 ? &p.server : &p.client, view_of(noise, len));
        struct pair_end *end = i % 4 ? &p.server : &p.client;
        assert_true(all || transport_ended(end->t));
        assert_true(transport_pending(end->t) < 10000);
        assert_int_equal(end->packet_count, 0);
        pair_fini(&p);
    }
}

/* What could make the session keys again is gone when the keys are in use. */
static void test_secrets_do_not_outlive_their_use(void **state)
{
    (void)state;
    static const struct exchange zero;
    struct pair p;
    pair_init(&p);
    pair_open(&p);
    p.client.auto_answer = false;
    pair_pump(&p);
    assert_int_equal(p.client.events[TRANSPORT_HOST_KEY], 1);
    const struct exchange *x = p.client.t->exchange;
    assert_memory_not_equal(&x->client, &zero.client, sizeof x->client);
    assert_true(x->secret.len > 0);
    CHECK_OK(transport_host_key_accept(p.client.t));
    assert_memory_equal(&x->client, &zero.client, sizeof x->client);
    assert_memory_equal(&x->secret, &zero.secret, sizeof x->secret);
    x = p.server.t->exchange;
    assert_int_equal(x->step, STEP_NEWKEYS);
    assert_memory_equal(&x->secret, &zero.secret, sizeof x->secret);
    assert_memory_equal(&x->answer.secret, &zero.secret, sizeof x->secret);
    pair_pump(&p);
    assert_null(p.client.t->exchange);
    assert_null(p.server.t->exchange);
    pair_fini(&p);
}

/* Nor do the secrets of an exchange outlive a connection that ends in the middle of it. */
static void test_secrets_go_with_a_failure(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct pair p;
        pair_init(&p);
        pair_open(&p);
        p.client.auto_answer = false;
        pair_pump(&p);
        assert_non_null(p.client.t->exchange);
        if (how == 0)
            CHECK_OK(transport_host_key_refuse(p.client.t, "no"));
        else if (how == 1)
            transport_fail(p.client.t, ERR_UNAVAILABLE, "no");
        else
            transport_disconnect(p.client.t, REASON_BY_APPLICATION, VIEW("no"));
        pair_pump(&p);
        assert_null(p.client.t->exchange);
        assert_null(p.server.t->exchange);
        pair_fini(&p);
    }
}

/* The memory of a burst that a rekey held back is given back when it is sent. */
static void test_held_memory_is_given_back(void **state)
{
    (void)state;
    struct pair p;
    struct buf data;
    buf_init(&data, 1 << 20);
    pair_data(&data, 60000, 1);
    pair_init(&p);
    pair_authenticated(&p);
    CHECK_OK(transport_rekey(p.server.t));
    size_t count = 0;
    while (transport_send(p.server.t, buf_view(&data)) == OK)
        count++;
    assert_true(count > 100);
    assert_true(p.server.t->held.cap <= TRANSPORT_HELD_MAX);
    pair_pump(&p);
    assert_int_equal(p.client.packet_count, count);
    assert_null(p.server.t->held.data);
    assert_true(p.server.t->output.cap <= 1 << 20);
    buf_fini(&data);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cve_2025_26466_ping_flood),
        cmocka_unit_test(test_cve_2025_26466_ping_flood_in_a_rekey),
        cmocka_unit_test(test_cve_2016_8858_memory_of_kexinit),
        cmocka_unit_test(test_rustsec_2026_0154_name_lists),
        cmocka_unit_test(test_cve_2002_20001_no_finite_field),
        cmocka_unit_test(test_cve_2020_9283_short_host_key),
        cmocka_unit_test(test_cve_2026_25949_every_wait_has_a_deadline),
        cmocka_unit_test(test_cve_2026_25949_deadline_while_signing),
        cmocka_unit_test(test_pomerium_5824_random_bytes),
        cmocka_unit_test(test_secrets_do_not_outlive_their_use),
        cmocka_unit_test(test_secrets_go_with_a_failure),
        cmocka_unit_test(test_held_memory_is_given_back),
    };
    return RUN(tests);
}
