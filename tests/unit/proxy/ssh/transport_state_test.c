#include "proxy/ssh/state.h"
#include "tests/support/pair.h"

/*
 * The oracle, written by message and not by range: what a peer may send, per phase. Everything
 * else below has to be refused or, where nobody has assigned the number, answered UNIMPLEMENTED.
 */
static bool in(uint8_t number, const uint8_t *list, size_t len)
{
    return memchr(list, number, len) != NULL;
}

#define IN(number, ...)                                                                            \
    in((number), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static bool is_assigned(uint8_t n)
{
    return (n >= 1 && n <= 7) || IN(n, 20, 21) || (n >= 30 && n <= 49) ||
           IN(n, 50, 51, 52, 53, 60, 61, 80, 81, 82, 192, 193) || (n >= 90 && n <= 100);
}

static enum state_verdict expected_kex(bool server, uint8_t n)
{
    if (IN(n, 2, 3, 4))
        return STATE_LOOSE;
    return IN(n, 1, 20, 21) || n == (server ? 30 : 31) ? STATE_HANDLE : STATE_REFUSE;
}

static enum state_verdict expected_rekey(bool server, uint8_t n)
{
    if (IN(n, 2, 3, 4))
        return STATE_DROP;
    return IN(n, 1, 21) || n == (server ? 30 : 31) ? STATE_HANDLE : STATE_REFUSE;
}

static enum state_verdict expected_auth(bool server, uint8_t n)
{
    if (IN(n, 2, 3, 4))
        return STATE_DROP;
    if (IN(n, 1, 7, 20))
        return STATE_HANDLE;
    if (server ? IN(n, 5, 50, 61) : IN(n, 6, 51, 52, 53, 60))
        return STATE_DELIVER;
    return !is_assigned(n) && n < 80 ? STATE_UNKNOWN : STATE_REFUSE;
}

static enum state_verdict expected_open(bool server, uint8_t n)
{
    if (IN(n, 2, 3, 4, 193) || (server && n == 50))
        return STATE_DROP;
    if (IN(n, 1, 20, 192))
        return STATE_HANDLE;
    if (IN(n, 80, 81, 82) || (n >= 90 && n <= 100))
        return STATE_DELIVER;
    return is_assigned(n) ? STATE_REFUSE : STATE_UNKNOWN;
}

static enum state_verdict expected(bool server, enum state_phase phase, uint8_t n)
{
    switch (phase) {
    case STATE_KEX:
        return expected_kex(server, n);
    case STATE_AUTH:
        return expected_auth(server, n);
    case STATE_OPEN:
        return expected_open(server, n);
    case STATE_REKEY:
        return expected_rekey(server, n);
    case STATE_IDENT:
    case STATE_PHASE_COUNT:
        break;
    }
    return STATE_REFUSE;
}

static void test_table(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        for (int phase = 0; phase < STATE_PHASE_COUNT; phase++) {
            for (int n = 0; n < 256; n++) {
                enum state_verdict want = expected(server, (enum state_phase)phase, (uint8_t)n);
                enum state_verdict got = state_judge(server, (enum state_phase)phase, (uint8_t)n);
                if (want != got)
                    fail_msg("server %d phase %d message %d: %d, wanted %d", server, phase, n,
                             (int)got, (int)want);
            }
        }
    }
}

/* A transport in `phase` that has just come into being, and the sender that can reach it. */
struct rig {
    struct pair pair;
    struct pair_end *end;   /* under test */
    struct pair_end *other; /* whose keys seal the message */
};

static void rig_init(struct rig *r, bool server, enum state_phase phase)
{
    pair_init(&r->pair);
    r->end = server ? &r->pair.server : &r->pair.client;
    r->other = server ? &r->pair.client : &r->pair.server;
    if (phase == STATE_KEX) {
        /* Idents only; the other side's KEXINIT is dropped. */
        pair_open(&r->pair);
        (void)pair_move(&r->pair, r->other, r->end);
    } else if (phase == STATE_AUTH) {
        pair_ready(&r->pair);
    } else {
        pair_authenticated(&r->pair);
    }
    if (phase == STATE_REKEY) {
        /* The other side's KEXINIT reaches us, our answer does not reach it. */
        CHECK_OK(transport_rekey(r->other->t));
        (void)pair_move(&r->pair, r->other, r->end);
    }
}

#include "proxy/ssh/engine.h"

/* Seals with the other side's keys past all of its own checks. */
static void inject(struct rig *r, uint8_t number)
{
    uint8_t payload[64] = {number};
    transport_sent(r->other->t, transport_output(r->other->t).len);
    CHECK_OK(engine_seal(r->other->t, view_of(payload, sizeof payload)));
    (void)pair_move(&r->pair, r->other, r->end);
}

/* Every number in every phase through real engines: end, deliver, answer or drop as the table. */
static void live(bool server, enum state_phase phase, uint8_t number)
{
    struct rig r;
    rig_init(&r, server, phase);
    transport_sent(r.end->t, transport_output(r.end->t).len);
    inject(&r, number);
    bool ended = transport_ended(r.end->t);
    bool replied = transport_output(r.end->t).len > 0;
    size_t delivered = r.end->packet_count;
    enum state_verdict want = expected(server, phase, number);
    bool good = true;
    switch (want) {
    case STATE_REFUSE:
        good = ended && delivered == 0 && r.end->failed == ERR_PROTOCOL && replied;
        break;
    case STATE_DELIVER:
        good = !ended && delivered == 1 && !replied;
        break;
    case STATE_DROP:
    case STATE_LOOSE:
        good = !ended && delivered == 0 && !replied;
        break;
    case STATE_UNKNOWN:
        good = !ended && delivered == 0 && replied;
        break;
    case STATE_HANDLE:
        /* The body is zeros: a valid DISCONNECT, malformed for the rest; the tests of each tell. */
        good = delivered == 0;
        break;
    }
    if (!good)
        fail_msg("server %d phase %d message %d: ended %d delivered %zu replied %d: %s", server,
                 (int)phase, number, ended, delivered, replied, r.end->text ? r.end->text : "");
    pair_fini(&r.pair);
}

static void all_live(bool server, enum state_phase phase)
{
    for (int n = 0; n < 256; n++)
        live(server, phase, (uint8_t)n);
}

static void test_live_kex(void **state)
{
    (void)state;
    all_live(true, STATE_KEX);
    all_live(false, STATE_KEX);
}

static void test_live_auth(void **state)
{
    (void)state;
    all_live(true, STATE_AUTH);
    all_live(false, STATE_AUTH);
}

static void test_live_open(void **state)
{
    (void)state;
    all_live(true, STATE_OPEN);
    all_live(false, STATE_OPEN);
}

static void test_live_rekey(void **state)
{
    (void)state;
    all_live(true, STATE_REKEY);
    all_live(false, STATE_REKEY);
}

/* A client that says that it is authenticated. */
static void test_cve_2018_10933_success_from_the_client(void **state)
{
    (void)state;
    for (uint8_t n = MSG_USERAUTH_FAILURE; n <= MSG_USERAUTH_BANNER; n++)
        live(true, STATE_AUTH, n);
}

/* Everything of the connection protocol before authentication, to both roles. */
static void test_cve_2025_32433_channels_before_authentication(void **state)
{
    (void)state;
    for (uint8_t n = MSG_GLOBAL_REQUEST; n <= MSG_CHANNEL_FAILURE; n++) {
        assert_int_equal(expected(true, STATE_AUTH, n), STATE_REFUSE);
        live(true, STATE_AUTH, n);
        live(false, STATE_AUTH, n);
    }
}

static void test_cve_2025_26466_ping_before_authentication(void **state)
{
    (void)state;
    live(true, STATE_KEX, MSG_PING);
    live(true, STATE_AUTH, MSG_PING);
    live(false, STATE_AUTH, MSG_PING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_live_kex),
        cmocka_unit_test(test_live_auth),
        cmocka_unit_test(test_live_open),
        cmocka_unit_test(test_live_rekey),
        cmocka_unit_test(test_cve_2018_10933_success_from_the_client),
        cmocka_unit_test(test_cve_2025_32433_channels_before_authentication),
        cmocka_unit_test(test_cve_2025_26466_ping_before_authentication),
    };
    return RUN(tests);
}
