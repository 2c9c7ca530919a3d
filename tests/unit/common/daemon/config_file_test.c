#include "common/daemon/config_file.h"

#include <time.h>

#include "common/crypto/x509.h"
#include "tests/unit/common/daemon/folder.h"

#define KEY_A "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
#define KEY_B "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI="
#define DERIVED                                                                                    \
    "shared_secret: " KEY_A "\ncookie_secret: " KEY_B "\n"                                         \
    "authenticate_service_url: https://a.test\nidp_provider: oidc\n"                               \
    "idp_provider_url: https://i.test\nidp_client_id: c\nroutes: []\n"
#define FILES                                                                                      \
    DERIVED "service_certificate_authority_file: %s/ca.crt\n"                                      \
            "service_certificate_file: %s/{service}.crt\n"                                         \
            "service_certificate_key_file: %s/{service}.key\n"

enum { DAY_MS = 86400000 };

static uint64_t now_ms(void)
{
    return (uint64_t)time(NULL) * 1000;
}

static struct config *must_load(const struct folder *f, enum config_service service, struct diag *d)
{
    struct config *c = NULL;
    AUTO_FREE char *path = folder_path(f, "p.yaml");
    if (config_file_load(path, service, d, &c) != OK)
        fail_msg("%s", d->items[0].text);
    return c;
}

/* Refused with this as the only error; @ is the folder. */
static void refused(const struct folder *f, enum config_service service, const char *pattern)
{
    AUTO(diag_fini) struct diag d = {0};
    AUTO(buf_fini) struct buf wanted;
    struct config *c = NULL;
    AUTO_FREE char *path = folder_path(f, "p.yaml");
    buf_init(&wanted, 10000);
    for (; *pattern; pattern++)
        CHECK_OK(*pattern == '@' ? buf_append_str(&wanted, f->path)
                                 : buf_append_u8(&wanted, (uint8_t)*pattern));
    CHECK_ERR(config_file_load(path, service, &d, &c), ERR_CONFIG);
    assert_null(c);
    AUTO_FREE char *error = buf_to_str(&wanted);
    assert_string_equal(d.items[0].text, error);
    assert_int_equal(d.errors, 1);
}

static const char *text(const struct config_blob *b)
{
    return (const char *)b->text.data;
}

static void test_derived_identities_trust_each_other(void **state)
{
    (void)state;
    struct folder f = folder_new();
    AUTO(diag_fini) struct diag d = {0};
    folder_write(&f, "p.yaml", 0644, DERIVED);
    struct config *a = must_load(&f, CONFIG_PROXY, &d);
    struct config *b = must_load(&f, CONFIG_AUTHORIZE, &d);
    assert_int_equal(d.count, 2);
    assert_true(d.items[0].warning);
    assert_non_null(strstr(d.items[0].text, "derived from shared_secret"));
    assert_true(a->identity_derived);
    CHECK_OK(x509_verify(secret_view(&a->service_certificate.text),
                         secret_view(&b->service_certificate_authority.text), now_ms()));
    CHECK_OK(x509_check_pair(secret_view(&a->service_certificate.text),
                             secret_view(&a->service_certificate_key.text)));
    AUTO(x509_info_fini) struct x509_info info = {0};
    CHECK_OK(x509_info_parse(&info, secret_view(&a->service_certificate.text)));
    assert_int_equal(info.uris_len, 1);
    assert_string_equal(info.uris[0], "postern://service/proxy");
    assert_int_equal(text(&a->service_certificate)[a->service_certificate.text.len], 0);
    /* The proxy needed the secret for this alone. */
    assert_int_equal(a->shared_secret.len, 0);
    assert_int_equal(b->shared_secret.len, 32);
    assert_string_equal(a->hash, b->hash);
    assert_int_equal(strlen(a->hash), 64);
    config_unref(a);
    config_unref(b);
    struct config *cli = must_load(&f, CONFIG_CLI, &d);
    assert_true(cli->service_certificate_authority.text.len > 0);
    assert_int_equal(cli->service_certificate.text.len, 0);
    config_unref(cli);
    folder_remove(&f);
}

static void test_rotation_of_the_shared_secret(void **state)
{
    (void)state;
    struct folder f = folder_new();
    AUTO(diag_fini) struct diag d = {0};
    folder_write(&f, "p.yaml", 0644, DERIVED);
    struct config *old = must_load(&f, CONFIG_DATABROKER, &d);
    folder_write(&f, "p.yaml", 0644,
                 "shared_secret: " KEY_B "\nshared_secret_previous: " KEY_A
                 "\nauthenticate_service_url: https://a.test\n");
    struct config *new = must_load(&f, CONFIG_PROXY, &d);
    CHECK_OK(x509_verify(secret_view(&old->service_certificate.text),
                         secret_view(&new->service_certificate_authority.text), now_ms()));
    CHECK_OK(x509_verify(secret_view(&new->service_certificate.text),
                         secret_view(&new->service_certificate_authority.text), now_ms()));
    CHECK_ERR(x509_verify(secret_view(&new->service_certificate.text),
                          secret_view(&old->service_certificate_authority.text), now_ms()),
              ERR_VERIFY);
    config_unref(old);
    config_unref(new);
    folder_remove(&f);
}

/* The four services' certificates, as keygen makes them. */
static void make_services(const struct folder *f, const char *uri_of_proxy, uint64_t not_after)
{
    struct x509_pair ca = {0}, leaf = {0};
    const struct x509_leaf extra = {.not_before_at = now_ms() - 2 * (uint64_t)DAY_MS,
                                    .not_after_at = not_after};
    CHECK_OK(x509_make_ca("test", now_ms() - 2 * (uint64_t)DAY_MS, now_ms() + 3 * (uint64_t)DAY_MS,
                          &ca));
    CHECK_OK(x509_make_service(&ca, uri_of_proxy, &extra, &leaf));
    folder_write(f, "ca.crt", 0644, ca.cert_pem);
    folder_write(f, "proxy.crt", 0644, leaf.cert_pem);
    folder_write(f, "proxy.key", 0600, leaf.key_pem);
    x509_pair_fini(&ca);
    x509_pair_fini(&leaf);
    AUTO_FREE char *yaml = mem_printf(FILES, f->path, f->path, f->path);
    folder_write(f, "p.yaml", 0644, yaml);
}

static void test_service_certificates(void **state)
{
    (void)state;
    struct folder f = folder_new();
    AUTO(diag_fini) struct diag d = {0};
    make_services(&f, "proxy", now_ms() + 2 * (uint64_t)DAY_MS);
    struct config *c = must_load(&f, CONFIG_PROXY, &d);
    assert_false(c->identity_derived);
    assert_int_equal(d.count, 1);
    assert_non_null(strstr(d.items[0].text, "proxy.crt expires within 14 days"));
    config_unref(c);

    folder_write(&f, "proxy.key", 0600, "nonsense");
    refused(&f, CONFIG_PROXY,
            "@/p.yaml:10:31: service_certificate_key_file: @/proxy.key is no PEM private key, or "
            "is encrypted");
    make_services(&f, "proxy", now_ms() - DAY_MS);
    refused(&f, CONFIG_PROXY,
            "@/p.yaml:9:27: service_certificate_file: @/proxy.crt is expired or not valid yet; "
            "'postern keygen services' makes a new one");
    make_services(&f, "authorize", now_ms() + 2 * (uint64_t)DAY_MS);
    refused(&f, CONFIG_PROXY,
            "@/p.yaml:9:27: service_certificate_file: @/proxy.crt is no certificate of this "
            "service: expected the one URI postern://service/proxy, got "
            "postern://service/authorize");
    make_services(&f, "proxy", now_ms() + 2 * (uint64_t)DAY_MS);
    struct x509_pair other = {0};
    CHECK_OK(x509_make_ca("other", now_ms() - DAY_MS, now_ms() + DAY_MS, &other));
    folder_write(&f, "ca.crt", 0644, other.cert_pem);
    refused(&f, CONFIG_PROXY,
            "@/p.yaml:9:27: service_certificate_file: @/proxy.crt is not signed by the CA in "
            "@/ca.crt");
    x509_pair_fini(&other);
    make_services(&f, "proxy", now_ms() + 2 * (uint64_t)DAY_MS);
    folder_write(&f, "ca.crt", 0644, "x");
    refused(&f, CONFIG_PROXY,
            "@/p.yaml:8:37: service_certificate_authority_file: @/ca.crt holds no PEM "
            "certificate");
    folder_remove(&f);
}

static void test_modes_of_key_files(void **state)
{
    (void)state;
    struct folder f = folder_new();
    AUTO(diag_fini) struct diag d = {0};
    AUTO_FREE char *yaml = mem_printf(DERIVED "ssh_user_ca_key_file: %s/ca\n", f.path);
    folder_write(&f, "p.yaml", 0644, yaml);
    folder_write(&f, "ca", 0640, "key");
    refused(&f, CONFIG_AUTHORIZE,
            "@/p.yaml:8:23: ssh_user_ca_key_file: config: invalid ssh user ca key file @/ca: "
            "permissions are too open");
    /* A credential of the service manager's may be its group's to read, and no more. */
    struct config *c;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f.path, 1), 0);
    config_unref(must_load(&f, CONFIG_AUTHORIZE, &d));
    folder_write(&f, "ca", 0644, "key");
    refused(&f, CONFIG_AUTHORIZE,
            "@/p.yaml:8:23: ssh_user_ca_key_file: config: invalid ssh user ca key file @/ca: "
            "permissions are too open");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    folder_write(&f, "ca", 0400, "key");
    c = must_load(&f, CONFIG_AUTHORIZE, &d);
    assert_string_equal(text(&c->ssh_user_ca_key), "key");
    config_unref(c);
    AUTO_FREE char *ca = folder_path(&f, "ca");
    assert_int_equal(unlink(ca), 0);
    refused(&f, CONFIG_AUTHORIZE,
            "@/p.yaml:8:23: ssh_user_ca_key_file: config: invalid ssh user ca key file @/ca: "
            "No such file or directory");
    assert_int_equal(mkdir(ca, 0700), 0);
    refused(&f, CONFIG_AUTHORIZE,
            "@/p.yaml:8:23: ssh_user_ca_key_file: config: invalid ssh user ca key file @/ca: "
            "it is a directory");
    assert_int_equal(rmdir(ca), 0);
    folder_remove(&f);
}

static void test_missing_file(void **state)
{
    (void)state;
    struct folder f = folder_new();
    refused(&f, CONFIG_PROXY, "@/p.yaml: cannot be read: No such file or directory");
    folder_remove(&f);
}

static void test_readings(void **state)
{
    (void)state;
    struct folder f = folder_new();
    AUTO_FREE char *path = folder_path(&f, "p.yaml");
    AUTO_FREE char *yaml = mem_printf(DERIVED "ssh_user_ca_key_file: %s/ca\n", f.path);
    folder_write(&f, "p.yaml", 0644, yaml);
    uint8_t first[32];
    for (int i = 0; i < 4; i++) {
        AUTO(diag_fini) struct diag d = {0};
        AUTO(config_reading_fini) struct config_reading r;
        struct config *c = NULL;
        /* The file is missing, made, changed, and read again as it was. */
        if (i == 1 || i == 2)
            folder_write(&f, "ca", 0600, i == 1 ? "one" : "two");
        CHECK_ERR(config_file_read(path, CONFIG_AUTHORIZE, &d, &r, &c), i ? OK : ERR_CONFIG);
        assert_int_equal(r.count, 2);
        assert_string_equal(r.paths[0], path);
        assert_non_null(strstr(r.paths[1], "/ca"));
        assert_int_equal(memcmp(first, r.hash, 32) == 0, i == 3);
        memcpy(first, r.hash, 32);
        config_unref(c);
    }
    folder_remove(&f);
}

static void test_environment(void **state)
{
    (void)state;
    struct folder f = folder_new();
    AUTO(diag_fini) struct diag d = {0};
    folder_write(&f, "p.yaml", 0644, DERIVED);
    struct config *a = must_load(&f, CONFIG_PROXY, &d);
    (void)setenv("ADDRESS", "127.0.0.1:9", 1);
    struct config *b = must_load(&f, CONFIG_PROXY, &d);
    (void)unsetenv("ADDRESS");
    assert_string_equal(b->address, "127.0.0.1:9");
    /* Where a replica listens makes it no other configuration. */
    assert_string_equal(a->hash, b->hash);
    assert_memory_not_equal(a->content_hash, b->content_hash, 32);
    config_unref(b);
    (void)setenv("LOG_LEVEL", "debug", 1);
    b = must_load(&f, CONFIG_PROXY, &d);
    (void)unsetenv("LOG_LEVEL");
    assert_string_not_equal(a->hash, b->hash);
    assert_memory_not_equal(a->content_hash, b->content_hash, 32);
    config_unref(a);
    config_unref(b);
    (void)setenv("POSTERN_CONFIG", "/e.yaml", 1);
    assert_string_equal(config_file_path(NULL), "/e.yaml");
    assert_string_equal(config_file_path("/g.yaml"), "/g.yaml");
    (void)unsetenv("POSTERN_CONFIG");
    assert_string_equal(config_file_path(NULL), CONFIG_FILE_DEFAULT);
    folder_remove(&f);
}

static void test_shallow(void **state)
{
    (void)state;
    struct folder f = folder_new();
    AUTO(diag_fini) struct diag d = {0};
    AUTO_FREE char *path = folder_path(&f, "p.yaml");
    folder_write(&f, "p.yaml", 0644,
                 "service_certificate_authority_file: /nowhere\nauthenticate_service_url: "
                 "https://a.test\n");
    struct config *c = NULL;
    CHECK_ERR(config_file_load(path, CONFIG_CLI, &d, &c), ERR_CONFIG);
    CHECK_OK(config_file_load_shallow(path, CONFIG_CLI, &d, &c));
    assert_string_equal(c->authenticate_service_url.host, "a.test");
    config_unref(c);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derived_identities_trust_each_other),
        cmocka_unit_test(test_rotation_of_the_shared_secret),
        cmocka_unit_test(test_service_certificates),
        cmocka_unit_test(test_modes_of_key_files),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_readings),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_shallow),
    };
    return RUN(tests);
}
