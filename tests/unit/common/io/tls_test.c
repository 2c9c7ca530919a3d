#include "common/io/tls.h"

#include "common/crypto/key.h"
#include "tests/unit/common/io/io_fixture.h"

static struct certs certs;

struct fixture {
    struct loop loop;
    struct side client;
    struct side server;
};

/* One connection between two contexts, which are used up. */
static void meet(struct fixture *f, struct tls_context *server, struct tls_context *client,
                 const char *name)
{
    *f = (struct fixture){0};
    loop_init(&f->loop);
    struct socket_pair p = socket_pair(&f->loop);
    side_start(&f->server, &(struct stream_spec){.loop = &f->loop, .tls = server}, p.server);
    side_start(&f->client,
               &(struct stream_spec){.loop = &f->loop, .tls = client, .server_name = name},
               p.client);
    tls_unref(server);
    tls_unref(client);
    if (f->client.s && f->server.s)
        CHECK_OK(stream_write(f->server.s, VIEW("served")));
    WAIT(&f->loop, f->client.failed || f->client.in.len == 6);
    WAIT(&f->loop, f->client.failed || f->server.failed || f->server.opened);
}

static void part(struct fixture *f)
{
    side_end(&f->loop, &f->client);
    side_end(&f->loop, &f->server);
    loop_fini(&f->loop);
}

static struct tls_context *server_of(const struct x509_pair *pair)
{
    const struct tls_chain chain = {pair->cert_pem, pair->key_pem};
    return make_server(&(struct tls_server_spec){.chains = &chain, .chain_count = 1});
}

static struct tls_context *mutual_server(const char *uri)
{
    const struct tls_chain chain = {certs.proxy.cert_pem, certs.proxy.key_pem};
    return make_server(&(struct tls_server_spec){.chains = &chain,
                                                 .chain_count = 1,
                                                 .client_ca_pem = certs.ca.cert_pem,
                                                 .client_uri = uri,
                                                 .alpn_http1 = true});
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {{"localhost", true}, {"127.0.0.1", true}, {"other", false}, {"127.0.0.2", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        meet(&f, server_of(&certs.web),
             make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem}), rows[i].name);
        assert_int_equal(f.client.opened, rows[i].ok);
        if (!rows[i].ok) {
            CHECK_ERR(f.client.why, ERR_VERIFY);
            assert_non_null(strstr(stream_why(f.client.s), "certificate"));
        }
        part(&f);
    }
}

static void test_untrusted_and_nameless(void **state)
{
    (void)state;
    struct fixture f;
    meet(&f, server_of(&certs.web),
         make_client(&(struct tls_client_spec){.ca_pem = certs.other_ca.cert_pem}), "localhost");
    CHECK_ERR(f.client.why, ERR_VERIFY);
    /* The server learns why: the alert arrives although the client closes at once. */
    side_close(&f.client);
    WAIT(&f.loop, f.server.failed);
    assert_non_null(strstr(stream_why(f.server.s), "UNKNOWN_CA"));
    part(&f);
    meet(&f, server_of(&certs.web),
         make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem}), NULL);
    CHECK_ERR(f.client.why, ERR_VERIFY);
    part(&f);
    meet(&f, server_of(&certs.web), make_client(&(struct tls_client_spec){.alpn_http1 = true}),
         "localhost");
    CHECK_ERR(f.client.why, ERR_VERIFY);
    part(&f);
}

static void test_server_uri(void **state)
{
    (void)state;
    const struct {
        const struct x509_pair *pair;
        bool ok;
    } rows[] = {{&certs.proxy, true},
                {&certs.two, false},
                {&certs.foreign, false},
                {&certs.text, false},
                {&certs.web, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        meet(&f, server_of(rows[i].pair),
             make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem,
                                                   .server_uri = "postern://service/proxy"}),
             NULL);
        assert_int_equal(f.client.opened, rows[i].ok);
        if (rows[i].ok)
            assert_string_equal(stream_peer_uri(f.client.s), "postern://service/proxy");
        else
            CHECK_ERR(f.client.why, ERR_VERIFY);
        part(&f);
    }
}

static void test_client_certificate(void **state)
{
    (void)state;
    const struct {
        const struct x509_pair *pair;
        const char *uri;
        bool ok;
    } rows[] = {{&certs.proxy, "postern://service/proxy", true},
                {&certs.proxy, NULL, true},
                {&certs.proxy, "postern://service/authorize", false},
                {&certs.proxy, "postern://service/prox", false},
                {&certs.two, NULL, false},
                {&certs.two, "postern://service/proxy", false},
                {&certs.foreign, "postern://service/proxy", false},
                {&certs.text, NULL, false},
                {NULL, NULL, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct tls_client_spec spec = {.ca_pem = certs.ca.cert_pem,
                                       .server_uri = "postern://service/proxy",
                                       .alpn_http1 = true};
        if (rows[i].pair) {
            spec.chain_pem = rows[i].pair->cert_pem;
            spec.key_pem = rows[i].pair->key_pem;
        }
        meet(&f, mutual_server(rows[i].uri), make_client(&spec), NULL);
        WAIT(&f.loop, f.server.opened || f.server.failed);
        assert_int_equal(f.server.opened, rows[i].ok);
        if (rows[i].ok)
            assert_string_equal(stream_peer_uri(f.server.s), "postern://service/proxy");
        else
            assert_null(stream_peer_uri(f.server.s));
        part(&f);
    }
}

static void test_sni(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"second.test", "second.test"}, {"localhost", "localhost"}, {"127.0.0.1", "localhost"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct tls_chain chains[] = {{certs.web.cert_pem, certs.web.key_pem},
                                           {certs.second.cert_pem, certs.second.key_pem}};
        struct fixture f;
        meet(&f, make_server(&(struct tls_server_spec){.chains = chains, .chain_count = 2}),
             make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem}), rows[i][0]);
        /* The name was verified, so the right chain was shown. */
        assert_true(f.client.opened);
        part(&f);
    }
    /* An unknown name gets the first chain, which does not fit it. */
    const struct tls_chain chains[] = {{certs.second.cert_pem, certs.second.key_pem},
                                       {certs.web.cert_pem, certs.web.key_pem}};
    struct fixture f;
    meet(&f, make_server(&(struct tls_server_spec){.chains = chains, .chain_count = 2}),
         make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem}), "third.test");
    CHECK_ERR(f.client.why, ERR_VERIFY);
    part(&f);
}

/* Keys that are elsewhere. */
struct remote {
    struct tls_key *key;
    struct tls_sign *pending;
    struct buf signature;
    enum err err;
    bool at_once;
    size_t chain;
    int asked;
    bool tls13;
    bool tls12;
};

static void answer(struct remote *r)
{
    struct tls_sign *op = r->pending;
    r->pending = NULL;
    tls_sign_done(op, r->err, buf_view(&r->signature));
}

static void on_sign(void *ctx, struct tls_sign *op, size_t chain, uint16_t algorithm,
                    struct view input)
{
    struct remote *r = ctx;
    r->asked++;
    r->chain = chain;
    r->tls13 = tls_input_is_tls13(input);
    r->tls12 = tls_input_is_tls12(input);
    assert_true(tls_algorithm_is_tls13(algorithm));
    buf_init(&r->signature, TLS_SIGNATURE_MAX);
    CHECK_OK(tls_key_sign(r->key, algorithm, input, &r->signature));
    r->pending = op;
    if (r->at_once)
        answer(r);
}

static struct tls_context *remote_server(struct remote *r)
{
    const struct tls_chain chains[] = {{certs.second.cert_pem, certs.second.key_pem},
                                       {certs.web.cert_pem, NULL}};
    CHECK_OK(tls_key_parse(certs.web.key_pem, &r->key));
    return make_server(&(struct tls_server_spec){
        .chains = chains, .chain_count = 2, .signer = {.sign = on_sign, .ctx = r}});
}

static void start_remote(struct fixture *f, struct remote *r)
{
    *f = (struct fixture){0};
    loop_init(&f->loop);
    struct socket_pair p = socket_pair(&f->loop);
    struct tls_context *server = remote_server(r);
    struct tls_context *client =
        make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem});
    side_start(&f->server, &(struct stream_spec){.loop = &f->loop, .tls = server}, p.server);
    side_start(&f->client,
               &(struct stream_spec){.loop = &f->loop, .tls = client, .server_name = "localhost"},
               p.client);
    tls_unref(server);
    tls_unref(client);
}

static void end_remote(struct fixture *f, struct remote *r)
{
    part(f);
    buf_fini(&r->signature);
    tls_key_free(r->key);
}

static void test_remote_key(void **state)
{
    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        struct fixture f;
        struct remote r = {.at_once = at_once != 0};
        start_remote(&f, &r);
        if (!at_once) {
            WAIT(&f.loop, r.pending);
            for (int i = 0; i < 20; i++)
                (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
            assert_false(f.client.opened || f.server.opened);
            answer(&r);
        }
        WAIT(&f.loop, f.client.opened && f.server.opened);
        assert_int_equal(r.asked, 1);
        assert_int_equal(r.chain, 1);
        assert_true(r.tls13);
        assert_false(r.tls12);
        end_remote(&f, &r);
    }
}

static void test_remote_key_fails(void **state)
{
    (void)state;
    struct fixture f;
    struct remote r = {.err = ERR_BUSY};
    start_remote(&f, &r);
    WAIT(&f.loop, r.pending);
    answer(&r);
    WAIT(&f.loop, f.server.failed);
    assert_non_null(strstr(stream_why(f.server.s), "did not sign"));
    end_remote(&f, &r);
}

/* The answer may come after the connection has gone, or never before it. */
static void test_remote_key_late(void **state)
{
    (void)state;
    struct fixture f;
    struct remote r = {0};
    start_remote(&f, &r);
    WAIT(&f.loop, r.pending);
    stream_abort(f.server.s, side_closed, &f.server);
    f.server.s = NULL;
    WAIT(&f.loop, f.server.closed);
    answer(&r);
    end_remote(&f, &r);
}

static void test_bad_input(void **state)
{
    (void)state;
    struct tls_context *t;
    char *why = NULL;
    const struct tls_chain wrong_key = {certs.web.cert_pem, certs.proxy.key_pem};
    const struct tls_chain no_chain = {"nonsense", certs.web.key_pem};
    const struct tls_chain no_key = {certs.web.cert_pem, "nonsense"};
    const struct tls_chain good = {certs.web.cert_pem, certs.web.key_pem};
    const struct tls_server_spec specs[] = {
        {.chains = &wrong_key, .chain_count = 1},
        {.chains = &no_chain, .chain_count = 1},
        {.chains = &no_key, .chain_count = 1},
        {.chains = &good, .chain_count = 1, .client_ca_pem = "nonsense"},
    };
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        CHECK_ERR(tls_server_new(&specs[i], &t, &why), ERR_CONFIG);
        assert_true(strlen(why) > 0);
        mem_free(why);
    }
    CHECK_ERR(tls_client_new(&(struct tls_client_spec){.ca_pem = ""}, &t, &why), ERR_CONFIG);
    mem_free(why);
    struct tls_key *k;
    CHECK_ERR(tls_key_parse("nonsense", &k), ERR_CONFIG);
    CHECK_ERR(tls_key_parse("", &k), ERR_CONFIG);
    CHECK_OK(tls_key_parse(certs.web.key_pem, &k));
    CHECK_OK(tls_key_fits(k, certs.web.cert_pem));
    CHECK_ERR(tls_key_fits(k, certs.proxy.cert_pem), ERR_MISMATCH);
    tls_key_free(k);
    tls_key_free(NULL);
    tls_unref(NULL);
}

static void test_key_sign(void **state)
{
    (void)state;
    static const uint16_t rsa_only[] = {0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601};
    static const uint16_t never[] = {0x0201, 0x0203, 0xff01, 0x0000, 0x0809};
    struct tls_key *k;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, TLS_SIGNATURE_MAX);
    CHECK_OK(tls_key_parse(certs.web.key_pem, &k));
    CHECK_OK(tls_key_sign(k, 0x0403, VIEW("input"), &out));
    assert_true(out.len > 60 && out.len <= 72);
    for (size_t i = 0; i < ARRAY_LEN(rsa_only); i++)
        CHECK_ERR(tls_key_sign(k, rsa_only[i], VIEW("input"), &out), ERR_UNSUPPORTED);
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        CHECK_ERR(tls_key_sign(k, never[i], VIEW("input"), &out), ERR_UNSUPPORTED);
    tls_key_free(k);

    struct rng rng = rng_system();
    struct private_key rsa = {0};
    AUTO(buf_wipe) struct buf pem;
    buf_init(&pem, 65536);
    CHECK_OK(private_key_generate(&rsa, KEY_RSA, &rng));
    CHECK_OK(private_key_write_pem(&rsa, &pem));
    char *text = buf_to_str(&pem);
    CHECK_OK(tls_key_parse(text, &k));
    for (size_t i = 0; i < ARRAY_LEN(rsa_only); i++) {
        buf_clear(&out);
        CHECK_OK(tls_key_sign(k, rsa_only[i], VIEW("input"), &out));
        assert_int_equal(out.len, KEY_RSA_BITS / 8);
        assert_int_equal(tls_algorithm_is_tls13(rsa_only[i]), i < 3);
    }
    CHECK_ERR(tls_key_sign(k, 0x0403, VIEW("input"), &out), ERR_UNSUPPORTED);
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        CHECK_ERR(tls_key_sign(k, never[i], VIEW("input"), &out), ERR_UNSUPPORTED);
    tls_key_free(k);
    mem_free(text);
    private_key_fini(&rsa);
}

static void test_inputs(void **state)
{
    (void)state;
    uint8_t tls13[64 + 34 + 48];
    memset(tls13, ' ', sizeof tls13);
    memcpy(tls13 + 64, "TLS 1.3, server CertificateVerify", 34);
    assert_true(tls_input_is_tls13(view_of(tls13, 64 + 34 + 48)));
    assert_true(tls_input_is_tls13(view_of(tls13, 64 + 34 + 32)));
    for (size_t n = 0; n < 64 + 34 + 48; n++)
        assert_int_equal(tls_input_is_tls13(view_of(tls13, n)), n == 64 + 34 + 32);
    for (size_t i = 0; i < 64 + 34; i++) {
        tls13[i] ^= 1;
        assert_false(tls_input_is_tls13(view_of(tls13, sizeof tls13)));
        tls13[i] ^= 1;
    }
    assert_false(tls_input_is_tls12(view_of(tls13, sizeof tls13)));
    /* The client's context is not ours to sign. */
    memcpy(tls13 + 64, "TLS 1.3, client CertificateVerify", 34);
    assert_false(tls_input_is_tls13(view_of(tls13, sizeof tls13)));

    uint8_t tls12[64 + 4 + 133] = {0};
    static const struct {
        uint8_t group;
        uint8_t point;
    } groups[] = {{0x17, 65}, {0x18, 97}, {0x19, 133}, {0x1d, 32}};
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        tls12[64] = 3;
        tls12[66] = groups[i].group;
        tls12[67] = groups[i].point;
        for (size_t n = 0; n <= sizeof tls12; n++)
            assert_int_equal(tls_input_is_tls12(view_of(tls12, n)), n == 68u + groups[i].point);
        tls12[64] = 1; /* explicit curves */
        assert_false(tls_input_is_tls12(view_of(tls12, 68u + groups[i].point)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_untrusted_and_nameless),
        cmocka_unit_test(test_server_uri),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_sni),
        cmocka_unit_test(test_remote_key),
        cmocka_unit_test(test_remote_key_fails),
        cmocka_unit_test(test_remote_key_late),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_key_sign),
        cmocka_unit_test(test_inputs),
    };
    certs_init(&certs);
    int failed = RUN(tests);
    certs_fini(&certs);
    return failed;
}
