#include "tests/support/test.h"

#include "authorize/host_key.h"
#include "common/crypto/cert.h"

enum { HOST_A, HOST_B, HOST_ECDSA, HOST_CA, KEYS };

static struct private_key keys[KEYS];

static int make_keys(void **state)
{
    (void)state;
    struct rng rng = rng_system();
    for (int i = 0; i < KEYS; i++)
        CHECK_OK(
            private_key_generate(&keys[i], i == HOST_ECDSA ? KEY_ECDSA_P256 : KEY_ED25519, &rng));
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    for (int i = 0; i < KEYS; i++)
        private_key_fini(&keys[i]);
    return 0;
}

static struct view blob(int i)
{
    return public_key_blob(&keys[i].public);
}

struct fixture {
    struct snapshot snapshot;
    struct route route;
    struct snapshot_route compiled;
};

static void setup(struct fixture *f, enum host_key_policy policy)
{
    *f = (struct fixture){0};
    f->route = (struct route){
        .name = "web1",
        .to = {.host = "target.test", .port = 2022, .address = "target.test:2022"},
        .ssh_host_key_policy = policy,
    };
    f->compiled.route = &f->route;
}

static void known(struct fixture *f, const char *format, int key)
{
    struct buf line;
    buf_init(&line, 4096);
    CHECK_OK(public_key_write_line(&keys[key].public, "", &line));
    AUTO_FREE char *text = buf_to_str(&line);
    AUTO_FREE char *whole = mem_printf("# comment\n\n%s %s\n", format, text);
    struct diag d = {0};
    known_hosts_parse(&f->snapshot.known_hosts, view_str(whole), (struct diag_place){0}, &d);
    assert_int_equal(d.count, 0);
    buf_fini(&line);
}

/* Judges, checks the verdict and the sentence's parts; returns whether it is pending. */
static bool judged(const struct fixture *f, const struct host_keys *record, struct view shown,
                   enum host_key_verdict verdict, const char *reason)
{
    struct host_key_judgement j;
    host_key_judge(&f->snapshot, &f->compiled, record, shown, 1000000, &j);
    if (j.verdict != verdict || (reason && strcmp(j.reason, reason) != 0))
        fail_msg("verdict %d, %s", j.verdict, j.reason ? j.reason : "no reason");
    assert_int_equal(j.sentence != NULL, verdict == HOST_KEY_REFUSE);
    bool pending = j.pending;
    host_key_judgement_fini(&j);
    return pending;
}

static void test_first_use(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, HOST_KEY_POLICY_TOFU);
    judged(&f, NULL, blob(HOST_A), HOST_KEY_RECORD, NULL);
    AUTO_FREE char *id = host_key_record_id(&f.route);
    assert_string_equal(id, "web1 target.test:2022");

    struct host_keys *h = host_key_with(NULL, id, &keys[HOST_A].public, false, 5);
    assert_int_equal(h->version, 0);
    assert_int_equal(h->accepted_count, 1);
    assert_string_equal(h->accepted[0].accepted_by, "first use");
    judged(&f, h, blob(HOST_A), HOST_KEY_ACCEPT, NULL);
    assert_true(judged(&f, h, blob(HOST_B), HOST_KEY_REFUSE, "host-key-changed"));
    assert_true(judged(&f, h, blob(HOST_ECDSA), HOST_KEY_REFUSE, "host-key-new-type"));

    /* What was refused is kept beside, one per type. */
    h->version = 7;
    struct host_keys *p = host_key_with(h, id, &keys[HOST_B].public, true, 6);
    struct host_keys *q = host_key_with(p, id, &keys[HOST_ECDSA].public, true, 7);
    struct host_keys *again = host_key_with(q, id, &keys[HOST_B].public, true, 8);
    assert_int_equal(again->version, 7);
    assert_int_equal(again->accepted_count, 1);
    assert_int_equal(again->pending_count, 2);
    assert_true(host_key_is_pending(again, &keys[HOST_B].public));
    assert_false(host_key_is_pending(again, &keys[HOST_A].public));
    assert_false(host_key_is_pending(NULL, &keys[HOST_A].public));
    const char *types[KEY_TYPE_COUNT];
    assert_int_equal(host_key_types(&f.snapshot, &f.compiled, again, types), 1);
    assert_string_equal(types[0], "ssh-ed25519");
    host_keys_free(h);
    host_keys_free(p);
    host_keys_free(q);
    host_keys_free(again);
}

/* The sentence has both fingerprints and the remedy. */
static void test_changed_sentence(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, HOST_KEY_POLICY_TOFU);
    struct host_keys *h = host_key_with(NULL, "web1 x", &keys[HOST_A].public, false, 5);
    struct host_key_judgement j;
    char a[KEY_FINGERPRINT_MAX];
    char b[KEY_FINGERPRINT_MAX];
    public_key_fingerprint(&keys[HOST_A].public, a);
    public_key_fingerprint(&keys[HOST_B].public, b);
    host_key_judge(&f.snapshot, &f.compiled, h, blob(HOST_B), 1, &j);
    assert_non_null(strstr(j.sentence, a));
    assert_non_null(strstr(j.sentence, b));
    assert_non_null(strstr(j.sentence, "postern hostkeys accept web1"));
    host_key_judgement_fini(&j);
    host_keys_free(h);
}

static void test_strict_and_pins(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, HOST_KEY_POLICY_STRICT);
    assert_false(judged(&f, NULL, blob(HOST_A), HOST_KEY_REFUSE, "host-key-not-pinned"));
    f.compiled.host_keys = (struct snapshot_keys){&keys[HOST_A].public, 1};
    judged(&f, NULL, blob(HOST_A), HOST_KEY_ACCEPT, NULL);
    judged(&f, NULL, blob(HOST_B), HOST_KEY_REFUSE, "host-key-not-pinned");
    /* Pins count under tofu too: what is on record does not widen them. */
    f.route.ssh_host_key_policy = HOST_KEY_POLICY_TOFU;
    struct host_keys *h = host_key_with(NULL, "x", &keys[HOST_B].public, false, 5);
    judged(&f, h, blob(HOST_B), HOST_KEY_REFUSE, "host-key-not-pinned");
    host_keys_free(h);
}

static void test_insecure(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, HOST_KEY_POLICY_INSECURE);
    judged(&f, NULL, blob(HOST_A), HOST_KEY_ACCEPT, NULL);
    judged(&f, NULL, VIEW("nonsense"), HOST_KEY_REFUSE, "host-key-unreadable");
}

static void test_known_hosts(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, HOST_KEY_POLICY_STRICT);
    known(&f, "other,[target.test]:2022", HOST_A);
    judged(&f, NULL, blob(HOST_A), HOST_KEY_ACCEPT, NULL);
    judged(&f, NULL, blob(HOST_B), HOST_KEY_REFUSE, "host-key-not-pinned");
    known(&f, "@revoked *", HOST_A);
    judged(&f, NULL, blob(HOST_A), HOST_KEY_REFUSE, "host-key-revoked");
    known_hosts_fini(&f.snapshot.known_hosts);
}

static void test_known_hosts_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *patterns;
        const char *host;
        uint16_t port;
        bool match;
    } rows[] = {
        {"web1", "web1", 22, true},
        {"web1", "WEB1", 22, true},
        {"web1", "web1", 2222, false},
        {"[web1]:2222", "web1", 2222, true},
        {"web*", "web1", 22, true},
        {"*.test", "a.b.test", 22, true},
        {"w?b1", "web1", 22, true},
        {"w?b1", "wb1", 22, false},
        {"*,!web1", "web1", 22, false},
        {"!web1,*", "web2", 22, true},
        {"a*b*c*d", "aXbXcXdX", 22, false},
        {"a*b*c*d", "aXbXcXd", 22, true},
        {"", "web1", 22, false},
        {"10.0.0.*", "10.0.0.7", 22, true},
        {"[10.0.0.7]:*", "10.0.0.7", 2222, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct known_host row = {.kind = KNOWN_HOSTS_KEY,
                                 .patterns = (char *)(uintptr_t)rows[i].patterns,
                                 .key = keys[HOST_A].public};
        struct known_hosts k = {&row, 1};
        if (known_hosts_has(&k, KNOWN_HOSTS_KEY, rows[i].host, rows[i].port,
                            &keys[HOST_A].public) != rows[i].match)
            fail_msg("%s %s %u", rows[i].patterns, rows[i].host, rows[i].port);
    }
}

static void test_known_hosts_warnings(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "|1|salt|hash ssh-ed25519 AAAA",
        "|2|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-ed25519 AAAA",
        "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y= ssh-ed25519 AAAA",
        "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-ed25519 AAAA",
        "|",
        "@marker host ssh-ed25519 AAAA",
        "host",
        "host ssh-dss A",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct known_hosts k = {0};
        struct diag d = {0};
        known_hosts_parse(&k, view_str(lines[i]), (struct diag_place){0}, &d);
        assert_int_equal(k.count, 0);
        assert_int_equal(d.count, 1);
        assert_int_equal(d.errors, 0);
        diag_fini(&d);
    }
}

/* As sshd(8) shows it: the salt and hash that OpenSSH made of "192.168.1.61". */
static void test_known_hosts_hashed(void **state)
{
    (void)state;
    static const char of_address[] = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=";
    struct fixture f;
    setup(&f, HOST_KEY_POLICY_TOFU);
    known(&f, of_address, HOST_A);
    assert_true(f.snapshot.known_hosts.items[0].is_hashed);
    f.route.to.host = "192.168.1.61";
    f.route.to.port = 22;
    judged(&f, NULL, blob(HOST_A), HOST_KEY_ACCEPT, NULL);
    judged(&f, NULL, blob(HOST_B), HOST_KEY_REFUSE, "host-key-not-pinned");
    f.route.to.port = 2222;
    judged(&f, NULL, blob(HOST_A), HOST_KEY_RECORD, NULL);
    f.route.to.host = "192.168.1.62";
    f.route.to.port = 22;
    judged(&f, NULL, blob(HOST_A), HOST_KEY_RECORD, NULL);
    known_hosts_fini(&f.snapshot.known_hosts);
}

/* --- host certificates --- */

static struct cert_spec cert_for_target(const struct view *principal)
{
    return (struct cert_spec){
        .kind = CERT_HOST,
        .key = &keys[HOST_A].public,
        .serial = 1,
        .principals = principal,
        .principals_len = 1,
        .valid_after = 900,
        .valid_before = 1100,
    };
}

/* Judged at second 1000. */
static void judged_cert(const struct fixture *f, const struct cert_spec *spec, int ca,
                        enum host_key_verdict verdict, const char *reason)
{
    struct rng rng = rng_system();
    struct buf cert;
    buf_init(&cert, CERT_BLOB_MAX);
    CHECK_OK(cert_sign(spec, &keys[ca], &rng, &cert));
    judged(f, NULL, buf_view(&cert), verdict, reason);
    buf_fini(&cert);
}

static void test_host_certificate(void **state)
{
    (void)state;
    struct fixture f;
    struct view principal = VIEW("target.test");
    setup(&f, HOST_KEY_POLICY_STRICT);
    struct cert_spec spec = cert_for_target(&principal);
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-certificate-authority");
    f.compiled.host_cas = (struct snapshot_keys){&keys[HOST_CA].public, 1};
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_ACCEPT, NULL);
    /* Under tofu too nothing else will do: not its plain key, not another authority. */
    f.route.ssh_host_key_policy = HOST_KEY_POLICY_TOFU;
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_ACCEPT, NULL);
    judged(&f, NULL, blob(HOST_A), HOST_KEY_REFUSE, "host-key-not-pinned");
    judged_cert(&f, &spec, HOST_B, HOST_KEY_REFUSE, "host-certificate-authority");
    f.route.to.host = "Target.TEST"; /* as somebody wrote it in to: */
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_ACCEPT, NULL);
    f.route.to.host = "other.test";
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-certificate-name");
    f.route.to.host = "target.test";
    spec.valid_before = 1000;
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-certificate-time");
    spec.valid_after = 1001;
    spec.valid_before = 1100;
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-certificate-time");
    spec.valid_after = 1000;
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_ACCEPT, NULL);
    spec.principals_len = 0;
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-certificate-name");
    spec.principals_len = 1;
    spec.kind = CERT_USER;
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-certificate-kind");
    spec.kind = CERT_HOST;
    const struct cert_option option = {.name = VIEW("force-command")};
    spec.critical = &option;
    spec.critical_len = 1;
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-certificate-option");
    /* A pinned key is good, whatever its certificate says. */
    f.compiled.host_keys = (struct snapshot_keys){&keys[HOST_A].public, 1};
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_ACCEPT, NULL);
}

static void test_host_ca_in_known_hosts(void **state)
{
    (void)state;
    struct fixture f;
    struct view principal = VIEW("target.test");
    struct cert_spec spec = cert_for_target(&principal);
    const char *types[KEY_TYPE_COUNT];
    setup(&f, HOST_KEY_POLICY_TOFU);
    assert_int_equal(host_key_certificate_types(&f.snapshot, &f.compiled, types), 0);
    known(&f, "@cert-authority *.other,!target.test", HOST_B);
    assert_int_equal(host_key_certificate_types(&f.snapshot, &f.compiled, types), 0);
    /* Names without a port are enough. */
    known(&f, "@cert-authority *.test", HOST_CA);
    assert_int_equal(host_key_certificate_types(&f.snapshot, &f.compiled, types), KEY_TYPE_COUNT);
    assert_string_equal(types[0], "ssh-ed25519-cert-v01@openssh.com");
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_ACCEPT, NULL);
    judged_cert(&f, &spec, HOST_B, HOST_KEY_REFUSE, "host-certificate-authority");
    /* No first use where an authority is known. */
    judged(&f, NULL, blob(HOST_A), HOST_KEY_REFUSE, "host-key-not-pinned");
    known(&f, "@revoked *", HOST_CA);
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-certificate-revoked");
    known_hosts_fini(&f.snapshot.known_hosts);
    known(&f, "@cert-authority [target.test]:2022", HOST_CA);
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_ACCEPT, NULL);
    known(&f, "@revoked target.test", HOST_A);
    judged_cert(&f, &spec, HOST_CA, HOST_KEY_REFUSE, "host-key-revoked");
    known_hosts_fini(&f.snapshot.known_hosts);
}

/* The person reads which name the certificate is for, with nothing that a terminal would act on. */
static void test_certificate_sentence(void **state)
{
    (void)state;
    struct fixture f;
    struct rng rng = rng_system();
    struct view names[] = {VIEW("a\033[2J"), VIEW("b.test")};
    setup(&f, HOST_KEY_POLICY_STRICT);
    f.compiled.host_cas = (struct snapshot_keys){&keys[HOST_CA].public, 1};
    struct cert_spec spec = cert_for_target(names);
    spec.principals_len = 2;
    struct buf cert;
    buf_init(&cert, CERT_BLOB_MAX);
    CHECK_OK(cert_sign(&spec, &keys[HOST_CA], &rng, &cert));
    struct host_key_judgement j;
    host_key_judge(&f.snapshot, &f.compiled, NULL, buf_view(&cert), 1000000, &j);
    assert_non_null(strstr(j.sentence, "b.test, not for target.test"));
    assert_null(strchr(j.sentence, '\033'));
    host_key_judgement_fini(&j);
    buf_fini(&cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_use),
        cmocka_unit_test(test_changed_sentence),
        cmocka_unit_test(test_strict_and_pins),
        cmocka_unit_test(test_insecure),
        cmocka_unit_test(test_known_hosts),
        cmocka_unit_test(test_known_hosts_patterns),
        cmocka_unit_test(test_known_hosts_warnings),
        cmocka_unit_test(test_known_hosts_hashed),
        cmocka_unit_test(test_host_certificate),
        cmocka_unit_test(test_host_ca_in_known_hosts),
        cmocka_unit_test(test_certificate_sentence),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, make_keys, free_keys);
}
