#include "tests/unit/common/config/world.h"

static void test_all_in_one_file_needs_nothing_more(void **state)
{
    (void)state;
    static const enum config_service all[] = {CONFIG_AUTHENTICATE, CONFIG_AUTHORIZE, CONFIG_PROXY,
                                              CONFIG_DATABROKER};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct world w = {0};
        must_load(&w, all[i], MINIMAL);
        assert_int_equal(w.c->shared_secret.len, 32); /* identities are derived from it */
        assert_int_equal(w.d.count, all[i] == CONFIG_DATABROKER); /* storage is memory */
        world_fini(&w);
    }
}

static void test_missing_keys_name_their_command(void **state)
{
    (void)state;
    struct world w = {0};
    refused(&w, CONFIG_AUTHENTICATE, "a: 1\n",
            "p.yaml: shared_secret: missing: 'postern keygen secrets' makes one; name its file in "
            "shared_secret_file, or give the services their own certificates with 'postern keygen "
            "services'");
    refused(&w, CONFIG_AUTHENTICATE, "",
            "p.yaml: cookie_secret: missing: 'postern keygen secrets' makes one; name its file in "
            "cookie_secret_file");
    refused(&w, CONFIG_PROXY, "",
            "p.yaml: authenticate_service_url: missing: add the URL that browsers reach this "
            "gateway at, such as https://auth.example.com");
    refused(&w, CONFIG_AUTHENTICATE, "",
            "p.yaml: idp_provider: missing: add oidc with idp_provider_url, idp_client_id and "
            "idp_client_secret, or local with idp_local_users_file ('postern password' makes the "
            "hashes)");
    refused(&w, CONFIG_PROXY, MINIMAL "ssh_address: :22\n",
            "p.yaml: ssh_host_key_files: missing: 'postern keygen host-keys' makes them");
    refused(&w, CONFIG_AUTHORIZE, MINIMAL "ssh_address: :22\n",
            "p.yaml: ssh_user_ca_key: missing: 'postern keygen user-ca' makes one; name its file "
            "in ssh_user_ca_key_file");
    refused(&w, CONFIG_PROXY, MINIMAL "service_certificate_file: x\n",
            "p.yaml: service_certificate_key: missing: add service_certificate_key_file; 'postern "
            "keygen services' makes all three");
    refused(&w, CONFIG_DATABROKER, MINIMAL "databroker_storage_type: file\n",
            "p.yaml: databroker_storage_connection_string: missing: add file:///DIR, the "
            "directory for the records");
}

static void test_services(void **state)
{
    (void)state;
    struct world w = {0};
    must_load(&w, CONFIG_PROXY, MINIMAL "services: all\n");
    world_fini(&w);
    must_load(&w, CONFIG_PROXY, MINIMAL "services: authorize,proxy\n");
    world_fini(&w);
    must_load(&w, CONFIG_DATABROKER, MINIMAL "services: [cache]\n");
    world_fini(&w);
    must_load(&w, CONFIG_CLI, MINIMAL "services: [proxy]\n");
    world_fini(&w);
    refused(&w, CONFIG_DATABROKER, MINIMAL "services: authorize,proxy\n",
            "p.yaml:8:11: services: leaves out databroker, so this daemon does not start");
    refused(&w, CONFIG_PROXY, MINIMAL "services: [proxy, sidecar]\n",
            "p.yaml:8:19: services: config: sidecar is an invalid service type (all, "
            "authenticate, authorize, proxy, databroker)");
}

static void listens(enum config_service service, const char *keys, const char *expected)
{
    struct world w = {0};
    AUTO_FREE char *yaml = mem_printf(MINIMAL "%s\n", keys);
    must_load(&w, service, yaml);
    assert_string_equal(w.c->internal_listen, expected);
    world_fini(&w);
}

static void test_listen_addresses(void **state)
{
    (void)state;
    struct world w = {0};
    listens(CONFIG_AUTHORIZE, "authorize_service_url: https://authorize:5443", ":5443");
    listens(CONFIG_AUTHORIZE, "authorize_service_url: https://localhost", "127.0.0.1:443");
    listens(CONFIG_AUTHORIZE, "grpc_address: 10.0.0.1:7", "10.0.0.1:7");
    listens(CONFIG_DATABROKER, "databroker_service_url: https://[::1]:1", "[::1]:1");
    listens(CONFIG_DATABROKER,
            "databroker_service_urls: ['https://a:1', 'https://b:2']\ngrpc_address: :2", ":2");
    listens(CONFIG_AUTHENTICATE, "authenticate_internal_service_url: https://n:8444", ":8444");
    listens(CONFIG_AUTHENTICATE, "authenticate_address: 127.0.0.1:9", "127.0.0.1:9");
    refused(&w, CONFIG_DATABROKER,
            MINIMAL "databroker_service_urls: ['https://a:1', 'https://b:2']\n",
            "p.yaml:8:27: databroker_service_url: has several URLs: add grpc_address, with the "
            "port of the one that is this daemon's");
    refused(&w, CONFIG_DATABROKER,
            MINIMAL "databroker_service_urls: ['https://a:1', 'https://b:2']\ngrpc_address: :3\n",
            "p.yaml:9:15: grpc_address: its port is in none of the URLs of "
            "databroker_service_url");
    warned(&w, CONFIG_PROXY, MINIMAL "authorize_service_url: http://authorize\n",
           "p.yaml:8:24: authorize_service_url: http: is taken for https: between services there "
           "is always mutual TLS");
}

static void test_providers(void **state)
{
    (void)state;
    struct world w = {0};
#define BASE                                                                                       \
    "shared_secret: " KEY_A "\ncookie_secret: " KEY_B "\nauthenticate_service_url: https://a\n"
    refused(&w, CONFIG_AUTHENTICATE, BASE "idp_provider: okta\n",
            "p.yaml:4:15: idp_provider: okta is not in this release: use oidc with its issuer as "
            "idp_provider_url");
    refused(&w, CONFIG_AUTHENTICATE, BASE "idp_provider: github\n",
            "p.yaml:4:15: idp_provider: github is not in this release");
    refused(&w, CONFIG_AUTHENTICATE, BASE "idp_provider: x\n",
            "p.yaml:4:15: idp_provider: expected oidc or local, got \"x\"");
    refused(&w, CONFIG_AUTHENTICATE, BASE "idp_provider: local\n",
            "p.yaml: idp_local_users: missing: add idp_local_users_file; 'postern password' makes "
            "the hashes in it");
    refused(&w, CONFIG_AUTHENTICATE,
            BASE "idp_provider: local\nidp_local_users: [{email: a@b, password_hash: x}, {email: "
                 "A@b, password_hash: y}]\n",
            "p.yaml:5:51: idp_local_users: a@b is there twice");
    refused(&w, CONFIG_AUTHENTICATE, BASE "idp_provider: local\nidp_local_users: [{email: a@b}]\n",
            "p.yaml:5:19: idp_local_users: expected {email, name, groups, password_hash}: "
            "password_hash is missing or no text");
    refused(&w, CONFIG_AUTHENTICATE, MINIMAL "cookie_name: 'a;b'\n",
            "p.yaml:8:14: cookie_name: expected letters, digits, _, - and . alone");
}

static void test_storage(void **state)
{
    (void)state;
    struct world w = {0};
    refused(&w, CONFIG_DATABROKER, MINIMAL "databroker_storage_type: postgres\n",
            "p.yaml:8:26: databroker_storage_type: expected one of memory, file (postgres is not "
            "in this release), got \"postgres\"");
    refused(&w, CONFIG_DATABROKER,
            MINIMAL "databroker_storage_type: file\n"
                    "databroker_storage_connection_string: postgres://x\n",
            "p.yaml:9:39: databroker_storage_connection_string: expected file:///DIR for the "
            "storage type file");
}

static void test_certificates(void **state)
{
    (void)state;
    static const struct pairs files[] = {{"c", "C"}, {"k", "K"}, {0}};
    struct world w = {.files = files};
    must_load(&w, CONFIG_PROXY,
              MINIMAL "certificates: [{cert: c, key: k}, {cert: LS0tLS1CRUdJTiBYLS0tLS0=, key: "
                      "LS0tLS1CRUdJTiBZLS0tLS0=}]\ncertificate_file: c\ncertificate_key_file: "
                      "k\n");
    assert_int_equal(w.c->certificate_count, 3);
    CHECK_VIEW_STR(secret_view(&w.c->certificates[0].chain.text), "C");
    assert_string_equal(w.c->certificates[1].key.file, "k");
    CHECK_VIEW_STR(secret_view(&w.c->certificates[2].key.text), "-----BEGIN Y-----\n");
    world_fini(&w);
    refused(&w, CONFIG_PROXY, MINIMAL "certificate_file: c\n",
            "p.yaml:8:19: certificate: config: client certificate key and cert both must be "
            "non-empty");
    refused(&w, CONFIG_PROXY, MINIMAL "certificates: [{cert: c}]\n",
            "p.yaml:8:16: certificates: expected {cert: …, key: …}: no key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_in_one_file_needs_nothing_more),
        cmocka_unit_test(test_missing_keys_name_their_command),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_listen_addresses),
        cmocka_unit_test(test_providers),
        cmocka_unit_test(test_storage),
        cmocka_unit_test(test_certificates),
    };
    return RUN(tests);
}
