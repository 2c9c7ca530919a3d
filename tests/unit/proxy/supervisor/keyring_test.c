#include "proxy/supervisor/keyring.h"

#include "common/base/wire.h"
#include "common/crypto/key.h"
#include "common/crypto/x509.h"
#include "common/io/loop.h"
#include "tests/support/test.h"

enum { KEYS = 3 };

static struct private_key keys[KEYS];
static char *key_texts[KEYS];
static struct x509_pair pairs[2];

static void make_all(void)
{
    static const enum key_type types[KEYS] = {KEY_ED25519, KEY_RSA, KEY_ED25519};
    static const char *const dns[] = {"gw.example.test", NULL};
    struct rng rng = rng_system();
    for (size_t i = 0; i < KEYS; i++) {
        struct buf text;
        buf_init(&text, KEY_FILE_MAX);
        CHECK_OK(private_key_generate(&keys[i], types[i], &rng));
        CHECK_OK(private_key_write_openssh(&keys[i], "", &rng, &text));
        key_texts[i] = buf_to_str(&text);
        buf_wipe(&text);
    }
    const struct x509_leaf leaf = {.common_name = "gw",
                                   .dns = dns,
                                   .not_before_at = loop_wall_ms() - 1000,
                                   .not_after_at = loop_wall_ms() + 3600000,
                                   .server_auth = true};
    for (size_t i = 0; i < 2; i++)
        CHECK_OK(x509_make_self_signed(&leaf, &pairs[i]));
}

static void free_all(void)
{
    for (size_t i = 0; i < KEYS; i++) {
        private_key_fini(&keys[i]);
        mem_free(key_texts[i]);
    }
    x509_pair_fini(&pairs[0]);
    x509_pair_fini(&pairs[1]);
}

static struct config_blob blob(const char *text, const char *file)
{
    struct config_blob b = {.file = file, .key = "key"};
    b.text = (struct secret){(uint8_t *)text, strlen(text)};
    return b;
}

/* A configuration with these host keys and certificates, all borrowed. */
struct setting {
    struct config config;
    struct config_blob blobs[KEYS];
    struct config_certificate certificates[2];
};

static struct config *setting(struct setting *s, const char *const *texts, const int *chains)
{
    *s = (struct setting){.config = {.ssh_address = ":22", .file = "postern.yaml"}};
    s->config.authenticate_service_url.host = "auth.example.test";
    s->config.ssh_host_keys.items = s->blobs;
    for (; *texts; texts++)
        s->blobs[s->config.ssh_host_keys.count++] = blob(*texts, "host_key");
    s->config.certificates = s->certificates;
    for (; *chains >= 0; chains++) {
        s->certificates[s->config.certificate_count++] =
            (struct config_certificate){.chain = blob(pairs[*chains].cert_pem, "tls.crt"),
                                        .key = blob(pairs[*chains].key_pem, "tls.key")};
    }
    return &s->config;
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define CHAINS(...) ((const int[]){__VA_ARGS__ __VA_OPT__(, ) - 1})

static struct keyring *load(const char *const *texts, const int *chains)
{
    struct setting s;
    struct diag d = {0};
    struct keyring *k = keyring_new();
    CHECK_OK(keyring_load(k, setting(&s, texts, chains), &d));
    diag_fini(&d);
    return k;
}

static enum err reload(struct keyring *k, const char *const *texts, const int *chains)
{
    struct setting s;
    struct diag d = {0};
    enum err e = keyring_load(k, setting(&s, texts, chains), &d);
    diag_fini(&d);
    return e;
}

static struct worker_key_id id_of(size_t key)
{
    return worker_key_id(public_key_blob(&keys[key].public));
}

static enum err sign(struct keyring *k, enum worker_frame_type type,
                     struct worker_sign_request request, struct buf *out)
{
    static uint64_t now = 100000;
    now += 1000;
    return keyring_sign(k, type, &request, now, out);
}

static void test_kex(void **state)
{
    (void)state;
    struct keyring *k = load(TEXTS(key_texts[0], key_texts[1]), CHAINS());
    static const struct {
        size_t key;
        const char *algorithm;
        size_t len;
        enum err err;
    } rows[] = {
        {0, "ssh-ed25519", 32, OK},
        {1, "rsa-sha2-256", 32, OK},
        {1, "rsa-sha2-512", 64, OK},
        {1, "ssh-rsa", 32, ERR_UNSUPPORTED},
        {0, "rsa-sha2-512", 32, ERR_UNSUPPORTED},
        {0, "ssh-ed25519", 31, ERR_DENIED},
        {0, "ssh-ed25519", 65, ERR_DENIED},
        {0, "ssh-ed25519", 0, ERR_DENIED},
        {2, "ssh-ed25519", 32, ERR_NOT_FOUND},
    };
    static const uint8_t hash[65] = {1, 2, 3};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_fini) struct buf out;
        buf_init(&out, KEYRING_SIGNATURE_MAX);
        struct view input = view_of(hash, rows[i].len);
        struct view algorithm = view_str(rows[i].algorithm);
        CHECK_ERR(sign(k, WORKER_FRAME_SIGN_KEX,
                       (struct worker_sign_request){
                           .key = id_of(rows[i].key), .algorithm = algorithm, .input = input},
                       &out),
                  rows[i].err);
        if (rows[i].err == OK)
            CHECK_OK(
                public_key_verify(&keys[rows[i].key].public, algorithm, input, buf_view(&out)));
        else
            assert_int_equal(out.len, 0);
    }
    keyring_free(k);
}

static void test_prove(void **state)
{
    (void)state;
    struct keyring *k = load(TEXTS(key_texts[0], key_texts[1]), CHAINS());
    for (size_t i = 0; i < 2; i++) {
        AUTO(buf_fini) struct buf out;
        AUTO(buf_fini) struct buf data;
        buf_init(&out, KEYRING_SIGNATURE_MAX);
        buf_init(&data, 8192);
        struct view session = VIEW("0123456789abcdef0123456789abcdef");
        CHECK_OK(sign(k, WORKER_FRAME_SIGN_HOSTKEYS_PROVE,
                      (struct worker_sign_request){.key = id_of(i), .input = session}, &out));
        struct writer w = writer_to(&data);
        write_cstring(&w, "hostkeys-prove-00@openssh.com");
        write_string(&w, session);
        write_string(&w, public_key_blob(&keys[i].public));
        CHECK_OK(writer_done(&w));
        CHECK_OK(public_key_verify(&keys[i].public, i ? VIEW("rsa-sha2-512") : VIEW("ssh-ed25519"),
                                   buf_view(&data), buf_view(&out)));
        /* A session id is a hash, nothing longer. */
        CHECK_ERR(sign(k, WORKER_FRAME_SIGN_HOSTKEYS_PROVE,
                       (struct worker_sign_request){.key = id_of(i),
                                                    .input = public_key_blob(&keys[1].public)},
                       &out),
                  ERR_DENIED);
    }
    keyring_free(k);
}

static struct worker_sign_request tls_request(struct worker_key_id id, uint8_t input[64 + 34 + 32])
{
    memset(input, ' ', 64);
    memcpy(input + 64, "TLS 1.3, server CertificateVerify", 34);
    memset(input + 98, 7, 32);
    return (struct worker_sign_request){
        .key = id, .tls_algorithm = 0x0403, .input = view_of(input, 64 + 34 + 32)};
}

static void test_tls(void **state)
{
    (void)state;
    struct keyring *k = load(TEXTS(key_texts[0]), CHAINS(0));
    assert_false(keyring_is_self_signed(k));
    AUTO(buf_fini) struct buf out;
    buf_init(&out, KEYRING_SIGNATURE_MAX);
    uint8_t input[64 + 34 + 32];
    struct worker_key_id id = worker_key_id(view_str(pairs[0].cert_pem));
    struct worker_sign_request r = tls_request(id, input);
    CHECK_OK(sign(k, WORKER_FRAME_SIGN_TLS, r, &out));
    assert_true(out.len > 60);
    /* A host key is not asked for by that name, nor the other way round. */
    r.key = id_of(0);
    CHECK_ERR(sign(k, WORKER_FRAME_SIGN_TLS, r, &out), ERR_NOT_FOUND);
    CHECK_ERR(sign(k, WORKER_FRAME_SIGN_KEX,
                   (struct worker_sign_request){.key = id,
                                                .algorithm = VIEW("ecdsa-sha2-nistp256"),
                                                .input = view_of(input, 32)},
                   &out),
              ERR_NOT_FOUND);
    r.key = id;
    r.tls_algorithm = 0x10403;
    CHECK_ERR(sign(k, WORKER_FRAME_SIGN_TLS, r, &out), ERR_UNSUPPORTED);
    r.tls_algorithm = 0x0401; /* PKCS#1 v1.5 is not for TLS 1.3 */
    CHECK_ERR(sign(k, WORKER_FRAME_SIGN_TLS, r, &out), ERR_UNSUPPORTED);
    r.tls_algorithm = 0x0403;
    input[70] ^= 1; /* no context string any more */
    CHECK_ERR(sign(k, WORKER_FRAME_SIGN_TLS, r, &out), ERR_DENIED);
    r.input = VIEW("anything");
    CHECK_ERR(sign(k, WORKER_FRAME_SIGN_TLS, r, &out), ERR_DENIED);
    keyring_free(k);
}

static void test_cap(void **state)
{
    (void)state;
    struct keyring *k = load(TEXTS(key_texts[0]), CHAINS(0));
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 1 << 20);
    static const uint8_t hash[32];
    const struct worker_sign_request r = {
        .key = id_of(0), .algorithm = VIEW("ssh-ed25519"), .input = view_of(hash, 32)};
    for (int i = 0; i < KEYRING_RATE; i++)
        CHECK_OK(keyring_sign(k, WORKER_FRAME_SIGN_KEX, &r, 5000, &out));
    CHECK_ERR(keyring_sign(k, WORKER_FRAME_SIGN_KEX, &r, 5000, &out), ERR_BUSY);
    /* 10 ms later a hundredth of them is there again. */
    for (int i = 0; i < KEYRING_RATE / 100; i++)
        CHECK_OK(keyring_sign(k, WORKER_FRAME_SIGN_KEX, &r, 5010, &out));
    CHECK_ERR(keyring_sign(k, WORKER_FRAME_SIGN_KEX, &r, 5010, &out), ERR_BUSY);
    keyring_free(k);
}

static bool signs(struct keyring *k, size_t key)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, KEYRING_SIGNATURE_MAX);
    static const uint8_t hash[32];
    return sign(k, WORKER_FRAME_SIGN_KEX,
                (struct worker_sign_request){.key = id_of(key),
                                             .algorithm = key == 1 ? VIEW("rsa-sha2-512")
                                                                   : VIEW("ssh-ed25519"),
                                             .input = view_of(hash, 32)},
                &out) == OK;
}

static bool signs_tls(struct keyring *k, size_t pair)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, KEYRING_SIGNATURE_MAX);
    uint8_t input[64 + 34 + 32];
    return sign(k, WORKER_FRAME_SIGN_TLS,
                tls_request(worker_key_id(view_str(pairs[pair].cert_pem)), input), &out) == OK;
}

static void test_reload(void **state)
{
    (void)state;
    struct keyring *k = load(TEXTS(key_texts[0], key_texts[1]), CHAINS(0));
    CHECK_OK(reload(k, TEXTS(key_texts[1], key_texts[2]), CHAINS(1)));
    struct worker_config *c = worker_config_new();
    keyring_describe(k, c);
    assert_int_equal(c->host_key_count, 2);
    CHECK_VIEW(view_of(c->host_keys[0].blob, c->host_keys[0].len),
               public_key_blob(&keys[1].public));
    assert_int_equal(c->certificate_count, 1);
    assert_string_equal(c->certificates[0].chain_pem, pairs[1].cert_pem);
    worker_config_unref(c);
    /* The old host key serves live connections on; the old TLS key one reload long. */
    assert_true(signs(k, 0) && signs(k, 1) && signs(k, 2));
    assert_true(signs_tls(k, 0) && signs_tls(k, 1));
    CHECK_OK(reload(k, TEXTS(key_texts[2]), CHAINS(1)));
    assert_true(signs(k, 0) && signs(k, 1) && signs(k, 2));
    assert_true(!signs_tls(k, 0) && signs_tls(k, 1));
    /* What is refused changes nothing. */
    CHECK_ERR(reload(k, TEXTS("nonsense"), CHAINS(0)), ERR_CONFIG);
    c = worker_config_new();
    keyring_describe(k, c);
    assert_int_equal(c->host_key_count, 1);
    worker_config_unref(c);
    keyring_free(k);
    keyring_free(NULL);
}

static void check_refused(const char *const *texts, const struct config_certificate *certificate,
                          const char *sentence)
{
    struct setting s;
    struct diag d = {0};
    struct config *c = setting(&s, texts, CHAINS(0));
    if (certificate)
        s.certificates[0] = *certificate;
    keyring_check(c, &d);
    assert_int_equal(d.errors, 1);
    if (!strstr(d.items[0].text, sentence))
        fail_msg("%s", d.items[0].text);
    diag_fini(&d);
}

static void test_refusals(void **state)
{
    (void)state;
    check_refused(TEXTS("nonsense"), NULL, "host_key: not a usable SSH host key");
    check_refused(TEXTS(key_texts[0], key_texts[2]), NULL, "a second host key of type ssh-ed25519");
    check_refused((const char *const[]){NULL}, NULL, "postern keygen host-keys");
    const struct config_certificate wrong = {.chain = blob(pairs[0].cert_pem, "tls.crt"),
                                             .key = blob(pairs[1].key_pem, "tls.key")};
    check_refused(TEXTS(key_texts[0]), &wrong, "tls.key: not the private key of tls.crt");
    const struct config_certificate no_chain = {.chain = blob("x", "tls.crt"),
                                                .key = blob(pairs[1].key_pem, "tls.key")};
    check_refused(TEXTS(key_texts[0]), &no_chain, "tls.crt: not a chain");
    const struct config_certificate no_key = {.chain = blob(pairs[0].cert_pem, "tls.crt"),
                                              .key = blob("x", "tls.key")};
    check_refused(TEXTS(key_texts[0]), &no_key, "tls.key: not an unencrypted PEM private key");
}

static void test_self_signed(void **state)
{
    (void)state;
    struct keyring *k = load(TEXTS(key_texts[0]), CHAINS());
    assert_true(keyring_is_self_signed(k));
    struct worker_config *c = worker_config_new();
    struct worker_config *again = worker_config_new();
    keyring_describe(k, c);
    assert_int_equal(c->certificate_count, 1);
    struct x509_info info = {0};
    CHECK_OK(x509_info_parse(&info, view_str(c->certificates[0].chain_pem)));
    assert_int_equal(info.dns_len, 2);
    assert_string_equal(info.dns[1], "auth.example.test");
    x509_info_fini(&info);
    /* A reload keeps it, so that browsers ask once. */
    CHECK_OK(reload(k, TEXTS(key_texts[0]), CHAINS()));
    keyring_describe(k, again);
    assert_int_equal(again->certificate_count, 1);
    assert_string_equal(again->certificates[0].chain_pem, c->certificates[0].chain_pem);
    worker_config_unref(c);
    worker_config_unref(again);
    keyring_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kex),         cmocka_unit_test(test_prove),
        cmocka_unit_test(test_tls),         cmocka_unit_test(test_cap),
        cmocka_unit_test(test_reload),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_self_signed),
    };
    make_all();
    int failed = RUN(tests);
    free_all();
    return failed;
}
