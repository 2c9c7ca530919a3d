#include "tests/unit/proxy/fixture.h"

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int setup_open(void **state)
{
    (void)setup(state);
    fixture_open(*state);
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    mem_free(*state);
    return 0;
}

static void expect_refused(struct fixture *f, struct process *p, const char *text)
{
    process_wait(f, p);
    assert_int_equal(p->status, 255);
    process_expect(p, text);
    process_fini(p);
}

/* --- logins --- */

static void test_allowed(void **state)
{
    struct fixture *f = *state;
    struct process p;
    fixture_run(f, &p, "echo out; echo err >&2; exit 7");
    process_wait(f, &p);
    assert_int_equal(p.status, 7);
    CHECK_VIEW_STR(buf_view(&p.out_text), "out\n");
    process_expect(&p, "err\n");
    process_expect(&p, "Authorised use only.");
    process_fini(&p);
    UNTIL(f, f->closeds == 1);
    assert_int_equal(f->checks, 1);
    assert_int_equal(f->certifies, 1);
    assert_string_equal(f->last_route, "demo");
    assert_int_equal(strncmp(f->last_version, "SSH-2.0-OpenSSH", 15), 0);
    assert_int_equal(f->bytes_out, strlen("out\nerr\n"));
    assert_string_equal(f->reason, "client disconnected");
    assert_int_equal(ssh_service_live(f->service), 0);
}

static void test_login(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->wants_login = true;
    fixture_run(f, &p, "echo ok");
    UNTIL(f, process_said(&p, "F3K7"));
    process_expect(&p, "Please sign in to continue\r\n" FIXTURE_URL "\nMatch code: F3K7-QQ2M");
    assert_int_equal(ssh_service_live(f->service), 0);
    fixture_login_result(f, POSTERN__LOGIN_RESULT__OUTCOME__ACCEPTED, "");
    fixture_decide(f, POSTERN__DECISION__VERDICT__ALLOW, "");
    process_wait(f, &p);
    assert_int_equal(p.status, 0);
    CHECK_VIEW_STR(buf_view(&p.out_text), "ok\n");
    process_fini(&p);
}

static void test_login_denied(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->wants_login = true;
    fixture_run(f, &p, "echo ok");
    UNTIL(f, process_said(&p, "F3K7"));
    fixture_login_result(f, POSTERN__LOGIN_RESULT__OUTCOME__DENIED, "The sign-in was denied.");
    expect_refused(f, &p, "The sign-in was denied.");
}

static void test_client_leaves_while_waiting(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->wants_login = true;
    fixture_run(f, &p, "echo ok");
    UNTIL(f, process_said(&p, "F3K7"));
    assert_int_equal(uv_process_kill(&p.uv, SIGTERM), 0);
    process_wait(f, &p);
    process_fini(&p);
    UNTIL(f, f->cancels == 1);
    UNTIL(f, ssh_service_count(f->service) == 0);
}

static void test_sign_in_takes_too_long(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->config->ssh_sign_in_timeout = 0;     /* and SSH_SESSION_LATE_MS for authorize to say so */
    f->config->ssh_login_grace_time = 2000; /* pauses */
    fixture_open(f);
    f->wants_login = true;
    fixture_run(f, &p, "echo ok");
    expect_refused(f, &p, "expired");
    UNTIL(f, f->cancels == 1);
}

static void test_denied(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->denies = "The policy of route \"demo\" does not let you in.";
    fixture_run(f, &p, "echo ok");
    expect_refused(f, &p, f->denies);
}

static void test_next_key(void **state)
{
    struct fixture *f = *state;
    struct process p;
    struct private_key other = {0};
    CHECK_OK(private_key_generate(&other, KEY_ECDSA_P256, &f->rng));
    fixture_write_key(f, "other", &other);
    private_key_fini(&other);
    f->next_keys = 1;
    const char *two[] = {"-i", fixture_path(f, "other"), "-i", fixture_path(f, "user_key"), NULL};
    fixture_ssh(f, &p, two, "echo ok");
    process_wait(f, &p);
    assert_int_equal(p.status, 0);
    process_fini(&p);
    assert_int_equal(f->checks, 2);
    f->next_keys = 1;
    fixture_run(f, &p, "echo ok");
    expect_refused(f, &p, "This key will not do.");
}

static void test_no_key(void **state)
{
    struct fixture *f = *state;
    struct process p;
    const char *none[] = {"-o", "PubkeyAuthentication=no", NULL};
    fixture_ssh(f, &p, none, "echo ok");
    expect_refused(f, &p, "ssh-keygen -t ed25519");
    assert_int_equal(f->checks, 0);
}

/* --- the target --- */

static void test_target_refuses_the_certificate(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->wrong_ca = true;
    fixture_run(f, &p, "echo ok");
    expect_refused(f, &p, "does it trust the user CA");
}

static void test_host_key_is_refused(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->refuses = true;
    fixture_run(f, &p, "echo ok");
    expect_refused(f, &p, "The host key has changed.");
}

static void test_target_is_down(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->target_port = fixture_free_port();
    fixture_run(f, &p, "echo ok");
    expect_refused(f, &p, "Route \"demo\": Postern cannot connect to the target");
}

static void test_transfer_with_rekeys(void **state)
{
    struct fixture *f = *state;
    struct process p;
    const char *ciphers[] = {"chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com",
                             "aes256-ctr"};
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
        const char *options[] = {
            "-c", ciphers[i], "-o", "RekeyLimit=1M", "-i", fixture_path(f, "user_key"), NULL};
        fixture_ssh(f, &p, options, "head -c 20000000 /dev/zero | tr '\\0' x");
        process_wait(f, &p);
        assert_int_equal(p.status, 0);
        assert_int_equal(p.out_text.len, 20000000);
        assert_int_equal(view_find(buf_view(&p.out_text), 'y'), -1);
        process_fini(&p);
    }
}

/* UpdateHostKeys asks for a proof of each key that was advertised. */
static void test_host_keys_are_proved(void **state)
{
    struct fixture *f = *state;
    struct process p;
    const char *options[] = {"-v", "-o", "UpdateHostKeys=yes", "-i", fixture_path(f, "user_key"),
                             NULL};
    fixture_ssh(f, &p, options, "sleep 1");
    process_wait(f, &p);
    assert_int_equal(p.status, 0);
    process_expect(&p, "hostkeys-00@openssh.com");
    assert_false(process_said(&p, "hostkeys_prove"));
    process_fini(&p);
}

/* --- live connections --- */

static void start_live(struct fixture *f, struct process *p)
{
    fixture_run(f, p, "echo up; sleep 600");
    UNTIL(f, p->out_text.len == 3);
}

static void test_cut(void **state)
{
    struct fixture *f = *state;
    struct process p;
    start_live(f, &p);
    fixture_cut(f, "Your session was revoked.");
    expect_refused(f, &p, "Your session was revoked.");
    UNTIL(f, f->cut_dones == 1 && f->closeds == 1);
    assert_string_equal(f->reason, "Your session was revoked.");
    fixture_cut(f, "again"); /* not known any more: confirmed all the same */
    UNTIL(f, f->cut_dones == 2);
}

static void test_cut_without_channels(void **state)
{
    struct fixture *f = *state;
    struct process p;
    const char *options[] = {"-N", "-i", fixture_path(f, "user_key"), NULL};
    fixture_ssh(f, &p, options, NULL);
    UNTIL(f, ssh_service_live(f->service) == 1);
    fixture_cut(f, "Your session was revoked.");
    expect_refused(f, &p, "Your session was revoked.");
}

static void test_target_goes_away(void **state)
{
    struct fixture *f = *state;
    struct process p;
    fixture_run(f, &p, "echo up; sleep 1; kill -9 $PPID");
    process_wait(f, &p);
    assert_int_equal(p.status, 255);
    CHECK_VIEW_STR(buf_view(&p.out_text), "up\n");
    process_fini(&p);
    UNTIL(f, f->closeds == 1);
}

/* --- authorize --- */

static void test_authorize_is_down(void **state)
{
    struct fixture *f = *state;
    struct process p;
    fixture_start_service(f);
    fixture_run(f, &p, "echo ok");
    expect_refused(f, &p, "try again");
}

static void test_authorize_is_mute(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->is_mute = true;
    fixture_run(f, &p, "echo ok");
    expect_refused(f, &p, "try again");
    UNTIL(f, !f->connected); /* silent for 3 s */
    f->is_mute = false;
    UNTIL(f, f->connected && f->streams > 1);
    fixture_run(f, &p, "echo ok");
    process_wait(f, &p);
    assert_int_equal(p.status, 0);
    process_fini(&p);
}

static void test_authorize_is_restarted(void **state)
{
    struct fixture *f = *state;
    struct process live;
    struct process waiting;
    start_live(f, &live);
    f->wants_login = true;
    fixture_run(f, &waiting, "echo ok");
    UNTIL(f, process_said(&waiting, "F3K7"));
    fixture_stop_authorize(f);
    UNTIL(f, !f->connected);
    assert_int_equal(ssh_service_live(f->service), 1);
    fixture_start_authorize(f);
    UNTIL(f, f->connected && f->registers == 1);
    assert_int_equal(f->live_registered, 1);
    assert_int_equal(f->waiting_registered, 1);
    fixture_login_result(f, POSTERN__LOGIN_RESULT__OUTCOME__ACCEPTED, "");
    fixture_decide(f, POSTERN__DECISION__VERDICT__ALLOW, "");
    process_wait(f, &waiting);
    assert_int_equal(waiting.status, 0);
    process_fini(&waiting);
    assert_int_equal(uv_process_kill(&live.uv, SIGTERM), 0);
    process_wait(f, &live);
    process_fini(&live);
    UNTIL(f, f->closeds == 2);
}

static void test_revocation_grace(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->config->revocation_grace = 3000;
    fixture_open(f);
    start_live(f, &p);
    fixture_stop_authorize(f);
    UNTIL(f, process_said(&p, "will end it if that goes on"));
    assert_false(p.exited);
    expect_refused(f, &p, "could not check for too long");
}

/* --- strangers --- */

static int connect_from(const char *ip, uint16_t port)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    from.sin_addr.s_addr = inet_addr(ip);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void test_strangers_do_not_keep_others_out(void **state)
{
    struct fixture *f = *state;
    struct process p;
    enum { STRANGERS = 60 };
    int fds[STRANGERS];
    f->config->ssh_max_startups_start = 5;
    f->config->ssh_max_startups_full = 20;
    f->config->ssh_login_grace_time = 3000;
    fixture_open(f);
    for (int i = 0; i < STRANGERS; i++) {
        fds[i] = connect_from("127.0.0.2", f->ssh_port);
        (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    }
    UNTIL(f, ssh_service_count(f->service) <= 20);
    for (int i = 0; i < 3; i++) {
        fixture_run(f, &p, "echo ok");
        process_wait(f, &p);
        assert_int_equal(p.status, 0);
        process_fini(&p);
    }
    UNTIL(f, ssh_service_count(f->service) == 0); /* by the grace time */
    for (int i = 0; i < STRANGERS; i++)
        (void)close(fds[i]);
}

static void test_noise(void **state)
{
    struct fixture *f = *state;
    int fd = connect_from("127.0.0.1", f->ssh_port);
    char noise[100000];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 7919 >> 3);
    UNTIL(f, ssh_service_count(f->service) == 1);
    (void)!write(fd, noise, sizeof noise);
    UNTIL(f, ssh_service_count(f->service) == 0);
    (void)close(fd);
}

/* --- the end --- */

static void test_drain_and_stop(void **state)
{
    struct fixture *f = *state;
    struct process live;
    struct process waiting;
    start_live(f, &live);
    f->wants_login = true;
    fixture_run(f, &waiting, "echo ok");
    UNTIL(f, process_said(&waiting, "F3K7"));
    ssh_service_drain(f->service, fixture_flag, &f->drained);
    expect_refused(f, &waiting, "restarting");
    UNTIL(f, process_said(&live, "restarting"));
    assert_false(live.exited);
    assert_false(f->drained);
    ssh_service_stop(f->service, fixture_flag, &f->stopped);
    expect_refused(f, &live, "restarting");
    fixture_until(f, &f->stopped, "the service's end");
    assert_true(f->drained);
    ssh_service_free(f->service);
    f->service = NULL;
}

/* --- the management shell --- */

static void test_shell(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->is_shell = true;
    fixture_run(f, &p, "whoami");
    process_wait(f, &p);
    assert_int_equal(p.status, 0);
    process_expect(&p, "User ID:    someone\n");
    process_fini(&p);
    UNTIL(f, f->closeds == 1);
    assert_int_equal(f->checks, 1);
    assert_int_equal(f->certifies, 0);
    assert_string_equal(f->last_route, "");
    assert_int_equal(f->shell_verb, POSTERN__SHELL_COMMAND__VERB__WHOAMI);
    assert_int_equal(f->bytes_out, strlen("User ID:    someone\n"));
    assert_string_equal(f->reason, "client disconnected");
    fixture_run(f, &p, NULL);
    process_wait(f, &p);
    assert_int_equal(p.status, 0);
    process_expect(&p, "Available Commands:");
    process_expect(&p, "Which server?");
    process_fini(&p);
    assert_int_equal(f->shell_commands, 1);
}

static void test_shell_says_why_not(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->is_shell = f->holds_shell = true;
    fixture_run(f, &p, "logout");
    UNTIL(f, f->shell_commands == 1);
    assert_int_equal(f->shell_verb, POSTERN__SHELL_COMMAND__VERB__LOGOUT);
    fixture_shell_result(f, 1, "not now.");
    process_wait(f, &p);
    assert_int_equal(p.status, 1);
    process_expect(&p, "Error: not now.\n");
    process_fini(&p);
}

/* The question is asked again on the next stream. */
static void test_shell_and_authorize_is_restarted(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->is_shell = f->holds_shell = true;
    fixture_run(f, &p, "whoami");
    UNTIL(f, f->shell_commands == 1);
    fixture_stop_authorize(f);
    f->holds_shell = false;
    fixture_start_authorize(f);
    process_wait(f, &p);
    assert_int_equal(p.status, 0);
    assert_int_equal(f->shell_commands, 2);
    assert_int_equal(f->live_registered, 1);
    process_expect(&p, "User ID:    someone\n");
    process_fini(&p);
}

static void test_shell_is_cut(void **state)
{
    struct fixture *f = *state;
    struct process p;
    f->is_shell = f->holds_shell = true;
    fixture_run(f, &p, "whoami");
    UNTIL(f, f->shell_commands == 1);
    assert_int_equal(ssh_service_live(f->service), 1);
    fixture_cut(f, "Your session was ended.");
    expect_refused(f, &p, "Your session was ended.");
    UNTIL(f, f->closeds == 1 && f->cut_dones == 1);
    assert_string_equal(f->reason, "Your session was ended.");
}

static void test_no_host_key(void **state)
{
    struct fixture *f = *state;
    struct ssh_service_host host = {
        .loop = &f->loop, .rpc = f->rpc, .instance_id = "x", .build = "x"};
    struct worker_config *c = worker_config_new();
    char *why = NULL;
    int fd;
    struct ssh_service *s = ssh_service_new(&host);
    CHECK_OK(listen_bind("127.0.0.1:0", &fd, &why));
    CHECK_ERR(ssh_service_start(s, c, fd, &why), ERR_CONFIG);
    assert_non_null(why);
    mem_free(why);
    ssh_service_free(s);
    worker_config_unref(c);
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, setup_open, teardown)
#define FRESH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN(test_allowed),
        OPEN(test_login),
        OPEN(test_login_denied),
        OPEN(test_client_leaves_while_waiting),
        FRESH(test_sign_in_takes_too_long),
        OPEN(test_denied),
        OPEN(test_next_key),
        OPEN(test_no_key),
        OPEN(test_target_refuses_the_certificate),
        OPEN(test_host_key_is_refused),
        OPEN(test_target_is_down),
        OPEN(test_transfer_with_rekeys),
        OPEN(test_host_keys_are_proved),
        OPEN(test_cut),
        OPEN(test_cut_without_channels),
        OPEN(test_target_goes_away),
        FRESH(test_authorize_is_down),
        OPEN(test_authorize_is_mute),
        OPEN(test_authorize_is_restarted),
        FRESH(test_revocation_grace),
        FRESH(test_strangers_do_not_keep_others_out),
        OPEN(test_noise),
        OPEN(test_drain_and_stop),
        OPEN(test_shell),
        OPEN(test_shell_says_why_not),
        OPEN(test_shell_and_authorize_is_restarted),
        OPEN(test_shell_is_cut),
        FRESH(test_no_host_key),
    };
    return RUN(tests);
}
