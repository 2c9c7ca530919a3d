/* Client certificates under rules, what ALPN chooses, servers whose certificate is not looked at.
 */
#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "tests/unit/common/io/io_fixture.h"

static struct certs certs;

/* --- a small authority of our own: intermediates, any names, revocation lists --- */

struct made {
    X509 *x;
    EVP_PKEY *key;
    char *cert_pem;
    char *key_pem;
};

static char *pem_text(BIO *bio)
{
    const uint8_t *p;
    size_t n;
    assert_true(BIO_mem_contents(bio, &p, &n));
    char *text = mem_strndup(p, n);
    BIO_free(bio);
    return text;
}

static EVP_PKEY *make_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    assert_true(ec && key && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static void extend(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_true(X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
}

struct wish {
    const char *name;
    const char *sans;    /* as openssl.cnf has them, or NULL */
    struct view dns;     /* instead: one DNS name of any bytes */
    const char *purpose; /* of a leaf; NULL: clientAuth */
    bool ca;
    bool expired;
    int serial;
};

static void add_raw_dns(X509 *x, struct view bytes)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    assert_true(ASN1_STRING_set(text, bytes.ptr, (ossl_ssize_t)bytes.len));
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    assert_true(sk_GENERAL_NAME_push(names, name));
    assert_true(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0));
    GENERAL_NAMES_free(names);
}

/* `issuer` NULL: signed by itself. */
static struct made make(const struct made *issuer, struct wish w)
{
    struct made m = {.x = X509_new(), .key = make_key()};
    X509_NAME *name = X509_get_subject_name(m.x);
    assert_true(X509_set_version(m.x, X509_VERSION_3));
    assert_true(ASN1_INTEGER_set_uint64(X509_get_serialNumber(m.x), (uint64_t)w.serial + 1));
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(m.x), -7200));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(m.x), w.expired ? -3600 : 3600));
    assert_true(
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)w.name, -1, -1, 0));
    assert_true(X509_set_issuer_name(m.x, issuer ? X509_get_subject_name(issuer->x) : name));
    assert_true(X509_set_pubkey(m.x, m.key));
    extend(m.x, NID_basic_constraints, w.ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (!w.ca)
        extend(m.x, NID_ext_key_usage, w.purpose ? w.purpose : "clientAuth");
    if (w.sans)
        extend(m.x, NID_subject_alt_name, w.sans);
    if (w.dns.len)
        add_raw_dns(m.x, w.dns);
    assert_true(X509_sign(m.x, issuer ? issuer->key : m.key, EVP_sha256()));
    BIO *cert = BIO_new(BIO_s_mem());
    BIO *key = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_X509(cert, m.x));
    assert_true(PEM_write_bio_PrivateKey(key, m.key, NULL, NULL, 0, NULL, NULL));
    m.cert_pem = pem_text(cert);
    m.key_pem = pem_text(key);
    return m;
}

static void unmake(struct made *m)
{
    X509_free(m->x);
    EVP_PKEY_free(m->key);
    mem_free(m->cert_pem);
    mem_free(m->key_pem);
}

/* A list of `issuer` that revokes `serial` (0: nothing). */
static char *make_crl(const struct made *issuer, int serial, bool stale)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = X509_gmtime_adj(NULL, -7200);
    ASN1_TIME *until = X509_gmtime_adj(NULL, stale ? -3600 : 3600);
    assert_true(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
    assert_true(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x)));
    assert_true(X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until));
    if (serial) {
        X509_REVOKED *r = X509_REVOKED_new();
        ASN1_INTEGER *number = ASN1_INTEGER_new();
        assert_true(ASN1_INTEGER_set_uint64(number, (uint64_t)serial + 1));
        assert_true(X509_REVOKED_set_serialNumber(r, number));
        assert_true(X509_REVOKED_set_revocationDate(r, from));
        assert_true(X509_CRL_add0_revoked(crl, r));
        ASN1_INTEGER_free(number);
    }
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    assert_true(X509_CRL_sign(crl, issuer->key, EVP_sha256()));
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_X509_CRL(bio, crl));
    X509_CRL_free(crl);
    return pem_text(bio);
}

/* --- one handshake --- */

struct meeting {
    struct loop loop;
    struct side client;
    struct side server;
};

static void meet(struct meeting *m, const struct tls_server_spec *server,
                 const struct tls_client_spec *client, const char *name)
{
    *m = (struct meeting){0};
    loop_init(&m->loop);
    struct socket_pair p = socket_pair(&m->loop);
    struct tls_context *s = make_server(server);
    struct tls_context *c = make_client(client);
    side_start(&m->server, &(struct stream_spec){.loop = &m->loop, .tls = s}, p.server);
    side_start(&m->client, &(struct stream_spec){.loop = &m->loop, .tls = c, .server_name = name},
               p.client);
    tls_unref(s);
    tls_unref(c);
    CHECK_OK(stream_write(m->server.s, VIEW("served")));
    CHECK_OK(stream_write(m->client.s, VIEW("asked")));
    WAIT(&m->loop, m->server.failed || m->server.in.len == 5 || m->client.failed);
    if (m->server.opened)
        WAIT(&m->loop, m->client.failed || m->client.in.len == 6);
}

static void part(struct meeting *m)
{
    side_end(&m->loop, &m->client);
    side_end(&m->loop, &m->server);
    loop_fini(&m->loop);
}

/* The verdict on `leaf` with `chain` behind it: NULL for good, "none", or why not. Fresh memory. */
static char *verdict(const struct tls_client_rules *rules, const struct made *leaf,
                     const char *above)
{
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    struct tls_server_spec server = {.chains = &chain, .chain_count = 1, .client_rules = rules};
    struct tls_client_spec client = {.ca_pem = certs.ca.cert_pem};
    AUTO_FREE char *sent = leaf ? mem_printf("%s%s", leaf->cert_pem, above ? above : "") : NULL;
    client.chain_pem = sent;
    client.key_pem = leaf ? leaf->key_pem : NULL;
    struct meeting m;
    meet(&m, &server, &client, "localhost");
    struct tls_client_certificate seen = stream_client_certificate(m.server.s);
    char *why = NULL;
    if (rules->required && m.server.failed) {
        why = mem_strdup(stream_why(m.server.s));
    } else {
        assert_true(m.server.opened && m.client.opened);
        assert_int_equal(seen.presented, leaf != NULL);
        assert_true(seen.valid == (seen.presented && seen.error[0] == '\0'));
        if (!seen.valid)
            why = mem_strdup(seen.presented ? seen.error : "none");
    }
    if (leaf && seen.presented) {
        uint8_t *der = NULL;
        int len = i2d_X509(leaf->x, &der);
        CHECK_VIEW(seen.leaf, view_of(der, (size_t)len));
        OPENSSL_free(der);
    }
    part(&m);
    return why;
}

/* Optional and required rules agree. `word` NULL: it is good. */
static void expect(struct tls_client_rules rules, const struct made *leaf, const char *above,
                   const char *word)
{
    for (int required = 0; required < 2; required++) {
        rules.required = required != 0;
        AUTO_FREE char *why = verdict(&rules, leaf, above);
        if (!word)
            assert_null(why);
        else if (leaf || !required)
            assert_true(why && strstr(why, word));
        else
            assert_non_null(why);
    }
}

static void test_who_signed(void **state)
{
    (void)state;
    struct made ca = make(NULL, (struct wish){.name = "ca", .ca = true});
    struct made other = make(NULL, (struct wish){.name = "other", .ca = true});
    struct made good = make(&ca, (struct wish){.name = "good"});
    struct made server = make(&ca, (struct wish){.name = "s", .purpose = "serverAuth"});
    struct made old = make(&ca, (struct wish){.name = "old", .expired = true});
    struct made foreign = make(&other, (struct wish){.name = "foreign"});
    struct made self = make(NULL, (struct wish){.name = "self"});
    struct tls_client_rules rules = {.ca_pem = ca.cert_pem};
    expect(rules, &good, NULL, NULL);
    expect(rules, NULL, NULL, "none");
    expect(rules, &server, NULL, "purpose");
    expect(rules, &old, NULL, "expired");
    expect(rules, &foreign, NULL, "issuer");
    expect(rules, &self, NULL, "signed");
    AUTO_FREE char *both = mem_printf("%s%s", ca.cert_pem, other.cert_pem);
    expect((struct tls_client_rules){.ca_pem = both}, &foreign, NULL, NULL);
    struct made *all[] = {&ca, &other, &good, &server, &old, &foreign, &self};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        unmake(all[i]);
}

static void test_depth(void **state)
{
    (void)state;
    struct made ca = make(NULL, (struct wish){.name = "ca", .ca = true});
    struct made mid = make(&ca, (struct wish){.name = "mid", .ca = true});
    struct made direct = make(&ca, (struct wish){.name = "direct"});
    struct made deep = make(&mid, (struct wish){.name = "deep"});
    struct tls_client_rules rules = {.ca_pem = ca.cert_pem, .max_depth = 1};
    expect(rules, &direct, NULL, NULL);
    expect(rules, &deep, mid.cert_pem, "too long");
    rules.max_depth = 2;
    expect(rules, &deep, mid.cert_pem, NULL);
    expect(rules, &deep, NULL, "issuer");
    rules.max_depth = 0;
    expect(rules, &deep, mid.cert_pem, NULL);
    /* An intermediate may be the CA that is trusted. */
    expect((struct tls_client_rules){.ca_pem = mid.cert_pem, .max_depth = 1}, &deep, NULL, NULL);
    unmake(&ca);
    unmake(&mid);
    unmake(&direct);
    unmake(&deep);
}

static void test_revoked(void **state)
{
    (void)state;
    struct made ca = make(NULL, (struct wish){.name = "ca", .ca = true});
    struct made other = make(NULL, (struct wish){.name = "other", .ca = true});
    struct made mid = make(&ca, (struct wish){.name = "mid", .ca = true, .serial = 9});
    struct made leaf = make(&ca, (struct wish){.name = "leaf", .serial = 7});
    struct made deep = make(&mid, (struct wish){.name = "deep", .serial = 8});
    AUTO_FREE char *none = make_crl(&ca, 0, false);
    AUTO_FREE char *seven = make_crl(&ca, 7, false);
    AUTO_FREE char *stale = make_crl(&ca, 0, true);
    AUTO_FREE char *of_other = make_crl(&other, 7, false);
    AUTO_FREE char *of_mid = make_crl(&mid, 0, false);
    AUTO_FREE char *mid_and_ca = mem_printf("%s%s", of_mid, seven);
    AUTO_FREE char *nine = make_crl(&ca, 9, false);
    AUTO_FREE char *mid_and_nine = mem_printf("%s%s", of_mid, nine);
    struct tls_client_rules rules = {.ca_pem = ca.cert_pem, .crl_pem = none};
    expect(rules, &leaf, NULL, NULL);
    rules.crl_pem = seven;
    expect(rules, &leaf, NULL, "revoked");
    rules.crl_pem = stale;
    expect(rules, &leaf, NULL, "CRL has expired");
    rules.crl_pem = of_other;
    expect(rules, &leaf, NULL, "unable to get certificate CRL");
    /* The leaf's issuer needs a list, those above need not have one, but it counts. */
    rules.crl_pem = none;
    expect(rules, &deep, mid.cert_pem, "unable to get certificate CRL");
    rules.crl_pem = of_mid;
    expect(rules, &deep, mid.cert_pem, NULL);
    rules.crl_pem = mid_and_ca;
    expect(rules, &deep, mid.cert_pem, NULL);
    rules.crl_pem = mid_and_nine;
    expect(rules, &deep, mid.cert_pem, "revoked");
    struct made *all[] = {&ca, &other, &mid, &leaf, &deep};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        unmake(all[i]);
}

static void test_names(void **state)
{
    (void)state;
    static const char san[] = "DNS:box.example,email:a@example,URI:spiffe://x/y,IP:10.1.2.3,"
                              "IP:2001:db8::1,"
                              "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:alice@corp,"
                              "otherName:1.2.3.4;UTF8:mallory@corp";
    static const struct {
        const char *kind, *pattern;
        bool ok;
    } rows[] = {
        {"dns", "box\\.example", true},
        {"dns", "box", false},
        {"dns", "box|box.example", true},
        {"dns", "[a-z]+\\.(example|test)", true},
        {"dns", "^box.*$", true},
        {"email", "a@example", true},
        {"email", "box\\.example", false},
        {"uri", "spiffe://x/.*", true},
        {"ip_address", "10\\.1\\..*", true},
        {"ip_address", "2001:db8::1", true},
        {"ip_address", "10\\.1\\.2", false},
        {"user_principal_name", "alice@corp", true},
        {"user_principal_name", ".*@corp", true},
        {"user_principal_name", "mallory@corp", false},
        {"uri", "", false},
    };
    struct made ca = make(NULL, (struct wish){.name = "ca", .ca = true});
    struct made leaf = make(&ca, (struct wish){.name = "leaf", .sans = san});
    struct made bare = make(&ca, (struct wish){.name = "box.example"});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct tls_san_match match[] = {{"dns", "never"}, {rows[i].kind, rows[i].pattern}};
        struct tls_client_rules rules = {.ca_pem = ca.cert_pem, .matches = match, .match_count = 2};
        expect(rules, &leaf, NULL, rows[i].ok ? NULL : "no name");
        /* The common name is no name. */
        expect(rules, &bare, NULL, "no name");
    }
    unmake(&ca);
    unmake(&leaf);
    unmake(&bare);
}

static void test_odd_names(void **state)
{
    (void)state;
    char longest[257];
    memset(longest, 'a', sizeof longest);
    const struct {
        struct view name;
        bool ok;
    } rows[] = {{view_of(longest, 256), true},
                {view_of(longest, 257), false},
                {VIEW("aaa\0aaa"), false},
                {VIEW("a\0"), false},
                {VIEW("a"), true}};
    struct made ca = make(NULL, (struct wish){.name = "ca", .ca = true});
    const struct tls_san_match match = {"dns", "a+"};
    struct tls_client_rules rules = {.ca_pem = ca.cert_pem, .matches = &match, .match_count = 1};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct made leaf = make(&ca, (struct wish){.name = "leaf", .dns = rows[i].name});
        /* BoringSSL itself refuses a chain whose leaf has a malformed name. */
        AUTO_FREE char *why = verdict(&rules, &leaf, NULL);
        assert_int_equal(why == NULL, rows[i].ok);
        unmake(&leaf);
    }
    unmake(&ca);
}

static void test_bad_rules(void **state)
{
    (void)state;
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    const struct tls_san_match kinds[] = {{"DNS", "a"}, {"dns", "("}, {"dns", "a)|(b"}, {"", "a"}};
    struct tls_client_rules rules[ARRAY_LEN(kinds) + 3] = {
        {.ca_pem = "nonsense"},
        {.ca_pem = certs.ca.cert_pem, .crl_pem = "nonsense"},
        {.ca_pem = certs.ca.cert_pem, .crl_pem = certs.ca.cert_pem}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        rules[3 + i] = (struct tls_client_rules){
            .ca_pem = certs.ca.cert_pem, .matches = &kinds[i], .match_count = 1};
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct tls_context *t = NULL;
        char *why = NULL;
        const struct tls_server_spec spec = {
            .chains = &chain, .chain_count = 1, .client_rules = &rules[i]};
        CHECK_ERR(tls_server_new(&spec, &t, &why), ERR_CONFIG);
        assert_true(strlen(why) > 0);
        mem_free(why);
    }
}

static void test_alpn(void **state)
{
    (void)state;
    static const struct {
        bool server_h1, server_h2, client_h1, client_h2;
        const char *chosen; /* NULL: refused */
    } rows[] = {
        {true, true, true, true, "h2"},        {true, true, true, false, "http/1.1"},
        {true, false, true, true, "http/1.1"}, {true, false, true, false, "http/1.1"},
        {true, true, false, false, ""},        {false, false, true, true, ""},
    };
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct meeting m;
        meet(&m,
             &(struct tls_server_spec){.chains = &chain,
                                       .chain_count = 1,
                                       .alpn_http1 = rows[i].server_h1,
                                       .alpn_h2 = rows[i].server_h2},
             &(struct tls_client_spec){.ca_pem = certs.ca.cert_pem,
                                       .alpn_http1 = rows[i].client_h1,
                                       .alpn_h2 = rows[i].client_h2},
             "localhost");
        assert_string_equal(stream_alpn(m.client.s), rows[i].chosen);
        assert_string_equal(stream_alpn(m.server.s), rows[i].chosen);
        assert_string_equal(stream_server_name(m.server.s), "localhost");
        part(&m);
    }
}

static void test_skip_verify(void **state)
{
    (void)state;
    static const char *const names[] = {"localhost", "wrong.example", "192.0.2.1", NULL};
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct meeting m;
        meet(&m, &(struct tls_server_spec){.chains = &chain, .chain_count = 1},
             &(struct tls_client_spec){.skip_verify = true}, names[i]);
        assert_true(m.client.opened && m.server.opened);
        assert_null(stream_peer_uri(m.client.s));
        part(&m);
    }
}

/* Which chain a name gets: the signer, which has all keys, is told. */
static void on_sign(void *ctx, struct tls_sign *op, size_t chain, uint16_t algorithm,
                    struct view input)
{
    size_t *asked = ctx;
    (void)algorithm;
    (void)input;
    *asked = chain;
    tls_sign_done(op, ERR_DENIED, (struct view){0});
}

static void test_chain_by_name(void **state)
{
    (void)state;
    enum { FIRST, WILD, EXACT, ADDRESS };
    static const struct {
        const char *name;
        size_t chain;
    } rows[] = {{"a.wild.example", WILD},  {"A.Wild.EXAMPLE", WILD},    {"a.wild.example.", WILD},
                {"b.wild.example", EXACT}, {"b.wild.example.", EXACT},  {"B.WILD.example", EXACT},
                {"wild.example", FIRST},   {"a.b.wild.example", FIRST}, {"c.example", FIRST},
                {"first.example", FIRST},  {"192.0.2.7", FIRST},        {NULL, FIRST}};
    static const char *const sans[] = {"DNS:first.example", "DNS:*.wild.example",
                                       "DNS:b.wild.example", "IP:192.0.2.7"};
    struct made ca = make(NULL, (struct wish){.name = "ca", .ca = true});
    struct made leaf[ARRAY_LEN(sans)];
    struct tls_chain chains[ARRAY_LEN(sans)];
    for (size_t i = 0; i < ARRAY_LEN(sans); i++) {
        leaf[i] = make(&ca, (struct wish){.name = "x", .purpose = "serverAuth", .sans = sans[i]});
        chains[i] = (struct tls_chain){.chain_pem = leaf[i].cert_pem};
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct meeting m;
        size_t asked = SIZE_MAX;
        meet(&m,
             &(struct tls_server_spec){.chains = chains,
                                       .chain_count = ARRAY_LEN(chains),
                                       .signer = {.sign = on_sign, .ctx = &asked}},
             &(struct tls_client_spec){.skip_verify = true}, rows[i].name);
        assert_true(m.server.failed);
        assert_int_equal(asked, rows[i].chain);
        part(&m);
    }
    for (size_t i = 0; i < ARRAY_LEN(sans); i++)
        unmake(&leaf[i]);
    unmake(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_signed),    cmocka_unit_test(test_depth),
        cmocka_unit_test(test_revoked),       cmocka_unit_test(test_names),
        cmocka_unit_test(test_odd_names),     cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_alpn),          cmocka_unit_test(test_skip_verify),
        cmocka_unit_test(test_chain_by_name),
    };
    certs_init(&certs);
    int failed = RUN(tests);
    certs_fini(&certs);
    return failed;
}
