#include "tests/unit/common/config/world.h"

/* The quickstart's file of the design, with D for the data folder. */
static const char quickstart[] = "shared_secret_file: D/secrets/shared_secret\n"
                                 "cookie_secret_file: D/secrets/cookie_secret\n"
                                 "service_certificate_authority_file: D/service/ca.crt\n"
                                 "service_certificate_file: D/service/{service}.crt\n"
                                 "service_certificate_key_file: D/service/{service}.key\n"
                                 "address: 127.0.0.1:8443\n"
                                 "certificate_file: D/tls/localhost.crt\n"
                                 "certificate_key_file: D/tls/localhost.key\n"
                                 "authenticate_service_url: https://localhost:8443\n"
                                 "idp_provider: local\n"
                                 "idp_local_users_file: D/secrets/users.yaml\n"
                                 "ssh_address: 127.0.0.1:2222\n"
                                 "ssh_host_key_files: [D/keys/host_ed25519, D/keys/host_rsa]\n"
                                 "ssh_user_ca_key_file: D/keys/user_ca\n"
                                 "databroker_storage_type: file\n"
                                 "databroker_storage_connection_string: file:///D/databroker\n"
                                 "routes:\n"
                                 "  - from: ssh://demo\n"
                                 "    to: ssh://127.0.0.1:2022\n"
                                 "    policy:\n"
                                 "      - allow: {and: [{email: {is: demo@localhost}}]}\n";

static const struct pairs quickstart_files[] = {
    {"D/secrets/shared_secret", KEY_A "\n"},
    {"D/secrets/cookie_secret", KEY_B "\n"},
    {"D/service/ca.crt", "CA"},
    {"D/service/proxy.crt", "PC"},
    {"D/service/proxy.key", "PK"},
    {"D/service/authorize.crt", "ZC"},
    {"D/service/authorize.key", "ZK"},
    {"D/service/authenticate.crt", "NC"},
    {"D/service/authenticate.key", "NK"},
    {"D/service/databroker.crt", "DC"},
    {"D/service/databroker.key", "DK"},
    {"D/tls/localhost.crt", "TC"},
    {"D/tls/localhost.key", "TK"},
    {"D/keys/host_ed25519", "H1"},
    {"D/keys/host_rsa", "H2"},
    {"D/keys/user_ca", "UC"},
    {"D/secrets/users.yaml",
     "- email: Demo@localhost\n  groups: [ops]\n  password_hash: $scrypt$x\n"},
    {0},
};

static void test_quickstart_proxy(void **state)
{
    (void)state;
    struct world w = {.files = quickstart_files};
    must_load(&w, CONFIG_PROXY, quickstart);
    assert_int_equal(w.d.count, 0);
    CHECK_VIEW_STR(buf_view(&w.opened), "D/service/ca.crt\nD/service/proxy.crt\n"
                                        "D/service/proxy.key\nD/tls/localhost.crt\n"
                                        "D/tls/localhost.key\nD/keys/host_ed25519 tight\n"
                                        "D/keys/host_rsa tight\n");
    assert_int_equal(w.c->files.count, 7);
    assert_string_equal(w.c->address, "127.0.0.1:8443");
    assert_string_equal(w.c->ssh_address, "127.0.0.1:2222");
    assert_int_equal(w.c->ssh_host_keys.count, 2);
    CHECK_VIEW_STR(secret_view(&w.c->ssh_host_keys.items[1].text), "H2");
    assert_string_equal(w.c->ssh_host_keys.items[1].file, "D/keys/host_rsa");
    assert_int_equal(w.c->ssh_host_keys.items[1].at.line, 13);
    assert_string_equal(w.c->ssh_host_keys.items[1].at.file, "p.yaml");
    assert_string_equal(w.c->ssh_host_keys.items[1].key, "ssh_host_key_files");
    assert_int_equal(w.c->certificate_count, 1);
    CHECK_VIEW_STR(secret_view(&w.c->certificates[0].key.text), "TK");
    CHECK_VIEW_STR(secret_view(&w.c->service_certificate.text), "PC");
    assert_string_equal(w.c->authorize_service_urls.items[0].target, "127.0.0.1:5443");
    assert_string_equal(w.c->authenticate_internal_service_url.target, "127.0.0.1:8444");
    assert_string_equal(w.c->health_check_addr, "127.0.0.1:28080");
    assert_null(w.c->internal_listen);
    assert_int_equal(w.c->shutdown_grace, 10000);
    assert_int_equal(w.c->ssh_max_startups.start, 100);
    assert_int_equal(w.c->ssh_max_startups.rate, 30);
    assert_int_equal(w.c->ssh_max_startups.full, 500);
    assert_int_equal(w.c->log_level, CONFIG_LOG_INFO);
    /* What the proxy does not read it does not hold. */
    assert_int_equal(w.c->shared_secret.len, 0);
    assert_int_equal(w.c->ssh_user_ca_key.text.len, 0);
    assert_int_equal(w.c->routes.count, 0);
    world_fini(&w);
}

static void test_quickstart_others(void **state)
{
    (void)state;
    struct world w = {.files = quickstart_files};
    must_load(&w, CONFIG_AUTHORIZE, quickstart);
    assert_int_equal(w.c->shared_secret.len, 32);
    assert_int_equal(w.c->cookie_secret.len, 0);
    CHECK_VIEW_STR(secret_view(&w.c->ssh_user_ca_key.text), "UC");
    assert_string_equal(w.c->internal_listen, "127.0.0.1:5443");
    assert_int_equal(w.c->routes.count, 1);
    assert_int_equal(w.c->routes.items[0].policy->at.line, 21);
    AUTO(buf_fini) struct buf url;
    buf_init(&url, 200);
    CHECK_OK(config_callback_url(w.c, &url));
    CHECK_VIEW_STR(buf_view(&url), "https://localhost:8443/oauth2/callback");
    world_fini(&w);

    must_load(&w, CONFIG_AUTHENTICATE, quickstart);
    CHECK_VIEW_STR(secret_view(&w.c->cookie_secret), "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    assert_string_equal(w.c->internal_listen, "127.0.0.1:8444");
    assert_int_equal(w.c->idp_local_user_count, 1);
    assert_string_equal(w.c->idp_local_users[0].email, "demo@localhost");
    assert_string_equal(w.c->idp_local_users[0].password_hash, "$scrypt$x");
    assert_string_equal(w.c->idp_local_users[0].groups.items[0].text, "ops");
    assert_int_equal(w.c->cookie_expire, 14 * 3600 * 1000);
    assert_string_equal(w.c->cookie_name, "_pomerium");
    world_fini(&w);

    must_load(&w, CONFIG_DATABROKER, quickstart);
    CHECK_VIEW_STR(buf_view(&w.opened),
                   "D/service/ca.crt\nD/service/databroker.crt\nD/service/databroker.key\n");
    assert_int_equal(w.c->databroker_storage_type, STORAGE_FILE);
    assert_string_equal(w.c->databroker_storage_dir, "/D/databroker");
    assert_string_equal(w.c->internal_listen, "127.0.0.1:5444");
    assert_string_equal(w.c->health_check_addr, "127.0.0.1:28083");
    world_fini(&w);

    must_load(&w, CONFIG_CLI, quickstart);
    /* The secret is for `service-account create`; other commands open no file. */
    CHECK_VIEW_STR(buf_view(&w.opened), "D/secrets/shared_secret\nD/service/ca.crt\n");
    assert_string_equal(w.c->databroker_service_urls.items[0].target, "127.0.0.1:5444");
    world_fini(&w);
}

/* Two daemons with the same file report the same configuration, wherever each of them listens; a
 * secret's change does not show. */
static void test_canonical_form(void **state)
{
    (void)state;
    static const struct pairs env[] = {{"ADDRESS", "127.0.0.2:9443"},
                                       {"SSH_ADDRESS", "127.0.0.2:9022"},
                                       {"METRICS_ADDRESS", "127.0.0.2:9090"},
                                       {"SERVICES", "proxy"},
                                       {0}};
    static const struct pairs other_env[] = {{"SSH_SIGN_IN_TIMEOUT", "7m"}, {0}};
    struct world a = {.files = quickstart_files};
    struct world b = {.files = quickstart_files};
    struct world c = {.files = quickstart_files, .env = env};
    must_load(&a, CONFIG_PROXY, quickstart);
    must_load(&b, CONFIG_AUTHORIZE, quickstart);
    must_load(&c, CONFIG_PROXY, quickstart);
    CHECK_VIEW(config_canonical(a.c), config_canonical(b.c));
    CHECK_VIEW(config_canonical(a.c), config_canonical(c.c));
    assert_int_equal(view_search(config_canonical(a.c), VIEW("shared_secret")), -1);
    struct world d = {.files = quickstart_files, .env = other_env};
    must_load(&d, CONFIG_PROXY, quickstart);
    assert_false(view_eq(config_canonical(a.c), config_canonical(d.c)));
    world_fini(&d);
    world_fini(&a);
    world_fini(&b);
    world_fini(&c);
}

/* A key that a route has inline is in no hash that others see. */
static void test_canonical_form_of_routes(void **state)
{
    (void)state;
    struct world w = {0};
    must_load(&w, CONFIG_AUTHORIZE,
              "shared_secret: " KEY_A "\nauthenticate_service_url: https://a.test\n"
              "routes: [{from: 'tcp+https://h:1', to: 'tls://t:1', tls_client_cert: '-----BEGIN C',"
              " tls_client_key: '-----BEGIN K'}]\n");
    assert_true(view_search(config_canonical(w.c), VIEW("-----BEGIN C")) > 0);
    assert_int_equal(view_search(config_canonical(w.c), VIEW("-----BEGIN K")), -1);
    world_fini(&w);
}

static void test_all_errors_in_one_run(void **state)
{
    (void)state;
    struct world w = {0};
    CHECK_ERR(load(&w, CONFIG_PROXY,
                   MINIMAL "address: nonsense\nssh_profile: loose\nssh_login_grace_time: 1y\n"
                           "authorize_service_url: web\nlog_level: [a]\n"),
              ERR_CONFIG);
    assert_int_equal(w.d.errors, 5);
    assert_string_equal(w.d.items[0].text,
                        "p.yaml:8:10: address: expected an address such as :443, 127.0.0.1:443 or "
                        "[::1]:443, got \"nonsense\"");
    assert_string_equal(w.d.items[1].text, "p.yaml:9:14: ssh_profile: expected one of compat, "
                                           "strict, got \"loose\"");
    assert_string_equal(w.d.items[2].text,
                        "p.yaml:10:23: ssh_login_grace_time: expected a duration such as 30s, 15m "
                        "or 1h30m, got \"1y\"");
    assert_string_equal(w.d.items[3].text,
                        "p.yaml:11:24: authorize_service_url: \"web\" is not an absolute URL like "
                        "https://host or https://host:port");
    assert_string_equal(w.d.items[4].text,
                        "p.yaml:12:12: log_level: expected one of trace, debug, info, warn, "
                        "error, none, got a list");
    world_fini(&w);
}

static void test_secrets_are_32_bytes_of_base64(void **state)
{
    (void)state;
    static const struct pairs files[] = {{"two", "YWFh\nYWFh"}, {"empty", " \n"}, {0}};
    struct world w = {.files = files};
    refused(&w, CONFIG_AUTHORIZE, "shared_secret: ' " KEY_A "'\n",
            "p.yaml:1:16: shared_secret: expected base64 of 32 random bytes (there is white space "
            "in it); 'postern keygen secrets' makes one");
    refused(&w, CONFIG_AUTHORIZE, "shared_secret: YWFh\n",
            "p.yaml:1:16: shared_secret: expected base64 of 32 random bytes, got 3 bytes; "
            "'postern keygen secrets' makes one");
    refused(&w, CONFIG_AUTHORIZE, "shared_secret_file: two\n",
            "p.yaml:1:21: shared_secret_file: expected base64 of 32 random bytes (there is white "
            "space in it); 'postern keygen secrets' makes one");
    refused(&w, CONFIG_AUTHORIZE, "shared_secret_file: empty\n",
            "p.yaml:1:21: shared_secret_file: config: invalid shared_secret file empty: the file "
            "is empty");
    refused(&w, CONFIG_AUTHORIZE, "shared_secret_file: gone\n",
            "p.yaml:1:21: shared_secret_file: config: invalid shared_secret file gone: No such "
            "file or directory");
    /* The value of a secret is in no message. */
    CHECK_ERR(load(&w, CONFIG_AUTHORIZE, "shared_secret: hunter2\ncookie_secret: [hunter2]\n"),
              ERR_CONFIG);
    for (size_t i = 0; i < w.d.count; i++)
        assert_null(strstr(w.d.items[i].text, "hunter2"));
    world_fini(&w);
}

static void test_key_files_must_be_tight(void **state)
{
    (void)state;
    static const struct pairs files[] = {{"open", "K"}, {0}};
    struct world w = {.files = files};
    refused(&w, CONFIG_PROXY, MINIMAL "ssh_host_key_files: [open]\n",
            "p.yaml:8:22: ssh_host_key_files: config: invalid ssh host key file open: permissions "
            "are too open");
    refused(&w, CONFIG_AUTHORIZE, MINIMAL "ssh_user_ca_key_file: open\n",
            "p.yaml:8:23: ssh_user_ca_key_file: config: invalid ssh user ca key file open: "
            "permissions are too open");
}

static void test_inline_keys(void **state)
{
    (void)state;
    struct world w = {0};
    must_load(&w, CONFIG_PROXY,
              MINIMAL "ssh_address: 0.0.0.0\nssh_host_keys: ['LS0tLS1CRUdJTiBYLS0tLS0=', "
                      "\"-----BEGIN Y-----\"]\n");
    assert_string_equal(w.c->ssh_address, "0.0.0.0:22");
    CHECK_VIEW_STR(secret_view(&w.c->ssh_host_keys.items[0].text), "-----BEGIN X-----\n");
    CHECK_VIEW_STR(secret_view(&w.c->ssh_host_keys.items[1].text), "-----BEGIN Y-----\n");
    assert_null(w.c->ssh_host_keys.items[0].file);
    world_fini(&w);
}

static void test_environment_wins(void **state)
{
    (void)state;
    static const struct pairs files[] = {{"s", KEY_B}, {0}};
    static const struct pairs env[] = {{"ADDRESS", ":9443"},
                                       {"SHARED_SECRET_FILE", "s"},
                                       {"COOKIE_EXPIRE", "1h"},
                                       {"IDP_SCOPES", "openid, email"},
                                       {"IDP_REQUEST_PARAMS", "{prompt: login}"},
                                       {"LOG_LEVEL", ""},
                                       {0}};
    struct world w = {.files = files, .env = env};
    must_load(&w, CONFIG_AUTHENTICATE, MINIMAL "cookie_expire: 2h\nlog_level: warning\n");
    assert_int_equal(w.d.count, 0);
    CHECK_VIEW_STR(secret_view(&w.c->shared_secret), "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    assert_int_equal(w.c->cookie_expire, 3600000);
    assert_int_equal(w.c->idp_scopes.count, 2);
    assert_string_equal(w.c->idp_scopes.items[1].text, "email");
    assert_string_equal(w.c->idp_request_params.items[0].value, "login");
    assert_int_equal(w.c->log_level, CONFIG_LOG_WARN);
    world_fini(&w);

    static const struct pairs bad[] = {{"ADDRESS", "x"}, {0}};
    w.env = bad;
    refused(&w, CONFIG_PROXY, MINIMAL,
            "environment variable ADDRESS: address: expected an address such as :443, "
            "127.0.0.1:443 or [::1]:443, got \"x\"");
}

static void test_routes_from_the_environment(void **state)
{
    (void)state;
    /* - {from: "ssh://web", to: "ssh://h"} */
    static const struct pairs env[] = {
        {"ROUTES", "LSB7ZnJvbTogInNzaDovL3dlYiIsIHRvOiAic3NoOi8vaCJ9"},
        {"SSH_USER_CA_KEY", "k"},
        {0}};
    struct world w = {.env = env};
    must_load(&w, CONFIG_AUTHORIZE, MINIMAL "policy: [{from: 'ssh://b', to: 'ssh://h'}]\n");
    assert_int_equal(w.c->routes.count, 2);
    assert_non_null(routes_find(&w.c->routes, VIEW("web")));
    assert_non_null(routes_find(&w.c->routes, VIEW("b")));
    world_fini(&w);
    static const struct pairs bad[] = {{"ROUTES", "%%%"}, {0}};
    w.env = bad;
    refused(&w, CONFIG_AUTHORIZE, MINIMAL,
            "environment variable ROUTES: routes: expected base64 of a YAML or JSON list");
}

static void test_both_forms(void **state)
{
    (void)state;
    static const struct pairs files[] = {{"s", KEY_B}, {0}};
    struct world w = {.files = files};
    warned(&w, CONFIG_AUTHORIZE, MINIMAL "shared_secret_file: s\n",
           "p.yaml:1:16: shared_secret: ignored: shared_secret_file is given too");
    must_load(&w, CONFIG_AUTHORIZE, MINIMAL "shared_secret_file: s\n");
    CHECK_VIEW_STR(secret_view(&w.c->shared_secret), "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    world_fini(&w);
}

static void test_unknown_and_unsupported_keys(void **state)
{
    (void)state;
    struct world w = {0};
    warned(&w, CONFIG_PROXY, MINIMAL "adress: :1\n",
           "p.yaml:8:1: adress: unknown key, ignored: did you mean address?");
    warned(&w, CONFIG_PROXY, MINIMAL "shared_secrte_file: x\n",
           "p.yaml:8:1: shared_secrte_file: unknown key, ignored: did you mean shared_secret?");
    warned(&w, CONFIG_PROXY, MINIMAL "zebra: 1\n", "p.yaml:8:1: zebra: unknown key, ignored");
    warned(&w, CONFIG_PROXY, MINIMAL "autocert: true\n",
           "p.yaml:8:1: autocert: not supported, ignored: certificates come from "
           "certificate_file");
    refused(&w, CONFIG_PROXY, MINIMAL "client_ca_file: x\n",
            "p.yaml:8:1: client_ca_file: not supported: it is older than downstream_mtls: write "
            "that");
    refused(&w, CONFIG_PROXY, MINIMAL "policy_file: x\n",
            "p.yaml:8:1: policy_file: not supported: put the routes under routes:");
}

static void expect_metrics(enum config_service service, const char *more, const char *address)
{
    struct world w = {0};
    AUTO_FREE char *yaml = mem_printf(MINIMAL "%s", more);
    must_load(&w, service, yaml);
    assert_string_equal(w.c->metrics_address, address);
    world_fini(&w);
}

static void test_metrics_address(void **state)
{
    (void)state;
    static const char map[] = "metrics_address: {proxy: 127.0.0.1:9902, databroker: '[::1]:9903',\n"
                              "  authorize: null}\n";
    expect_metrics(CONFIG_PROXY, "", "");
    expect_metrics(CONFIG_PROXY, "metrics_address: ''\n", "");
    expect_metrics(CONFIG_PROXY, "metrics_address: :9902\n", ":9902");
    expect_metrics(CONFIG_DATABROKER, "metrics_address: 10.0.0.1:9902\n", "10.0.0.1:9902");
    expect_metrics(CONFIG_PROXY, map, "127.0.0.1:9902");
    expect_metrics(CONFIG_DATABROKER, map, "[::1]:9903");
    expect_metrics(CONFIG_AUTHENTICATE, map, "");
    expect_metrics(CONFIG_AUTHORIZE, map, "");
    struct world w = {0};
    refused(&w, CONFIG_PROXY, MINIMAL "metrics_address: nowhere\n",
            "p.yaml:8:18: metrics_address: expected an address such as :443, 127.0.0.1:443 or "
            "[::1]:443, got \"nowhere\"");
    /* The others' addresses are looked at too. */
    refused(&w, CONFIG_DATABROKER, MINIMAL "metrics_address:\n  proxy: 1\n",
            "p.yaml:9:10: metrics_address: expected an address such as :443, 127.0.0.1:443 or "
            "[::1]:443, got \"1\"");
    refused(&w, CONFIG_PROXY, MINIMAL "metrics_address:\n  proxi: 127.0.0.1:9902\n",
            "p.yaml:9:3: metrics_address: proxi is no service: authenticate, authorize, proxy and "
            "databroker are");
    refused(&w, CONFIG_PROXY, MINIMAL "metrics_address: [':9902']\n",
            "p.yaml:8:18: metrics_address: expected an address such as 127.0.0.1:9902, or a map of "
            "them by service, got a list");
    refused(&w, CONFIG_PROXY, MINIMAL "metrics_address: 127.0.0.1:28080\n",
            "p.yaml:8:18: metrics_address: is the address of health_check_addr; it needs a port of "
            "its own");
    refused(&w, CONFIG_PROXY, MINIMAL "metrics_basic_auth: dTpw\n",
            "p.yaml:8:1: metrics_basic_auth: not supported: /metrics has no login and no TLS: bind "
            "metrics_address to loopback or a private network");
    static const struct pairs env[] = {{"METRICS_ADDRESS", "127.0.0.1:9"}, {0}};
    w.env = env;
    must_load(&w, CONFIG_PROXY, MINIMAL);
    assert_string_equal(w.c->metrics_address, "127.0.0.1:9");
    world_fini(&w);
}

static void test_tracing_is_not_there(void **state)
{
    (void)state;
    struct world w = {0};
    refused(&w, CONFIG_DATABROKER, MINIMAL "otel_traces_exporter: x\n",
            "p.yaml:8:1: otel_traces_exporter: not in this release: there is no tracing yet");
}

static void test_front(void **state)
{
    (void)state;
    struct world w = {0};
    must_load(&w, CONFIG_PROXY, MINIMAL);
    assert_false(w.c->insecure_server);
    assert_string_equal(w.c->http_redirect_addr, "");
    assert_int_equal(w.c->timeout_read, 30000);
    assert_int_equal(w.c->timeout_idle, 300000);
    assert_string_equal(w.c->cookie_name, "_pomerium");
    world_fini(&w);
    must_load(&w, CONFIG_PROXY,
              MINIMAL "http_redirect_addr: :80\ntimeout_read: 5s\ntimeout_idle: 1m\n"
                      "cookie_name: mine\n");
    assert_string_equal(w.c->http_redirect_addr, ":80");
    assert_int_equal(w.c->timeout_read, 5000);
    assert_int_equal(w.c->timeout_idle, 60000);
    assert_string_equal(w.c->cookie_name, "mine");
    world_fini(&w);
    warned(&w, CONFIG_PROXY, MINIMAL "insecure_server: true\n",
           "p.yaml:8:18: insecure_server: the HTTPS listener speaks plain HTTP: who is on the way "
           "reads tokens and cookies, unless something in front of it does TLS");
    /* A connection that says nothing has to end. */
    refused(&w, CONFIG_PROXY, MINIMAL "timeout_read: 0s\n",
            "p.yaml:8:15: timeout_read: expected a duration above 0, got \"0s\"");
}

static void test_programmatic_redirects(void **state)
{
    (void)state;
    struct world w = {0};
    must_load(&w, CONFIG_AUTHENTICATE, MINIMAL);
    assert_int_equal(w.c->programmatic_redirect_domain_whitelist.count, 1);
    assert_string_equal(w.c->programmatic_redirect_domain_whitelist.items[0].text, "localhost");
    world_fini(&w);
    must_load(&w, CONFIG_AUTHENTICATE,
              MINIMAL "programmatic_redirect_domain_whitelist: [a.test, b.test]\n");
    assert_int_equal(w.c->programmatic_redirect_domain_whitelist.count, 2);
    world_fini(&w);
}

static void test_proxy_protocol(void **state)
{
    (void)state;
    struct world w = {0};
    must_load(&w, CONFIG_PROXY, MINIMAL);
    assert_false(w.c->use_proxy_protocol || w.c->ssh_use_proxy_protocol);
    assert_int_equal(w.c->proxy_protocol_trusted.count, 0);
    world_fini(&w);
    must_load(&w, CONFIG_PROXY,
              MINIMAL "use_proxy_protocol: true\nssh_use_proxy_protocol: false\n"
                      "proxy_protocol_trusted: [172.30.0.0/24, '2001:db8::1']\n");
    assert_true(w.c->use_proxy_protocol && !w.c->ssh_use_proxy_protocol);
    assert_int_equal(w.c->proxy_protocol_trusted.count, 2);
    assert_string_equal(w.c->proxy_protocol_trusted.items[1].text, "2001:db8::1");
    world_fini(&w);
    must_load(&w, CONFIG_PROXY, MINIMAL "use_proxy_protocol: false\nproxy_protocol_trusted: []\n");
    world_fini(&w);
    warned(&w, CONFIG_PROXY, MINIMAL "use_proxy_protocol: true\nproxy_protocol_trusted: ['::/0']\n",
           "p.yaml:9:26: proxy_protocol_trusted: ::/0 is everybody: whoever reaches the listener "
           "may claim any address");
    /* The others look at the form alone. */
    must_load(&w, CONFIG_AUTHORIZE, MINIMAL "ssh_use_proxy_protocol: true\n");
    assert_false(w.c->ssh_use_proxy_protocol);
    world_fini(&w);
    refused(
        &w, CONFIG_PROXY, MINIMAL "ssh_use_proxy_protocol: true\n",
        "p.yaml:8:25: proxy_protocol_trusted: missing: ssh_use_proxy_protocol is on, so add the "
        "addresses or networks of the load balancers");
    refused(&w, CONFIG_PROXY, MINIMAL "use_proxy_protocol: on\n",
            "p.yaml:8:21: use_proxy_protocol: expected true or false, got \"on\"");
    refused(&w, CONFIG_DATABROKER, MINIMAL "proxy_protocol_trusted:\n - 10.0.0.0/8\n - lb\n",
            "p.yaml:10:4: proxy_protocol_trusted: expected an IP address or a network such as "
            "10.0.0.0/8 or fd00::/8, got \"lb\"");
    static const struct pairs env[] = {
        {"SSH_USE_PROXY_PROTOCOL", "true"}, {"PROXY_PROTOCOL_TRUSTED", "10.0.0.1, fd00::/8"}, {0}};
    w.env = env;
    must_load(&w, CONFIG_PROXY, MINIMAL);
    assert_true(w.c->ssh_use_proxy_protocol);
    assert_int_equal(w.c->proxy_protocol_trusted.count, 2);
    world_fini(&w);
}

static void test_max_startups(void **state)
{
    (void)state;
    static const char *const bad[] = {"10",    "10:30",   "10:101:20", "30:30:20",
                                      "0:1:1", "1:2:3:4", "a:b:c",     "10:0:20"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct world w = {0};
        char *yaml = mem_printf(MINIMAL "ssh_max_startups: '%s'\n", bad[i]);
        CHECK_ERR(load(&w, CONFIG_PROXY, yaml), ERR_CONFIG);
        world_fini(&w);
        mem_free(yaml);
    }
    struct world w = {0};
    must_load(&w, CONFIG_PROXY, MINIMAL "ssh_max_startups: 5:50:6\n");
    assert_int_equal(w.c->ssh_max_startups.full, 6);
    world_fini(&w);
}

/* Without a reader nothing is opened, and what files would hold is not missed. */
static void test_shallow(void **state)
{
    (void)state;
    struct diag d = {0};
    struct config *c;
    const struct config_source source = {
        .file = "p.yaml", .yaml = VIEW(quickstart), .service = CONFIG_AUTHENTICATE};
    CHECK_OK(config_parse(&source, &d, &c));
    assert_int_equal(c->files.count, 0);
    config_unref(c);
    diag_fini(&d);
}

static void test_references(void **state)
{
    (void)state;
    struct world w = {0};
    must_load(&w, CONFIG_PROXY, MINIMAL);
    struct config *again = config_ref(w.c);
    config_unref(w.c);
    assert_string_equal(again->address, ":443");
    w.c = again;
    world_fini(&w);
    config_unref(NULL);
}

static void test_table_is_sane(void **state)
{
    (void)state;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    assert_true(count > 50);
    for (size_t i = 0; i < count; i++) {
        bool file, refuse;
        assert_ptr_equal(config_key_find(keys[i].name, &file), &keys[i]);
        assert_null(config_unsupported(keys[i].name, &refuse));
        assert_true(keys[i].services != 0);
        assert_true(*keys[i].note != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quickstart_proxy),
        cmocka_unit_test(test_quickstart_others),
        cmocka_unit_test(test_canonical_form),
        cmocka_unit_test(test_canonical_form_of_routes),
        cmocka_unit_test(test_all_errors_in_one_run),
        cmocka_unit_test(test_secrets_are_32_bytes_of_base64),
        cmocka_unit_test(test_key_files_must_be_tight),
        cmocka_unit_test(test_inline_keys),
        cmocka_unit_test(test_environment_wins),
        cmocka_unit_test(test_routes_from_the_environment),
        cmocka_unit_test(test_both_forms),
        cmocka_unit_test(test_unknown_and_unsupported_keys),
        cmocka_unit_test(test_metrics_address),
        cmocka_unit_test(test_tracing_is_not_there),
        cmocka_unit_test(test_front),
        cmocka_unit_test(test_programmatic_redirects),
        cmocka_unit_test(test_proxy_protocol),
        cmocka_unit_test(test_max_startups),
        cmocka_unit_test(test_shallow),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_table_is_sane),
    };
    return RUN(tests);
}
