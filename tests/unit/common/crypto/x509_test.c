#include "common/crypto/x509.h"

#include "tests/support/test.h"

static const uint64_t day_ms = 86400000;
static const uint64_t now_at = 1750000000000; /* June 2025 */

static void make_ca(struct x509_pair *ca)
{
    CHECK_OK(x509_make_ca("test ca", now_at - day_ms, now_at + 100 * day_ms, ca));
}

static struct x509_leaf leaf_for(const char *name)
{
    return (struct x509_leaf){.common_name = name,
                              .not_before_at = now_at - day_ms,
                              .not_after_at = now_at + 30 * day_ms,
                              .server_auth = true};
}

static enum err verify(const struct x509_pair *leaf, const struct x509_pair *ca, uint64_t at)
{
    return x509_verify(view_str(leaf->cert_pem), view_str(ca->cert_pem), at);
}

static void test_service(void **state)
{
    (void)state;
    AUTO(x509_pair_fini) struct x509_pair ca = {0}, leaf = {0};
    AUTO(x509_info_fini) struct x509_info i = {0}, ca_info = {0};
    const char *const dns[] = {"localhost", "authorize", NULL};
    const char *const ips[] = {"127.0.0.1", "::1", NULL};
    struct x509_leaf extra = leaf_for(NULL);
    extra.dns = dns;
    extra.ips = ips;
    make_ca(&ca);
    CHECK_OK(x509_make_service(&ca, "authorize", &extra, &leaf));
    CHECK_OK(x509_info_parse(&i, view_str(leaf.cert_pem)));
    assert_int_equal(i.uris_len, 1);
    assert_string_equal(i.uris[0], "postern://service/authorize");
    assert_int_equal(i.dns_len, 2);
    assert_string_equal(i.dns[1], "authorize");
    assert_string_equal(i.subject, "CN=authorize");
    assert_true(i.not_before_at == now_at - day_ms);
    assert_true(i.not_after_at == now_at + 30 * day_ms);
    assert_false(i.is_ca);
    CHECK_OK(x509_info_parse(&ca_info, view_str(ca.cert_pem)));
    assert_true(ca_info.is_ca);
    assert_memory_not_equal(i.fingerprint, ca_info.fingerprint, sizeof i.fingerprint);
    CHECK_OK(verify(&leaf, &ca, now_at));
    CHECK_OK(x509_check_pair(view_str(leaf.cert_pem), view_str(leaf.key_pem)));
    CHECK_ERR(x509_check_pair(view_str(leaf.cert_pem), view_str(ca.key_pem)), ERR_MISMATCH);
}

static void test_verify(void **state)
{
    (void)state;
    AUTO(x509_pair_fini) struct x509_pair ca = {0}, other = {0}, leaf = {0}, fake = {0};
    struct x509_leaf spec = leaf_for("x");
    make_ca(&ca);
    make_ca(&other); /* same subject, other key */
    CHECK_OK(x509_make_leaf(&ca, &spec, &leaf));
    CHECK_OK(verify(&leaf, &ca, now_at));
    CHECK_ERR(verify(&leaf, &other, now_at), ERR_VERIFY);
    CHECK_ERR(verify(&leaf, &ca, now_at - 2 * day_ms), ERR_EXPIRED);
    CHECK_ERR(verify(&leaf, &ca, now_at + 31 * day_ms), ERR_EXPIRED);
    CHECK_OK(x509_make_self_signed(&spec, &fake));
    CHECK_ERR(verify(&fake, &ca, now_at), ERR_VERIFY);
    /* A leaf cannot sign. */
    CHECK_ERR(x509_make_leaf(&leaf, &spec, &fake), ERR_SYNTAX);
    struct x509_pair mixed = {.cert_pem = ca.cert_pem, .key_pem = other.key_pem};
    CHECK_ERR(x509_make_leaf(&mixed, &spec, &fake), ERR_SYNTAX);
}

/* Two processes that share a secret trust each other's leaves; one that does not is refused. */
static void test_derived_ca(void **state)
{
    (void)state;
    AUTO(x509_pair_fini) struct x509_pair a = {0}, b = {0}, c = {0}, leaf = {0};
    struct view secret = VIEW("0123456789abcdef0123456789abcdef");
    struct x509_leaf spec = leaf_for(NULL);
    CHECK_OK(x509_derive_ca(secret, &a));
    CHECK_OK(x509_derive_ca(secret, &b));
    CHECK_OK(x509_derive_ca(VIEW("0123456789abcdef0123456789abcdeF"), &c));
    assert_string_equal(a.key_pem, b.key_pem);
    assert_string_not_equal(a.key_pem, c.key_pem);
    CHECK_OK(x509_make_service(&a, "proxy", &spec, &leaf));
    CHECK_OK(verify(&leaf, &b, now_at));
    CHECK_ERR(verify(&leaf, &c, now_at), ERR_VERIFY);
    CHECK_ERR(x509_derive_ca(VIEW("short"), &c), ERR_RANGE);
    /* The key must not change between versions, or a rolling upgrade would cut the services. */
    assert_string_equal(a.key_pem,
                        "-----BEGIN PRIVATE KEY-----\n"
                        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1fE6yyfakVIH9WJ3\n"
                        "THwk788Z6OM2+3GzX9L6jItxb5uhRANCAATovDoor2Xen+BOfhuoT7qHF9qNjzu8\n"
                        "V1uuXgO54Mz2/6OWPfcoET2cOp1t5IABCnr9AB5G7BCDy9y6phW9IaoZ\n"
                        "-----END PRIVATE KEY-----\n");
}

static void test_self_signed(void **state)
{
    (void)state;
    AUTO(x509_pair_fini) struct x509_pair pair = {0};
    AUTO(x509_info_fini) struct x509_info i = {0};
    const char *const dns[] = {"*.example.test", NULL};
    struct x509_leaf spec = leaf_for("example.test");
    spec.dns = dns;
    CHECK_OK(x509_make_self_signed(&spec, &pair));
    CHECK_OK(verify(&pair, &pair, now_at));
    CHECK_OK(x509_info_parse(&i, view_str(pair.cert_pem)));
    assert_string_equal(i.dns[0], "*.example.test");
    assert_int_equal(i.uris_len, 0);
}

static void test_bad_leaves(void **state)
{
    (void)state;
    AUTO(x509_pair_fini) struct x509_pair ca = {0}, out = {0};
    make_ca(&ca);
    struct x509_leaf spec = leaf_for("");
    CHECK_ERR(x509_make_leaf(&ca, &spec, &out), ERR_RANGE);
    spec = leaf_for("x");
    spec.not_after_at = spec.not_before_at;
    CHECK_ERR(x509_make_leaf(&ca, &spec, &out), ERR_RANGE);
    spec = leaf_for("x");
    spec.ips = (const char *const[]){"127.0.0.1.2", NULL};
    CHECK_ERR(x509_make_leaf(&ca, &spec, &out), ERR_SYNTAX);
    spec = leaf_for("x");
    spec.dns = (const char *const[]){"a b", NULL};
    CHECK_ERR(x509_make_leaf(&ca, &spec, &out), ERR_SYNTAX);
    assert_null(out.cert_pem);
}

static void test_pem(void **state)
{
    (void)state;
    AUTO(x509_pair_fini) struct x509_pair ca = {0}, leaf = {0};
    struct x509_leaf spec = leaf_for("x");
    struct x509_info i;
    size_t count = 0;
    make_ca(&ca);
    CHECK_OK(x509_make_leaf(&ca, &spec, &leaf));
    AUTO_FREE char *both = mem_printf("%s%s%s", leaf.key_pem, leaf.cert_pem, ca.cert_pem);
    CHECK_OK(x509_count(view_str(both), &count));
    assert_int_equal(count, 2);
    CHECK_ERR(x509_count(view_str(ca.key_pem), &count), ERR_SYNTAX);
    CHECK_ERR(x509_count(VIEW(""), &count), ERR_SYNTAX);
    CHECK_ERR(x509_info_parse(&i, VIEW("nonsense")), ERR_SYNTAX);
    size_t last = strlen(ca.cert_pem) - 1;
    for (size_t n = 0; n < last; n++) {
        AUTO_FREE char *exact = mem_strndup(ca.cert_pem, n);
        CHECK_ERR(x509_info_parse(&i, view_of(exact, n)), ERR_SYNTAX);
    }
    AUTO_FREE char *large = mem_zalloc(X509_PEM_MAX + 1);
    CHECK_ERR(x509_count(view_of(large, X509_PEM_MAX + 1), &count), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service),    cmocka_unit_test(test_verify),
        cmocka_unit_test(test_derived_ca), cmocka_unit_test(test_self_signed),
        cmocka_unit_test(test_bad_leaves), cmocka_unit_test(test_pem),
    };
    return RUN(tests);
}
