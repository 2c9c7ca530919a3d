/* Who may speak to whom, over TLS on loopback. */
// links: common/crypto
#include "tests/unit/common/rpc/fixture.h"

static void test_wrong_caller(void **state)
{
    struct fixture *f = *state;
    serve_as(f, service(f, "databroker"));
    dial_as(f, service(f, "proxy"));
    get(f, "one", 5000);
    assert_int_equal(f->status, RPC_PERMISSION_DENIED);
    assert_string_equal(f->denied, "proxy /databroker.DataBrokerService/Get");
    open_sync(f);
    f->done = false;
    turn_until(f, &f->done);
    assert_int_equal(f->status, RPC_PERMISSION_DENIED);
    assert_int_equal(f->ends, 0);
}

static void test_admin(void **state)
{
    struct fixture *f = *state;
    serve_as(f, service(f, "databroker"));
    dial_as(f, leaf(f, &f->ca, "postern://admin/alice", NULL));
    get(f, "one", 5000);
    assert_int_equal(f->status, RPC_OK);
    assert_int_equal(f->peer.caller, RPC_CALLER_ADMIN);
    assert_string_equal(f->peer.name, "alice");
}

/* Servers that are not the databroker are not spoken to. */
static void refused_server(struct fixture *f, struct rpc_identity identity)
{
    serve_as(f, identity);
    dial_as(f, service(f, "authorize"));
    get(f, "one", 5000);
    assert_int_equal(f->status, RPC_UNAVAILABLE);
    assert_int_equal(f->ends, 0);
}

static void test_server_of_another_service(void **state)
{
    struct fixture *f = *state;
    refused_server(f, service(f, "authenticate"));
}

static void test_server_with_dns_name(void **state)
{
    struct fixture *f = *state;
    refused_server(f, leaf(f, &f->ca, NULL, "postern://service/databroker"));
}

static void test_server_with_several_uris(void **state)
{
    struct fixture *f = *state;
    const char *const uris[] = {"postern://service/databroker", "postern://service/authorize",
                                NULL};
    struct x509_leaf l = {.common_name = "test",
                          .uris = uris,
                          .not_after_at = year_2100,
                          .server_auth = true,
                          .client_auth = true};
    struct x509_pair *pair = &f->pairs[f->pair_count++];
    CHECK_OK(x509_make_leaf(&f->ca, &l, pair));
    refused_server(f, (struct rpc_identity){f->ca.cert_pem, pair->cert_pem, pair->key_pem});
}

static void test_server_of_another_ca(void **state)
{
    struct fixture *f = *state;
    struct x509_pair *other = &f->pairs[f->pair_count++];
    CHECK_OK(x509_make_ca("other", 0, year_2100, other));
    refused_server(f, leaf(f, other, "postern://service/databroker", NULL));
}

static void test_client_of_another_ca(void **state)
{
    struct fixture *f = *state;
    struct x509_pair *other = &f->pairs[f->pair_count++];
    CHECK_OK(x509_make_ca("other", 0, year_2100, other));
    serve_as(f, service(f, "databroker"));
    dial_as(f, leaf(f, other, "postern://service/authorize", NULL));
    get(f, "one", 5000);
    assert_int_equal(f->status, RPC_UNAVAILABLE);
    assert_int_equal(f->ends, 0);
}

static void test_client_without_certificate(void **state)
{
    struct fixture *f = *state;
    serve_as(f, service(f, "databroker"));
    dial_as(f, (struct rpc_identity){.ca_pem = f->ca.cert_pem});
    get(f, "one", 5000);
    assert_int_equal(f->status, RPC_UNAVAILABLE);
    assert_int_equal(f->ends, 0);
}

/* A certificate of our CA that names nobody reaches the table and no row of it. */
static void refused_client(struct fixture *f, const char *uri, const char *dns)
{
    serve_as(f, service(f, "databroker"));
    dial_as(f, leaf(f, &f->ca, uri, dns));
    get(f, "one", 5000);
    assert_int_equal(f->status, RPC_PERMISSION_DENIED);
    assert_string_equal(f->denied, " /databroker.DataBrokerService/Get");
}

static void test_client_with_dns_name(void **state)
{
    refused_client(*state, NULL, "postern://service/authorize");
}

static void test_client_with_other_uri(void **state)
{
    refused_client(*state, "postern://service/authorizer", NULL);
}

static void test_peer_parse(void **state)
{
    (void)state;
    struct rpc_peer p = {0};
    CHECK_OK(rpc_peer_parse(VIEW("postern://service/proxy"), &p));
    assert_int_equal(p.caller, RPC_CALLER_PROXY);
    CHECK_OK(rpc_peer_parse(VIEW("postern://admin/a.b-c_d@e"), &p));
    assert_string_equal(p.name, "a.b-c_d@e");
    static const char *const bad[] = {"",
                                      "postern://admin/",
                                      "postern://service/",
                                      "postern://service/proxy/",
                                      "postern://service/Proxy",
                                      "postern://service/proxy\0x",
                                      "postern://admin/a/b",
                                      "postern://admin/a b",
                                      "Postern://admin/a",
                                      "https://admin/a"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t len = i == 5 ? sizeof("postern://service/proxy\0x") - 1 : strlen(bad[i]);
        assert_int_not_equal(rpc_peer_parse(view_of(bad[i], len), &p), OK);
    }
    assert_string_equal(p.name, "a.b-c_d@e");
}

static void test_status_map(void **state)
{
    (void)state;
    assert_int_equal(rpc_status_of(OK), RPC_OK);
    assert_int_equal(rpc_status_of(ERR_PRECONDITION), RPC_FAILED_PRECONDITION);
    assert_int_equal(rpc_status_of(ERR_EXISTS), RPC_ALREADY_EXISTS);
    for (int s = RPC_OK; s <= RPC_UNAUTHENTICATED; s++) {
        enum err e = rpc_status_err((enum rpc_status)s);
        assert_true((s == RPC_OK) == (e == OK));
        if (s != RPC_UNKNOWN)
            assert_int_equal(rpc_status_of(e), s);
    }
    assert_string_equal(rpc_status_name(RPC_DATA_LOSS), "DATA_LOSS");
    assert_string_equal(rpc_status_name((enum rpc_status)99), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(test_wrong_caller),
        ALONE(test_admin),
        ALONE(test_server_of_another_service),
        ALONE(test_server_with_dns_name),
        ALONE(test_server_with_several_uris),
        ALONE(test_server_of_another_ca),
        ALONE(test_client_of_another_ca),
        ALONE(test_client_without_certificate),
        ALONE(test_client_with_dns_name),
        ALONE(test_client_with_other_uri),
        cmocka_unit_test(test_peer_parse),
        cmocka_unit_test(test_status_map),
    };
    return RUN(tests);
}
