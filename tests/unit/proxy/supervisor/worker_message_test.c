#include "proxy/supervisor/worker_message.h"

#include "proxy/supervisor/worker_frame.h"
#include "tests/support/test.h"

static struct worker_config *full_config(void)
{
    struct worker_config *c = worker_config_new();
    c->config_hash = mem_strdup("abc");
    c->log_level = 3;
    c->shutdown_grace = 10000;
    c->grpc_client_timeout = 9000;
    c->service_ca = mem_strdup("CA");
    c->service_certificate = mem_strdup("CERT");
    c->service_key = mem_strdup("KEY");
    c->authenticate_host = mem_strdup("auth.example.test");
    c->authenticate_target = mem_strdup("authenticate:8443");
    worker_texts_add(&c->authorize_targets, "a:1");
    worker_texts_add(&c->authorize_targets, "b:2");
    c->https_listener = true;
    worker_config_add_certificate(c, "CHAIN 1");
    worker_config_add_certificate(c, "CHAIN 2");
    worker_config_add_host_key(c, view_of("\x00\x01\x02", 3));
    c->ssh_profile = 1;
    c->ssh_login_grace_time = 120000;
    c->ssh_max_startups_start = 100;
    c->ssh_max_startups_rate = 30;
    c->ssh_max_startups_full = 500;
    c->ssh_sign_in_timeout = 900000;
    c->ssh_reveal_routes = 1;
    c->revocation_grace = 1;
    c->authorize_max_staleness = 2;
    worker_texts_add(&c->access_log_fields, "ip");
    c->access_log_interval = 300000;
    c->use_proxy_protocol = true;
    worker_texts_add(&c->proxy_protocol_trusted, "10.0.0.0/8");
    c->cookie_name = mem_strdup("_pomerium");
    c->insecure_server = true;
    c->self_signed = true;
    c->redirect_listener = true;
    c->https_port = 8443;
    c->timeout_read = 30000;
    c->timeout_idle = 300000;
    c->downstream_mtls.ca = mem_strdup("CLIENT CA");
    c->downstream_mtls.crl = mem_strdup("CRL");
    c->downstream_mtls.reject_connection = true;
    c->downstream_mtls.max_verify_depth = 2;
    worker_config_add_san_match(c, "email", ".*@example[.]test");
    worker_config_add_san_match(c, "dns", "laptop");
    return c;
}

static void test_config(void **state)
{
    (void)state;
    struct worker_config *a = full_config();
    struct worker_config *b;
    AUTO(buf_fini) struct buf out;
    AUTO(buf_fini) struct buf again;
    buf_init(&out, WORKER_FRAME_MAX);
    buf_init(&again, WORKER_FRAME_MAX);
    CHECK_OK(worker_config_write(a, &out));
    CHECK_OK(worker_config_parse(buf_view(&out), &b));
    CHECK_OK(worker_config_write(b, &again));
    CHECK_VIEW(buf_view(&again), buf_view(&out));
    assert_string_equal(b->config_hash, "abc");
    assert_string_equal(b->service_key, "KEY");
    assert_string_equal(b->authenticate_host, "auth.example.test");
    assert_string_equal(b->authenticate_target, "authenticate:8443");
    assert_int_equal(b->authorize_targets.count, 2);
    assert_string_equal(b->authorize_targets.items[1], "b:2");
    assert_true(b->https_listener && !b->ssh_listener);
    assert_int_equal(b->certificate_count, 2);
    assert_string_equal(b->certificates[1].chain_pem, "CHAIN 2");
    struct worker_key_id id = worker_key_id(VIEW("CHAIN 2"));
    assert_memory_equal(b->certificates[1].id.bytes, id.bytes, WORKER_KEY_ID);
    assert_int_equal(b->host_key_count, 1);
    CHECK_VIEW(view_of(b->host_keys[0].blob, b->host_keys[0].len), view_of("\x00\x01\x02", 3));
    assert_int_equal(b->ssh_max_startups_full, 500);
    assert_int_equal(b->access_log_interval, 300000);
    assert_true(b->use_proxy_protocol && !b->ssh_use_proxy_protocol);
    assert_int_equal(b->proxy_protocol_trusted.count, 1);
    assert_string_equal(b->proxy_protocol_trusted.items[0], "10.0.0.0/8");
    assert_string_equal(b->cookie_name, "_pomerium");
    assert_true(b->insecure_server && b->self_signed && b->redirect_listener);
    assert_int_equal(b->https_port, 8443);
    assert_int_equal(b->timeout_read, 30000);
    assert_int_equal(b->timeout_idle, 300000);
    const struct worker_mtls *mtls = &b->downstream_mtls;
    assert_string_equal(mtls->ca, "CLIENT CA");
    assert_string_equal(mtls->crl, "CRL");
    assert_true(mtls->reject_connection);
    assert_int_equal(mtls->max_verify_depth, 2);
    assert_int_equal(mtls->match_count, 2);
    assert_string_equal(mtls->matches[0].kind, "email");
    assert_string_equal(mtls->matches[0].pattern, ".*@example[.]test");
    assert_string_equal(mtls->matches[1].pattern, "laptop");
    /* A reference of its own keeps it. */
    const struct worker_config *held = worker_config_ref(b);
    worker_config_unref(b);
    assert_string_equal(held->config_hash, "abc");
    worker_config_unref(held);
    worker_config_unref(a);
    worker_config_unref(NULL);
    CHECK_ERR(worker_config_parse(VIEW("\xff\xff\xff"), &b), ERR_SYNTAX);
    /* An empty message is the empty configuration. */
    CHECK_OK(worker_config_parse(VIEW(""), &b));
    assert_string_equal(b->service_key, "");
    assert_null(b->downstream_mtls.ca);
    worker_config_unref(b);
}

static void test_sign(void **state)
{
    (void)state;
    static const uint8_t types[] = {WORKER_FRAME_SIGN_KEX, WORKER_FRAME_SIGN_HOSTKEYS_PROVE,
                                    WORKER_FRAME_SIGN_TLS};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct worker_sign_request r = {.key = worker_key_id(VIEW("key")),
                                        .algorithm = VIEW("rsa-sha2-512"),
                                        .tls_algorithm = 0x0403,
                                        .input = view_of("a\0b", 3)};
        struct worker_sign_message m;
        AUTO(buf_fini) struct buf out;
        buf_init(&out, 1000);
        CHECK_OK(worker_sign_write(types[i], &r, &out));
        CHECK_OK(worker_sign_parse(types[i], buf_view(&out), &m));
        assert_memory_equal(m.request.key.bytes, r.key.bytes, WORKER_KEY_ID);
        CHECK_VIEW(m.request.input, r.input);
        if (types[i] == WORKER_FRAME_SIGN_TLS)
            assert_int_equal(m.request.tls_algorithm, 0x0403);
        else
            CHECK_VIEW(m.request.algorithm, r.algorithm);
        worker_sign_fini(&m);
        /* Without a key id of 32 bytes it is nothing. */
        CHECK_ERR(worker_sign_parse(types[i], VIEW(""), &m), ERR_SYNTAX);
        CHECK_ERR(worker_sign_parse(types[i], VIEW("\x0a\x01x"), &m), ERR_SYNTAX);
        CHECK_ERR(worker_sign_parse(types[i], VIEW("\xff"), &m), ERR_SYNTAX);
    }
}

static void test_signed(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf out;
    AUTO(buf_fini) struct buf signature;
    buf_init(&out, 1000);
    buf_init(&signature, 1000);
    CHECK_OK(worker_signed_write(VIEW("sig"), NULL, &out));
    CHECK_OK(worker_signed_parse(buf_view(&out), &signature));
    CHECK_VIEW_STR(buf_view(&signature), "sig");
    buf_clear(&out);
    buf_clear(&signature);
    CHECK_OK(worker_signed_write(VIEW(""), "busy", &out));
    CHECK_ERR(worker_signed_parse(buf_view(&out), &signature), ERR_DENIED);
    CHECK_ERR(worker_signed_parse(VIEW(""), &signature), ERR_SYNTAX);
    assert_int_equal(signature.len, 0);
}

static void test_status(void **state)
{
    (void)state;
    struct worker_status a = {.ready = true,
                              .config_hash = mem_strdup("h"),
                              .error = mem_strdup(""),
                              .checks = {{mem_strdup("authorize.service"), 1, mem_strdup("no")}},
                              .check_count = 1};
    struct worker_status b;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 1000);
    CHECK_OK(worker_status_write(&a, &out));
    CHECK_OK(worker_status_parse(buf_view(&out), &b));
    assert_true(b.ready);
    assert_string_equal(b.config_hash, "h");
    assert_int_equal(b.check_count, 1);
    assert_string_equal(b.checks[0].name, "authorize.service");
    assert_string_equal(b.checks[0].error, "no");
    assert_int_equal(b.checks[0].state, 1);
    worker_status_fini(&a);
    worker_status_fini(&b);
    worker_status_fini(&b);
    /* 17 checks: field 4, empty messages. */
    buf_clear(&out);
    for (int i = 0; i < WORKER_CHECKS_MAX + 1; i++)
        CHECK_OK(buf_append(&out, VIEW("\x22\x00")));
    CHECK_ERR(worker_status_parse(buf_view(&out), &b), ERR_LIMIT);
    CHECK_ERR(worker_status_parse(VIEW("\xff"), &b), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_signed),
        cmocka_unit_test(test_status),
    };
    return RUN(tests);
}
