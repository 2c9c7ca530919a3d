#include "common/crypto/scrypt.h"

#include "tests/support/test.h"

/* RFC 7914 §12, the two that fit a test's time. */
static void test_vectors(void **state)
{
    (void)state;
    uint8_t out[64];
    struct scrypt_params p = {.ln = 4, .r = 1, .p = 1};
    CHECK_OK(scrypt_raw(&p, VIEW(""), VIEW(""), out, sizeof out));
    CHECK_VIEW(view_of(out, sizeof out),
               test_hex("77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                        "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"));
    p = (struct scrypt_params){.ln = 10, .r = 8, .p = 16};
    CHECK_OK(scrypt_raw(&p, VIEW("password"), VIEW("NaCl"), out, sizeof out));
    CHECK_VIEW(view_of(out, sizeof out),
               test_hex("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                        "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"));
}

/* Computed with Python's hashlib. */
static const char *const known =
    "$scrypt$ln=4,r=1,p=1$c2FsdHNhbHQ$0a3GPom3Z1unCocbxYK40UHyGj5hLe7J6BfIEEPjKTk";

static void test_known_hash(void **state)
{
    (void)state;
    CHECK_OK(scrypt_verify(VIEW("password"), view_str(known)));
    CHECK_ERR(scrypt_verify(VIEW("Password"), view_str(known)), ERR_VERIFY);
    CHECK_ERR(scrypt_verify(VIEW(""), view_str(known)), ERR_VERIFY);
    CHECK_OK(scrypt_check(view_str(known)));
}

static void test_every_prefix(void **state)
{
    (void)state;
    for (size_t n = 0; n < strlen(known); n++) {
        AUTO_FREE char *exact = mem_strndup(known, n);
        assert_int_not_equal(scrypt_check(view_of(exact, n)), OK);
        assert_int_not_equal(scrypt_verify(VIEW("password"), view_of(exact, n)), OK);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct rng rng = rng_system();
    AUTO(buf_fini) struct buf a, b;
    buf_init(&a, 256);
    buf_init(&b, 256);
    CHECK_OK(scrypt_hash(VIEW("correct horse"), &rng, &a));
    CHECK_OK(scrypt_hash(VIEW("correct horse"), &rng, &b));
    assert_false(view_eq(buf_view(&a), buf_view(&b)));
    assert_true(view_starts_with(buf_view(&a), VIEW("$scrypt$ln=15,r=8,p=3$")));
    CHECK_OK(scrypt_verify(VIEW("correct horse"), buf_view(&a)));
    CHECK_ERR(scrypt_verify(VIEW("correct horsf"), buf_view(&a)), ERR_VERIFY);
    CHECK_ERR(scrypt_verify_nobody(VIEW("correct horse")), ERR_VERIFY);
}

static void test_refusals(void **state)
{
    (void)state;
    const struct {
        const char *hash;
        enum err expected;
    } rows[] = {
        {"", ERR_SYNTAX},
        {"$argon2id$v=19$m=65536$a$b", ERR_SYNTAX},
        {"$scrypt$ln=4,r=1,p=1$c2FsdA", ERR_SYNTAX},
        {"$scrypt$ln=4,r=1,p=1$c2FsdA$", ERR_SYNTAX},
        {"$scrypt$ln=4,r=1,p=1$$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_SYNTAX},
        {"$scrypt$ln=4,r=1,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY$x", ERR_SYNTAX},
        {"$scrypt$ln=4,r=1,p=1,x=2$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_SYNTAX},
        {"$scrypt$r=1,ln=4,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_SYNTAX},
        {"$scrypt$ln=,r=1,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_SYNTAX},
        {"$scrypt$ln=4,r=1,p=1$c2FsdA==$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_SYNTAX},
        {"$scrypt$ln=4,r=1,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", ERR_SYNTAX},
        {"$scrypt$ln=4,r=1,p=1$c2Fs!A$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_SYNTAX},
        {"$scrypt$ln=18,r=8,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_RANGE},
        {"$scrypt$ln=17,r=9,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_RANGE},
        {"$scrypt$ln=0,r=8,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_RANGE},
        {"$scrypt$ln=4,r=0,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_RANGE},
        {"$scrypt$ln=4,r=65,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_RANGE},
        {"$scrypt$ln=4,r=1,p=17$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", ERR_RANGE},
        {"$scrypt$ln=4,r=99999999999999999999,p=1$c2FsdA$"
         "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
         ERR_RANGE},
        {"$scrypt$ln=4,r=1,p=1$c2FsdA$c2hvcnQ", ERR_RANGE},
        {"$scrypt$ln=17,r=8,p=1$c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_ERR(scrypt_check(view_str(rows[i].hash)), rows[i].expected);
    struct rng rng = rng_system();
    static char large[SCRYPT_PASSWORD_MAX + 1];
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 256);
    CHECK_ERR(scrypt_hash(view_of(large, sizeof large), &rng, &out), ERR_LIMIT);
    CHECK_ERR(scrypt_verify(view_of(large, sizeof large), view_str(known)), ERR_VERIFY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),      cmocka_unit_test(test_known_hash),
        cmocka_unit_test(test_every_prefix), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refusals),
    };
    return RUN(tests);
}
