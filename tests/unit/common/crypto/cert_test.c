#include "common/crypto/cert.h"

#include "common/base/text.h"
#include "common/base/wire.h"
#include "tests/support/test.h"

/* 2024-01-01 and 2034-01-01, as in the fixtures. */
enum { FROM_S = 1704067200, UNTIL_S = 2019686400 };

static void load_blob(const char *name, struct buf *out)
{
    AUTO_FREE char *path = mem_printf("tests/vectors/keys/%s-cert.pub", name);
    struct view rest = test_file(path), type, base64;
    assert_true(view_next(&rest, ' ', &type));
    assert_true(view_next(&rest, ' ', &base64));
    buf_init(out, CERT_BLOB_MAX);
    CHECK_OK(text_unbase64(base64, out));
}

static void load(const char *name, struct cert *c)
{
    AUTO(buf_fini) struct buf blob;
    load_blob(name, &blob);
    CHECK_OK(cert_parse(c, buf_view(&blob)));
}

static void load_private(const char *name, struct private_key *k)
{
    AUTO_FREE char *path = mem_printf("tests/vectors/keys/%s", name);
    CHECK_OK(private_key_parse(k, test_file(path)));
}

static void test_openssh_user_certificates(void **state)
{
    (void)state;
    const char *const names[] = {"ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"};
    AUTO(private_key_fini) struct private_key ca = {0};
    load_private("ca_ed25519", &ca);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(cert_fini) struct cert c = {0};
        AUTO(private_key_fini) struct private_key subject = {0};
        AUTO_FREE char *key_id = mem_printf("key of %s", names[i]);
        load(names[i], &c);
        load_private(names[i], &subject);
        assert_true(public_key_equal(&c.key, &subject.public));
        assert_true(public_key_equal(&c.ca, &ca.public));
        assert_int_equal(c.kind, CERT_USER);
        assert_int_equal(c.serial, 42);
        CHECK_VIEW_STR(c.key_id, key_id);
        assert_int_equal(c.principals_len, 2);
        CHECK_VIEW_STR(c.principals[0], "alice");
        CHECK_VIEW_STR(c.principals[1], "bob");
        assert_int_equal(c.valid_after, FROM_S);
        assert_int_equal(c.valid_before, UNTIL_S);
        assert_int_equal(c.critical_len, 0);
        assert_int_equal(c.extensions_len, CERT_PERMITS);
        for (size_t n = 0; n < CERT_PERMITS; n++)
            CHECK_VIEW(c.extensions[n].name, cert_permits[n].name);
        CHECK_OK(cert_verify(&c));
    }
}

static void test_options(void **state)
{
    (void)state;
    AUTO(cert_fini) struct cert c = {0};
    const char *const known[] = {"force-command", "source-address", NULL};
    struct view text;
    load("forced", &c);
    CHECK_OK(cert_verify(&c));
    assert_int_equal(c.critical_len, 2);
    CHECK_OK(cert_option_text(cert_find_critical(&c, "force-command"), &text));
    CHECK_VIEW_STR(text, "/bin/true");
    CHECK_OK(cert_option_text(cert_find_critical(&c, "source-address"), &text));
    CHECK_VIEW_STR(text, "10.0.0.0/8");
    assert_non_null(cert_find_extension(&c, "permit-pty"));
    assert_null(cert_find_extension(&c, "permit-agent-forwarding"));
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW("root"), FROM_S, NULL), ERR_UNSUPPORTED);
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW("root"), FROM_S, known + 1), ERR_UNSUPPORTED);
    CHECK_OK(cert_check(&c, CERT_USER, VIEW("root"), FROM_S, known));
}

static void test_check(void **state)
{
    (void)state;
    AUTO(cert_fini) struct cert c = {0}, host = {0};
    load("ed25519", &c);
    load("host", &host);
    CHECK_OK(cert_check(&c, CERT_USER, VIEW("alice"), FROM_S, NULL));
    CHECK_OK(cert_check(&c, CERT_USER, VIEW("bob"), UNTIL_S - 1, NULL));
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW("bob"), UNTIL_S, NULL), ERR_EXPIRED);
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW("bob"), FROM_S - 1, NULL), ERR_EXPIRED);
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW("carol"), FROM_S, NULL), ERR_MISMATCH);
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW(""), FROM_S, NULL), ERR_MISMATCH);
    CHECK_ERR(cert_check(&c, CERT_HOST, VIEW("alice"), FROM_S, NULL), ERR_MISMATCH);
    CHECK_OK(cert_verify(&host));
    CHECK_OK(cert_check(&host, CERT_HOST, VIEW("target.example.test"), FROM_S, NULL));
    c.principals_len = 0;
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW(""), FROM_S, NULL), ERR_MISMATCH);
}

static void test_sha1_is_refused(void **state)
{
    (void)state;
    AUTO(cert_fini) struct cert c = {0};
    load("sha1", &c);
    struct reader r = reader_of(c.signature);
    CHECK_VIEW_STR(read_string(&r), "ssh-rsa");
    CHECK_ERR(cert_verify(&c), ERR_UNSUPPORTED);
}

static void test_every_prefix(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf blob;
    struct cert c;
    load_blob("forced", &blob);
    for (size_t n = 0; n < blob.len; n++) {
        AUTO_FREE char *exact = mem_strndup(buf_ptr(&blob), n);
        assert_int_not_equal(cert_parse(&c, view_of(exact, n)), OK);
    }
    CHECK_OK(buf_append_u8(&blob, 0));
    CHECK_ERR(cert_parse(&c, buf_view(&blob)), ERR_SYNTAX);
}

static void test_every_bit(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf blob;
    load_blob("ed25519", &blob);
    for (size_t bit = 0; bit < blob.len * 8; bit++) {
        struct cert c = {0};
        buf_ptr(&blob)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (cert_parse(&c, buf_view(&blob)) == OK) {
            assert_int_not_equal(cert_verify(&c), OK);
            cert_fini(&c);
        }
        buf_ptr(&blob)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static struct cert_spec spec_for(const struct public_key *key)
{
    static const struct view principals[] = {{(const uint8_t *)"dev", 3}};
    return (struct cert_spec){
        .kind = CERT_USER,
        .key = key,
        .serial = UINT64_MAX - 1,
        .key_id = VIEW("session=s user=u connection=c"),
        .principals = principals,
        .principals_len = 1,
        .valid_after = FROM_S,
        .valid_before = FROM_S + 300,
        .extensions = cert_permits,
        .extensions_len = CERT_PERMITS,
    };
}

/* Every type of subject under every type of CA. */
static void test_sign(void **state)
{
    (void)state;
    const char *const names[] = {"ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"};
    struct rng rng = rng_system();
    for (size_t a = 0; a < ARRAY_LEN(names); a++) {
        for (size_t s = 0; s < ARRAY_LEN(names); s++) {
            AUTO(private_key_fini) struct private_key ca = {0}, subject = {0};
            AUTO(cert_fini) struct cert c = {0};
            AUTO(buf_fini) struct buf blob;
            buf_init(&blob, CERT_BLOB_MAX);
            load_private(names[a], &ca);
            load_private(names[s], &subject);
            struct cert_spec spec = spec_for(&subject.public);
            CHECK_OK(cert_sign(&spec, &ca, &rng, &blob));
            CHECK_OK(cert_parse(&c, buf_view(&blob)));
            CHECK_OK(cert_verify(&c));
            assert_true(public_key_equal(&c.key, &subject.public));
            assert_true(c.serial == UINT64_MAX - 1);
            CHECK_VIEW(c.key_id, spec.key_id);
            CHECK_OK(cert_check(&c, CERT_USER, VIEW("dev"), FROM_S + 1, NULL));
        }
    }
}

static void test_sign_sorts(void **state)
{
    (void)state;
    struct rng rng = rng_system();
    AUTO(private_key_fini) struct private_key ca = {0};
    AUTO(cert_fini) struct cert c = {0};
    AUTO(buf_fini) struct buf blob;
    struct cert_option options[] = {{.name = VIEW("zeta")}, {.name = VIEW("alpha")}};
    buf_init(&blob, CERT_BLOB_MAX);
    load_private("ca_ed25519", &ca);
    struct cert_spec spec = spec_for(&ca.public);
    spec.extensions = options;
    spec.extensions_len = 2;
    CHECK_OK(cert_sign(&spec, &ca, &rng, &blob));
    CHECK_OK(cert_parse(&c, buf_view(&blob)));
    CHECK_VIEW_STR(c.extensions[0].name, "alpha");
    CHECK_VIEW_STR(c.extensions[1].name, "zeta");
    options[1] = options[0];
    CHECK_ERR(cert_sign(&spec, &ca, &rng, &blob), ERR_RANGE);
}

static void test_sign_bounds(void **state)
{
    (void)state;
    struct rng rng = rng_system();
    AUTO(private_key_fini) struct private_key ca = {0};
    AUTO(buf_fini) struct buf blob;
    static struct view principals[CERT_PRINCIPALS_MAX + 1];
    static char long_id[CERT_KEY_ID_MAX + 1];
    static struct cert_option options[CERT_OPTIONS_MAX + 1];
    buf_init(&blob, CERT_BLOB_MAX);
    load_private("ca_ed25519", &ca);
    for (size_t i = 0; i < ARRAY_LEN(principals); i++)
        principals[i] = VIEW("p");
    struct cert_spec good = spec_for(&ca.public), spec = good;
    spec.principals_len = 0;
    CHECK_ERR(cert_sign(&spec, &ca, &rng, &blob), ERR_RANGE);
    spec = good;
    spec.principals = principals;
    spec.principals_len = ARRAY_LEN(principals);
    CHECK_ERR(cert_sign(&spec, &ca, &rng, &blob), ERR_RANGE);
    spec.principals_len--;
    CHECK_OK(cert_sign(&spec, &ca, &rng, &blob));
    spec = good;
    spec.valid_before = spec.valid_after;
    CHECK_ERR(cert_sign(&spec, &ca, &rng, &blob), ERR_RANGE);
    spec = good;
    spec.key_id = view_of(long_id, sizeof long_id);
    CHECK_ERR(cert_sign(&spec, &ca, &rng, &blob), ERR_RANGE);
    spec = good;
    spec.critical = options;
    spec.critical_len = ARRAY_LEN(options);
    CHECK_ERR(cert_sign(&spec, &ca, &rng, &blob), ERR_RANGE);
}

/*
 * The fields behind key, with `ca` as the signature key and what a test wants in the lists. Each
 * view is what goes into the string; the signature is not valid.
 */
static void forge(struct view ca, struct view principals, struct view options, struct buf *out)
{
    uint8_t key[32] = {9};
    buf_init(out, CERT_BLOB_MAX);
    struct writer w = writer_to(out);
    write_cstring(&w, "ssh-ed25519-cert-v01@openssh.com");
    write_cstring(&w, "nonce");
    write_string(&w, view_of(key, sizeof key));
    write_u64(&w, 1);
    write_u32(&w, CERT_USER);
    write_cstring(&w, "id");
    write_string(&w, principals);
    write_u64(&w, 0);
    write_u64(&w, UINT64_MAX);
    write_string(&w, options);
    write_string(&w, options);
    write_cstring(&w, "");
    write_string(&w, ca);
    write_cstring(&w, "signature");
    CHECK_OK(writer_done(&w));
}

static enum err parse_forged(struct view ca, struct view principals, struct view options)
{
    AUTO(buf_fini) struct buf blob;
    struct cert c = {0};
    forge(ca, principals, options, &blob);
    enum err e = cert_parse(&c, buf_view(&blob));
    cert_fini(&c);
    return e;
}

static void write_strings(struct buf *out, size_t count)
{
    buf_init(out, CERT_BLOB_MAX);
    struct writer w = writer_to(out);
    for (size_t i = 0; i < count; i++) {
        uint8_t name[4];
        store_u32(name, (uint32_t)i);
        write_string(&w, view_of(name, sizeof name));
        write_cstring(&w, "");
    }
    CHECK_OK(writer_done(&w));
}

static void test_parse_bounds(void **state)
{
    (void)state;
    AUTO(private_key_fini) struct private_key ca = {0};
    AUTO(buf_fini) struct buf p256, p258, o64, o65;
    struct view none = view_of(NULL, 0);
    load_private("ca_ed25519", &ca);
    struct view ca_blob = public_key_blob(&ca.public);
    write_strings(&p256, 128);
    write_strings(&p258, 129);
    write_strings(&o64, 64);
    write_strings(&o65, 65);
    CHECK_OK(parse_forged(ca_blob, none, none));
    CHECK_OK(parse_forged(ca_blob, buf_view(&p256), buf_view(&o64)));
    CHECK_ERR(parse_forged(ca_blob, buf_view(&p258), none), ERR_RANGE);
    CHECK_ERR(parse_forged(ca_blob, none, buf_view(&o65)), ERR_RANGE);
    /* Descending, twice the same, an empty name, a string cut off. */
    CHECK_ERR(parse_forged(ca_blob, none, test_hex("0000000162 00000000 0000000161 00000000")),
              ERR_SYNTAX);
    CHECK_ERR(parse_forged(ca_blob, none, test_hex("0000000161 00000000 0000000161 00000000")),
              ERR_SYNTAX);
    CHECK_ERR(parse_forged(ca_blob, none, test_hex("00000000 00000000")), ERR_SYNTAX);
    CHECK_ERR(parse_forged(ca_blob, test_hex("0000000261"), none), ERR_SYNTAX);
    static uint8_t large[CERT_BLOB_MAX + 1];
    struct cert c;
    CHECK_ERR(cert_parse(&c, view_of(large, sizeof large)), ERR_LIMIT);
}

/* CVE-2025-49825: a certificate in the place of the CA's key. */
static void test_ca_is_a_plain_key(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf nested;
    load_blob("ed25519", &nested);
    CHECK_ERR(parse_forged(buf_view(&nested), view_of(NULL, 0), view_of(NULL, 0)), ERR_UNSUPPORTED);
}

static void test_line(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf blob, line;
    load_blob("rsa", &blob);
    buf_init(&line, CERT_BLOB_MAX);
    CHECK_OK(cert_write_line(buf_view(&blob), "rsa test", &line));
    CHECK_OK(buf_append_u8(&line, '\n'));
    CHECK_VIEW(buf_view(&line), test_file("tests/vectors/keys/rsa-cert.pub"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openssh_user_certificates),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_sha1_is_refused),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_sign_sorts),
        cmocka_unit_test(test_sign_bounds),
        cmocka_unit_test(test_parse_bounds),
        cmocka_unit_test(test_ca_is_a_plain_key),
        cmocka_unit_test(test_line),
    };
    return RUN(tests);
}
