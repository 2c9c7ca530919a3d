#include "authenticate/ticket.h"

#include "common/base/text.h"
#include "common/base/wire.h"
#include "common/crypto/seal.h"
#include "tests/support/test.h"

#define NOW UINT64_C(1700000000000)
#define ORIGIN "https://web.example.test"

static struct secret key, other;
static const struct secret none;
static struct rng_test seed;
static struct rng rng;

static int set_up(void **state)
{
    (void)state;
    uint8_t bytes[32];
    rng = rng_test(&seed, 1);
    rng_fill(&rng, bytes, sizeof bytes);
    secret_set(&key, view_of(bytes, sizeof bytes));
    rng_fill(&rng, bytes, sizeof bytes);
    secret_set(&other, view_of(bytes, sizeof bytes));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    secret_fini(&key);
    secret_fini(&other);
    return 0;
}

static char *sealed(void)
{
    const struct ticket t = {.token = (char[]){"a.b.c"},
                             .redirect_uri = (char[]){ORIGIN "/x"},
                             .csrf = (char[]){"hash"},
                             .expires_ms = NOW + 1000};
    AUTO(buf_fini) struct buf out;
    buf_init(&out, TICKET_TEXT_MAX);
    CHECK_OK(ticket_seal(&t, &key, VIEW(ORIGIN), &rng, NOW, &out));
    return buf_to_str(&out);
}

static enum err open_at(struct view text, const char *origin, uint64_t now)
{
    AUTO(ticket_fini) struct ticket t = {0};
    return ticket_open(text, &key, &none, view_str(origin), now, &t);
}

static void test_round_trip(void **state)
{
    (void)state;
    AUTO_FREE char *text = sealed();
    AUTO(ticket_fini) struct ticket t = {0};
    CHECK_OK(ticket_open(view_str(text), &key, &none, VIEW(ORIGIN), NOW, &t));
    assert_string_equal(t.token, "a.b.c");
    assert_string_equal(t.redirect_uri, ORIGIN "/x");
    assert_string_equal(t.csrf, "hash");
    assert_int_equal(t.expires_ms, NOW + 1000);
    CHECK_OK(ticket_open(view_str(text), &other, &key, VIEW(ORIGIN), NOW, &t));
    CHECK_ERR(ticket_open(view_str(text), &other, &none, VIEW(ORIGIN), NOW, &t), ERR_VERIFY);
    assert_string_equal(t.token, "a.b.c");
}

static void test_host_and_time(void **state)
{
    (void)state;
    AUTO_FREE char *text = sealed();
    struct view v = view_str(text);
    CHECK_ERR(open_at(v, "https://web.example.test:8443", NOW), ERR_VERIFY);
    CHECK_ERR(open_at(v, "http://web.example.test", NOW), ERR_VERIFY);
    CHECK_OK(open_at(v, ORIGIN, NOW + TICKET_MS + TICKET_SKEW_MS));
    CHECK_ERR(open_at(v, ORIGIN, NOW + TICKET_MS + TICKET_SKEW_MS + 1), ERR_EXPIRED);
    CHECK_OK(open_at(v, ORIGIN, NOW - TICKET_SKEW_MS));
    CHECK_ERR(open_at(v, ORIGIN, NOW - TICKET_SKEW_MS - 1), ERR_EXPIRED);
}

static void test_damage(void **state)
{
    (void)state;
    AUTO_FREE char *text = sealed();
    for (size_t i = 0; i < strlen(text); i++) {
        assert_true(open_at(view_of(text, i), ORIGIN, NOW) != OK);
        text[i] ^= 1;
        assert_true(open_at(view_str(text), ORIGIN, NOW) != OK);
        text[i] ^= 1;
    }
    CHECK_OK(open_at(view_str(text), ORIGIN, NOW));
}

/* Sealed by us and cut at every place, or with a NUL byte in a text: as a bug of ours would. */
static void test_plain(void **state)
{
    (void)state;
    AUTO(secret_fini) struct secret derived = {0};
    seal_derive_key(&key, VIEW("postern callback ticket 1"), &derived);
    AUTO(buf_fini) struct buf plain;
    buf_init(&plain, 256);
    struct writer w = writer_to(&plain);
    write_u64(&w, NOW);
    write_u64(&w, NOW);
    write_cstring(&w, "token");
    write_cstring(&w, "uri");
    write_cstring(&w, "csrf");
    CHECK_OK(writer_done(&w));
    for (size_t i = 0; i <= plain.len; i++) {
        AUTO(buf_fini) struct buf box, text;
        buf_init(&box, 512);
        buf_init(&text, 1024);
        CHECK_OK(seal(&derived, VIEW(ORIGIN), view_take(buf_view(&plain), i), &rng, &box));
        CHECK_OK(text_base64url(buf_view(&box), &text));
        CHECK_ERR(open_at(buf_view(&text), ORIGIN, NOW), i == plain.len ? OK : ERR_SYNTAX);
    }
    buf_ptr(&plain)[plain.len - 1] = 0;
    AUTO(buf_fini) struct buf box, text;
    buf_init(&box, 512);
    buf_init(&text, 1024);
    CHECK_OK(seal(&derived, VIEW(ORIGIN), buf_view(&plain), &rng, &box));
    CHECK_OK(text_base64url(buf_view(&box), &text));
    CHECK_ERR(open_at(buf_view(&text), ORIGIN, NOW), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_host_and_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plain, set_up, tear_down),
    };
    return RUN(tests);
}
