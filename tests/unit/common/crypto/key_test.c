#include "common/crypto/key.h"

#include "common/base/text.h"
#include "common/base/wire.h"
#include "tests/support/test.h"

static const struct {
    const char *name;
    enum key_type type;
    size_t bits;
} fixtures[] = {
    {"ed25519", KEY_ED25519, 256},
    {"ecdsa256", KEY_ECDSA_P256, 256},
    {"ecdsa384", KEY_ECDSA_P384, 384},
    {"ecdsa521", KEY_ECDSA_P521, 521},
    {"rsa", KEY_RSA, 2048},
};

static struct view key_file(const char *name, const char *suffix)
{
    AUTO_FREE char *path = mem_printf("tests/vectors/keys/%s%s", name, suffix);
    return test_file(path);
}

static void load_public(const char *name, struct public_key *k)
{
    CHECK_OK(public_key_parse_line(k, key_file(name, ".pub"), NULL));
}

static void test_public_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fixtures); i++) {
        AUTO(public_key_fini) struct public_key k = {0};
        AUTO(buf_fini) struct buf line;
        struct view file = key_file(fixtures[i].name, ".pub");
        struct view comment;
        CHECK_OK(public_key_parse_line(&k, file, &comment));
        assert_int_equal(k.type, fixtures[i].type);
        assert_int_equal(public_key_bits(&k), fixtures[i].bits);
        AUTO_FREE char *wanted = mem_printf("%s test", fixtures[i].name);
        CHECK_VIEW_STR(comment, wanted);
        buf_init(&line, 8192);
        CHECK_OK(public_key_write_line(&k, wanted, &line));
        CHECK_OK(buf_append_u8(&line, '\n'));
        CHECK_VIEW(buf_view(&line), file);
    }
}

/* As `ssh-keygen -l` prints it. */
static void test_fingerprint(void **state)
{
    (void)state;
    AUTO(public_key_fini) struct public_key k = {0};
    char text[KEY_FINGERPRINT_MAX];
    load_public("ed25519", &k);
    public_key_fingerprint(&k, text);
    assert_string_equal(text, "SHA256:Yr4t80pZdCu6Ps2+jVWfBTjkxL6y4GH9Lg8i00ITvEo");
    assert_string_equal(key_type_label(k.type), "ED25519");
}

/* A blob is one key and nothing else: each prefix and each added byte is refused. */
static void test_blob_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fixtures); i++) {
        AUTO(public_key_fini) struct public_key k = {0};
        struct public_key other;
        AUTO(buf_fini) struct buf longer;
        load_public(fixtures[i].name, &k);
        struct view blob = public_key_blob(&k);
        for (size_t n = 0; n < blob.len; n++) {
            AUTO_FREE char *exact = mem_strndup(blob.ptr, n);
            assert_int_not_equal(public_key_parse(&other, view_of(exact, n)), OK);
        }
        buf_init(&longer, KEY_BLOB_MAX);
        CHECK_OK(buf_append(&longer, blob));
        CHECK_OK(buf_append_u8(&longer, 0));
        CHECK_ERR(public_key_parse(&other, buf_view(&longer)), ERR_SYNTAX);
    }
}

static enum err parse_parts(const char *type, struct view a, struct view b)
{
    struct public_key k = {0};
    AUTO(buf_fini) struct buf blob;
    buf_init(&blob, 16384);
    struct writer w = writer_to(&blob);
    write_cstring(&w, type);
    write_string(&w, a);
    if (b.ptr)
        write_string(&w, b);
    CHECK_OK(writer_done(&w));
    enum err e = public_key_parse(&k, buf_view(&blob));
    public_key_fini(&k);
    return e;
}

/* CVE-2020-9283: an ed25519 key of another length. */
static void test_ed25519_length(void **state)
{
    (void)state;
    uint8_t bytes[64] = {1};
    for (size_t n = 0; n <= sizeof bytes; n++)
        CHECK_ERR(parse_parts("ssh-ed25519", view_of(bytes, n), view_of(NULL, 0)),
                  n == 32 ? OK : ERR_SYNTAX);
}

static void test_rsa_sizes(void **state)
{
    (void)state;
    static uint8_t n[2050];
    struct view e = test_hex("010001");
    memset(n, 0xff, sizeof n);
    n[0] = 0;
    const struct {
        size_t bytes;
        enum err expected;
    } rows[] = {{128, ERR_RANGE}, {255, ERR_RANGE}, {256, OK},
                {512, OK},        {2048, OK},       {2049, ERR_RANGE}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_ERR(parse_parts("ssh-rsa", e, view_of(n, rows[i].bytes + 1)), rows[i].expected);
    struct view even = view_of((uint8_t[257]){0, 0x80}, 257);
    CHECK_ERR(parse_parts("ssh-rsa", e, even), ERR_RANGE);
    struct view good = view_of(n, 257);
    CHECK_ERR(parse_parts("ssh-rsa", test_hex("03"), good), OK);
    CHECK_ERR(parse_parts("ssh-rsa", test_hex("01"), good), ERR_RANGE);
    CHECK_ERR(parse_parts("ssh-rsa", test_hex("04"), good), ERR_RANGE);
    CHECK_ERR(parse_parts("ssh-rsa", test_hex(""), good), ERR_RANGE);
    CHECK_ERR(parse_parts("ssh-rsa", test_hex("7fffffffffff"), good), ERR_RANGE);
    CHECK_ERR(parse_parts("ssh-rsa", test_hex("ffff"), good), ERR_SYNTAX);     /* negative */
    CHECK_ERR(parse_parts("ssh-rsa", test_hex("00010001"), good), ERR_SYNTAX); /* not minimal */
}

static void test_ecdsa_points(void **state)
{
    (void)state;
    AUTO(public_key_fini) struct public_key k = {0};
    load_public("ecdsa256", &k);
    struct reader r = reader_of(public_key_blob(&k));
    (void)read_string(&r);
    (void)read_string(&r);
    struct view point = read_string(&r);
    uint8_t bad[65];
    memcpy(bad, point.ptr, sizeof bad);
    CHECK_OK(parse_parts("ecdsa-sha2-nistp256", VIEW("nistp256"), view_of(bad, 65)));
    CHECK_ERR(parse_parts("ecdsa-sha2-nistp256", VIEW("nistp384"), view_of(bad, 65)), ERR_SYNTAX);
    CHECK_ERR(parse_parts("ecdsa-sha2-nistp384", VIEW("nistp384"), view_of(bad, 65)), ERR_SYNTAX);
    bad[64] ^= 1;
    CHECK_ERR(parse_parts("ecdsa-sha2-nistp256", VIEW("nistp256"), view_of(bad, 65)), ERR_SYNTAX);
    bad[64] ^= 1;
    bad[0] = (uint8_t)(2 + (bad[64] & 1)); /* compressed */
    CHECK_ERR(parse_parts("ecdsa-sha2-nistp256", VIEW("nistp256"), view_of(bad, 33)), ERR_SYNTAX);
    bad[0] = 0; /* infinity */
    CHECK_ERR(parse_parts("ecdsa-sha2-nistp256", VIEW("nistp256"), view_of(bad, 1)), ERR_SYNTAX);
}

static void test_refused_types(void **state)
{
    (void)state;
    struct public_key k;
    CHECK_ERR(parse_parts("ssh-dss", VIEW("x"), VIEW("y")), ERR_UNSUPPORTED);
    CHECK_ERR(parse_parts("ssh-ed25519-cert-v01@openssh.com", VIEW("x"), VIEW("y")),
              ERR_UNSUPPORTED);
    CHECK_ERR(public_key_parse_line(&k, key_file("ed25519", "-cert.pub"), NULL), ERR_UNSUPPORTED);
    CHECK_ERR(public_key_parse_line(&k, key_file("rsa1024", ".pub"), NULL), ERR_RANGE);
    CHECK_ERR(public_key_parse(&k, view_of(NULL, 0)), ERR_SYNTAX);
}

static void test_refused_lines(void **state)
{
    (void)state;
    struct public_key k;
    struct view good = view_trim(key_file("ed25519", ".pub"));
    AUTO_FREE char *with_options = mem_printf("restrict,pty %.*s", VIEW_FMT(good));
    AUTO_FREE char *two = mem_printf("%.*s%.*s", VIEW_FMT(good), VIEW_FMT(good));
    AUTO_FREE char *wrong_type = mem_printf("ssh-rsa %.*s", VIEW_FMT(view_skip(good, 12)));
    CHECK_ERR(public_key_parse_line(&k, view_str(with_options), NULL), ERR_UNSUPPORTED);
    CHECK_ERR(public_key_parse_line(&k, view_str(two), NULL), ERR_SYNTAX);
    CHECK_ERR(public_key_parse_line(&k, view_str(wrong_type), NULL), ERR_SYNTAX);
    CHECK_ERR(public_key_parse_line(&k, VIEW("ssh-ed25519"), NULL), ERR_SYNTAX);
    CHECK_ERR(public_key_parse_line(&k, VIEW("ssh-ed25519 AAAA="), NULL), ERR_SYNTAX);
    CHECK_ERR(public_key_parse_line(&k, VIEW(""), NULL), ERR_UNSUPPORTED);
}

/* The SSH signature and what it covers, out of a file of ssh-keygen -Y (PROTOCOL.sshsig). */
static void open_sshsig(const char *name, struct buf *data, struct buf *signature)
{
    struct view line, file = key_file(name, ".sig");
    AUTO(buf_fini) struct buf base64, blob;
    uint8_t hash[DIGEST_MAX];
    buf_init(&base64, 8192);
    buf_init(&blob, 8192);
    while (view_next(&file, '\n', &line))
        if (line.len && line.ptr[0] != '-')
            CHECK_OK(buf_append(&base64, line));
    CHECK_OK(text_unbase64(buf_view(&base64), &blob));
    struct reader r = reader_of(buf_view(&blob));
    CHECK_VIEW_STR(read_bytes(&r, 6), "SSHSIG");
    assert_int_equal(read_u32(&r), 1);
    (void)read_string(&r);
    CHECK_VIEW_STR(read_string(&r), "test");
    CHECK_VIEW_STR(read_string(&r), "");
    CHECK_VIEW_STR(read_string(&r), "sha512");
    buf_init(data, 8192);
    buf_init(signature, 8192);
    CHECK_OK(buf_append(signature, read_string(&r)));
    CHECK_OK(reader_done(&r));
    digest(DIGEST_SHA512, VIEW("signed by ssh-keygen"), hash);
    struct writer w = writer_to(data);
    write_bytes(&w, VIEW("SSHSIG"));
    write_cstring(&w, "test");
    write_cstring(&w, "");
    write_cstring(&w, "sha512");
    write_string(&w, view_of(hash, sizeof hash));
    CHECK_OK(writer_done(&w));
}

static void test_verify_openssh(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fixtures); i++) {
        AUTO(public_key_fini) struct public_key k = {0};
        AUTO(buf_fini) struct buf data, signature;
        const struct key_alg *alg = key_alg_default(fixtures[i].type);
        load_public(fixtures[i].name, &k);
        open_sshsig(fixtures[i].name, &data, &signature);
        CHECK_OK(public_key_verify(&k, view_str(alg->name), buf_view(&data), buf_view(&signature)));
        CHECK_OK(
            public_key_verify(&k, view_str(alg->cert_name), buf_view(&data), buf_view(&signature)));
        buf_ptr(&data)[20] ^= 1;
        CHECK_ERR(public_key_verify(&k, view_str(alg->name), buf_view(&data), buf_view(&signature)),
                  ERR_VERIFY);
    }
}

static void load_private(const char *name, struct private_key *k)
{
    CHECK_OK(private_key_parse(k, key_file(name, "")));
}

static void test_sign_every_algorithm(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fixtures); i++) {
        AUTO(private_key_fini) struct private_key k = {0};
        load_private(fixtures[i].name, &k);
        for (size_t a = 0; a < KEY_ALG_COUNT; a++) {
            const struct key_alg *alg = key_alg(a);
            AUTO(buf_fini) struct buf sig;
            buf_init(&sig, KEY_BLOB_MAX);
            struct view name = view_str(alg->name);
            if (alg->type != k.public.type) {
                CHECK_ERR(private_key_sign(&k, name, VIEW("data"), &sig), ERR_UNSUPPORTED);
                continue;
            }
            CHECK_OK(private_key_sign(&k, name, VIEW("data"), &sig));
            CHECK_OK(public_key_verify(&k.public, name, VIEW("data"), buf_view(&sig)));
            CHECK_ERR(public_key_verify(&k.public, name, VIEW("datA"), buf_view(&sig)), ERR_VERIFY);
            for (size_t n = 0; n < sig.len; n++)
                CHECK_ERR(
                    public_key_verify(&k.public, name, VIEW("data"), view_take(buf_view(&sig), n)),
                    ERR_SYNTAX);
            CHECK_OK(buf_append_u8(&sig, 0));
            CHECK_ERR(public_key_verify(&k.public, name, VIEW("data"), buf_view(&sig)), ERR_SYNTAX);
        }
    }
}

/* RFC 8332 §3.2: what is named outside and inside has to be the same; SHA-1 is nothing. */
static void test_algorithm_confusion(void **state)
{
    (void)state;
    AUTO(private_key_fini) struct private_key k = {0};
    AUTO(buf_fini) struct buf sig, renamed;
    load_private("rsa", &k);
    buf_init(&sig, KEY_BLOB_MAX);
    buf_init(&renamed, KEY_BLOB_MAX);
    CHECK_OK(private_key_sign(&k, VIEW("rsa-sha2-256"), VIEW("data"), &sig));
    CHECK_ERR(public_key_verify(&k.public, VIEW("rsa-sha2-512"), VIEW("data"), buf_view(&sig)),
              ERR_SYNTAX);
    CHECK_ERR(public_key_verify(&k.public, VIEW("ssh-rsa"), VIEW("data"), buf_view(&sig)),
              ERR_UNSUPPORTED);
    CHECK_ERR(public_key_verify(&k.public, VIEW("ssh-ed25519"), VIEW("data"), buf_view(&sig)),
              ERR_UNSUPPORTED);
    CHECK_ERR(private_key_sign(&k, VIEW("ssh-rsa"), VIEW("data"), &sig), ERR_UNSUPPORTED);
    assert_null(key_alg_find(VIEW("ssh-rsa"), NULL));
    struct reader r = reader_of(buf_view(&sig));
    (void)read_string(&r);
    struct writer w = writer_to(&renamed);
    write_cstring(&w, "rsa-sha2-512");
    write_bytes(&w, read_rest(&r));
    CHECK_ERR(public_key_verify(&k.public, VIEW("rsa-sha2-512"), VIEW("data"), buf_view(&renamed)),
              ERR_VERIFY);
}

/* Signs until the signature begins with a zero byte and drops it, as some agents do. */
static void test_short_rsa_signature(void **state)
{
    (void)state;
    AUTO(private_key_fini) struct private_key k = {0};
    load_private("rsa", &k);
    for (int i = 0; i < 4000; i++) {
        AUTO(buf_fini) struct buf sig, cut;
        struct view data = view_of(&i, sizeof i);
        buf_init(&sig, KEY_BLOB_MAX);
        buf_init(&cut, KEY_BLOB_MAX);
        CHECK_OK(private_key_sign(&k, VIEW("rsa-sha2-256"), data, &sig));
        struct reader r = reader_of(buf_view(&sig));
        (void)read_string(&r);
        struct view raw = read_string(&r);
        if (raw.ptr[0])
            continue;
        struct writer w = writer_to(&cut);
        write_cstring(&w, "rsa-sha2-256");
        write_string(&w, view_skip(raw, 1));
        CHECK_OK(public_key_verify(&k.public, VIEW("rsa-sha2-256"), data, buf_view(&cut)));
        return;
    }
    fail_msg("no signature began with zero");
}

/* A security key is played by a plain one: PROTOCOL.u2f says what it signs. */
static void make_sk(enum key_type plain, const char *name, struct private_key *token,
                    struct public_key *sk)
{
    struct rng rng = rng_system();
    AUTO(buf_fini) struct buf blob;
    CHECK_OK(private_key_generate(token, plain, &rng));
    struct reader r = reader_of(public_key_blob(&token->public));
    (void)read_string(&r);
    buf_init(&blob, KEY_BLOB_MAX);
    struct writer w = writer_to(&blob);
    write_cstring(&w, name);
    write_bytes(&w, read_rest(&r));
    write_cstring(&w, "ssh:");
    CHECK_OK(writer_done(&w));
    CHECK_OK(public_key_parse(sk, buf_view(&blob)));
}

static enum err verify_sk(enum key_type plain, const char *name, uint8_t flags,
                          const char *application)
{
    AUTO(private_key_fini) struct private_key token = {0};
    AUTO(public_key_fini) struct public_key sk = {0};
    AUTO(buf_fini) struct buf message, sig, blob;
    uint8_t hash[DIGEST_MAX];
    make_sk(plain, name, &token, &sk);
    assert_string_equal(key_type_name(sk.type), name);
    buf_init(&message, 1024);
    buf_init(&sig, 1024);
    buf_init(&blob, 1024);
    struct writer w = writer_to(&message);
    digest(DIGEST_SHA256, view_str(application), hash);
    write_bytes(&w, view_of(hash, 32));
    write_u8(&w, flags);
    write_u32(&w, 1234);
    digest(DIGEST_SHA256, VIEW("data"), hash);
    write_bytes(&w, view_of(hash, 32));
    CHECK_OK(private_key_sign(&token, view_str(key_type_name(plain)), buf_view(&message), &sig));
    struct reader r = reader_of(buf_view(&sig));
    (void)read_string(&r);
    w = writer_to(&blob);
    write_cstring(&w, name);
    write_bytes(&w, read_rest(&r));
    write_u8(&w, flags);
    write_u32(&w, 1234);
    return public_key_verify(&sk, view_str(name), VIEW("data"), buf_view(&blob));
}

static void test_security_keys(void **state)
{
    (void)state;
    const char *ed = "sk-ssh-ed25519@openssh.com";
    const char *ec = "sk-ecdsa-sha2-nistp256@openssh.com";
    CHECK_OK(verify_sk(KEY_ED25519, ed, 1, "ssh:"));
    CHECK_OK(verify_sk(KEY_ED25519, ed, 5, "ssh:"));
    CHECK_ERR(verify_sk(KEY_ED25519, ed, 0, "ssh:"), ERR_VERIFY); /* nobody touched it */
    CHECK_ERR(verify_sk(KEY_ED25519, ed, 1, "ssh:other"), ERR_VERIFY);
    CHECK_OK(verify_sk(KEY_ECDSA_P256, ec, 1, "ssh:"));
    CHECK_ERR(verify_sk(KEY_ECDSA_P256, ec, 4, "ssh:"), ERR_VERIFY);
}

static void test_alg_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEY_ALG_COUNT; i++) {
        bool is_cert = true;
        assert_ptr_equal(key_alg_find(view_str(key_alg(i)->name), &is_cert), key_alg(i));
        assert_false(is_cert);
        assert_ptr_equal(key_alg_find(view_str(key_alg(i)->cert_name), &is_cert), key_alg(i));
        assert_true(is_cert);
    }
    assert_string_equal(key_alg_default(KEY_RSA)->name, "rsa-sha2-512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_lines),        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_blob_is_exact),       cmocka_unit_test(test_ed25519_length),
        cmocka_unit_test(test_rsa_sizes),           cmocka_unit_test(test_ecdsa_points),
        cmocka_unit_test(test_refused_types),       cmocka_unit_test(test_refused_lines),
        cmocka_unit_test(test_verify_openssh),      cmocka_unit_test(test_sign_every_algorithm),
        cmocka_unit_test(test_algorithm_confusion), cmocka_unit_test(test_short_rsa_signature),
        cmocka_unit_test(test_security_keys),       cmocka_unit_test(test_alg_table),
    };
    return RUN(tests);
}
