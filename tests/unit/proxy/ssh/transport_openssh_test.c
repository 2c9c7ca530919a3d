/*
 * Against the real OpenSSH: ssh and ssh-keyscan talk to our server role, our client role talks to
 * sshd -i. A peer that is not installed fails the test.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/support/pair.h"

enum { STEP_MS = 10 * 1000, OUTPUT_MAX = 1 << 20 };

extern char **environ;

static const char ssh[] = "/usr/bin/ssh";
static const char sshd[] = "/usr/sbin/sshd";

static char folder[] = "/tmp/transport_openssh_XXXXXX";

/* A child with one descriptor of ours as stdin and stdout, or its output into a pipe. */
struct child {
    pid_t pid;
    int fd;
};

static void exec_child(const char *const *argv, int in, int out, int err)
{
    (void)dup2(in, 0);
    (void)dup2(out, 1);
    (void)dup2(err, 2);
    for (int fd = 3; fd < 64; fd++)
        (void)close(fd);
    (void)execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* Standard input and output are one end of a socket pair. */
static struct child spawn_on_socket(const char *const *argv)
{
    int pair[2];
    struct child c;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0)
        exec_child(argv, pair[1], pair[1], 2);
    (void)close(pair[1]);
    c.fd = pair[0];
    return c;
}

/* Everything it prints comes out of `fd`. */
static struct child spawn_with_output(const char *const *argv)
{
    int pipe_fd[2];
    struct child c;
    assert_int_equal(pipe2(pipe_fd, 0), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0)
        exec_child(argv, 0, pipe_fd[1], pipe_fd[1]);
    (void)close(pipe_fd[1]);
    c.fd = pipe_fd[0];
    return c;
}

static char *read_all(int fd)
{
    struct buf out;
    uint8_t bytes[4096];
    ssize_t n;
    buf_init(&out, OUTPUT_MAX);
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        CHECK_OK(buf_append(&out, view_of(bytes, (size_t)n)));
    char *text = buf_to_str(&out);
    buf_fini(&out);
    return text;
}

static int wait_for(struct child *c)
{
    int status = 0;
    (void)close(c->fd);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int listen_on_loopback(uint16_t *out_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *out_port = ntohs(a.sin_port);
    return fd;
}

/* Sends what there is; false when the peer is gone. */
static bool flush(struct transport *t, int fd)
{
    for (;;) {
        struct view out = transport_output(t);
        if (out.len == 0)
            return true;
        ssize_t n = send(fd, out.ptr, out.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        transport_sent(t, (size_t)n);
    }
}

typedef void (*packet_fn)(struct pair_end *e, const struct transport_event *ev);

/* One step of a blocking pump; false at the end of the connection. */
static bool step(struct pair_end *e, int fd, packet_fn on_event)
{
    uint8_t bytes[65536];
    struct transport_event ev;
    while (transport_next(e->t, &ev)) {
        pair_on_event(e, &ev);
        if (on_event)
            on_event(e, &ev);
    }
    if (!flush(e->t, fd))
        return false;
    if (transport_ended(e->t))
        return false;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, STEP_MS) != 1)
        fail_msg("the peer says nothing");
    size_t room = transport_room(e->t);
    ssize_t n = recv(fd, bytes, room < sizeof bytes ? room : sizeof bytes, 0);
    if (n <= 0)
        return false;
    CHECK_OK(transport_feed(e->t, view_of(bytes, (size_t)n), 0));
    return true;
}

static void send_text(struct pair_end *e, uint8_t number, const char *const *strings)
{
    struct buf out;
    buf_init(&out, 4096);
    struct writer w = writer_to(&out);
    write_u8(&w, number);
    for (; *strings; strings++)
        write_cstring(&w, *strings);
    if (number == MSG_USERAUTH_FAILURE)
        write_bool(&w, false);
    CHECK_OK(writer_done(&w));
    CHECK_OK(transport_send(e->t, buf_view(&out)));
    buf_fini(&out);
}

/* A server that accepts "none" at once, then any channel, answers exec with a line and status 7. */
static void send_reply_to_request(struct pair_end *e)
{
    static const char line[] = "hello from the engine\n";
    struct buf out;
    buf_init(&out, 4096);
    struct writer w = writer_to(&out);
    write_u8(&w, MSG_CHANNEL_SUCCESS);
    write_u32(&w, 0);
    CHECK_OK(transport_send(e->t, buf_view(&out)));
    buf_clear(&out);
    write_u8(&w, MSG_CHANNEL_DATA);
    write_u32(&w, 0);
    write_cstring(&w, line);
    CHECK_OK(transport_send(e->t, buf_view(&out)));
    CHECK_OK(transport_rekey(e->t));
    buf_clear(&out);
    write_u8(&w, MSG_CHANNEL_REQUEST);
    write_u32(&w, 0);
    write_cstring(&w, "exit-status");
    write_bool(&w, false);
    write_u32(&w, 7);
    CHECK_OK(transport_send(e->t, buf_view(&out)));
    buf_clear(&out);
    write_u8(&w, MSG_CHANNEL_CLOSE);
    write_u32(&w, 0);
    CHECK_OK(writer_done(&w));
    CHECK_OK(transport_send(e->t, buf_view(&out)));
    buf_fini(&out);
}

static void serve(struct pair_end *e, const struct transport_event *ev)
{
    if (ev->type != TRANSPORT_PACKET)
        return;
    struct reader r = reader_of(view_of(ev->packet.payload + 1, ev->packet.len - 1));
    switch (ev->packet.type) {
    case MSG_SERVICE_REQUEST:
        send_text(e, MSG_SERVICE_ACCEPT, (const char *const[]){"ssh-userauth", NULL});
        break;
    case MSG_USERAUTH_REQUEST:
        send_text(e, MSG_USERAUTH_SUCCESS, (const char *const[]){NULL});
        CHECK_OK(transport_authenticated(e->t));
        break;
    case MSG_CHANNEL_OPEN: {
        (void)read_string(&r);
        struct buf out;
        buf_init(&out, 64);
        struct writer w = writer_to(&out);
        write_u8(&w, MSG_CHANNEL_OPEN_CONFIRMATION);
        write_u32(&w, read_u32(&r));
        write_u32(&w, 0);
        write_u32(&w, 1 << 20);
        write_u32(&w, 32768);
        CHECK_OK(transport_send(e->t, buf_view(&out)));
        buf_fini(&out);
        break;
    }
    case MSG_CHANNEL_REQUEST:
        (void)read_u32(&r);
        if (view_eq_str(read_string(&r), "exec"))
            send_reply_to_request(e);
        break;
    default:
        break;
    }
}

struct wish {
    const char *program;
    const char *kex;
    const char *cipher;
    const char *mac;
    const char *host_key;
};

/* ssh with these algorithms runs a command on our engine and sees its output and status. */
static void run_ssh(const struct wish *w, struct pair *p)
{
    uint16_t port;
    int listener = listen_on_loopback(&port);
    AUTO_FREE char *port_text = mem_printf("%u", (unsigned)port);
    AUTO_FREE char *kex = mem_printf("-oKexAlgorithms=%s", w->kex);
    AUTO_FREE char *cipher = mem_printf("-oCiphers=%s", w->cipher);
    AUTO_FREE char *mac = mem_printf("-oMACs=%s", w->mac);
    AUTO_FREE char *host_key = mem_printf("-oHostKeyAlgorithms=%s", w->host_key);
    const char *const argv[] = {w->program,
                                "-F",
                                "none",
                                "-p",
                                port_text,
                                kex,
                                cipher,
                                mac,
                                host_key,
                                "-oStrictHostKeyChecking=no",
                                "-oUserKnownHostsFile=/dev/null",
                                "-oBatchMode=yes",
                                "-oIdentityFile=none",
                                "-oIdentityAgent=none",
                                "u@127.0.0.1",
                                "whatever",
                                NULL};
    struct child c = spawn_with_output(argv);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    pair_init(p);
    struct transport_config config = pair_config(p, TRANSPORT_SERVER);
    p->server.t = transport_new(&config);
    while (step(&p->server, fd, serve))
        ;
    (void)close(fd);
    (void)close(listener);
    AUTO_FREE char *text = read_all(c.fd);
    int status = wait_for(&c);
    if (status != 7 || !strstr(text, "hello from the engine"))
        fail_msg("%s %s %s %s: status %d: %s (ours: %s)", w->kex, w->cipher, w->mac, w->host_key,
                 status, text, p->server.text ? p->server.text : "");
}

static void test_ssh_every_cipher(void **state)
{
    (void)state;
    static const struct wish wishes[] = {
        {ssh, "curve25519-sha256", "chacha20-poly1305@openssh.com", "hmac-sha2-256", "ssh-ed25519"},
        {ssh, "curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256", "ssh-ed25519"},
        {ssh, "curve25519-sha256", "aes256-gcm@openssh.com", "hmac-sha2-256", "ssh-ed25519"},
        {ssh, "curve25519-sha256", "aes128-ctr", "hmac-sha2-256-etm@openssh.com", "ssh-ed25519"},
        {ssh, "curve25519-sha256", "aes192-ctr", "hmac-sha2-512-etm@openssh.com", "ssh-ed25519"},
        {ssh, "curve25519-sha256", "aes256-ctr", "hmac-sha2-512-etm@openssh.com", "ssh-ed25519"},
        {ssh, "curve25519-sha256@libssh.org", "aes256-ctr", "hmac-sha2-256-etm@openssh.com",
         "ecdsa-sha2-nistp256"},
        {ssh, "curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256",
         "ecdsa-sha2-nistp384"},
        {ssh, "curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256",
         "ecdsa-sha2-nistp521"},
        {ssh, "curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256", "rsa-sha2-512"},
        {ssh, "curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256", "rsa-sha2-256"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
        struct pair p;
        run_ssh(&wishes[i], &p);
        /* Twice: our own rekey in the middle of the answer as well. */
        assert_int_equal(p.server.events[TRANSPORT_READY], 2);
        assert_string_equal(transport_negotiated(p.server.t)->cipher_in, wishes[i].cipher);
        assert_string_equal(transport_negotiated(p.server.t)->host_key, wishes[i].host_key);
        pair_fini(&p);
    }
}

/* Debian 12 has no client with ML-KEM; a build of OpenSSH 10 may be named. */
static void test_ssh_ml_kem(void **state)
{
    (void)state;
    const char *program = getenv("POSTERN_SSH10");
    if (!program)
        skip();
    const struct wish w = {program, "mlkem768x25519-sha256", "chacha20-poly1305@openssh.com",
                           "hmac-sha2-256-etm@openssh.com", "ssh-ed25519"};
    struct pair p;
    run_ssh(&w, &p);
    assert_string_equal(transport_negotiated(p.server.t)->kex, w.kex);
    pair_fini(&p);
}

static void test_ssh_keyscan(void **state)
{
    (void)state;
    uint16_t port;
    int listener = listen_on_loopback(&port);
    AUTO_FREE char *port_text = mem_printf("%u", (unsigned)port);
    const char *const argv[] = {"/usr/bin/ssh-keyscan", "-p",        port_text, "-t",
                                "ed25519,rsa,ecdsa",    "127.0.0.1", NULL};
    struct child c = spawn_with_output(argv);
    /* One connection per type; each goes as far as the host key. */
    for (int i = 0; i < 3; i++) {
        struct pair p;
        int fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        pair_init(&p);
        struct transport_config config = pair_config(&p, TRANSPORT_SERVER);
        p.server.t = transport_new(&config);
        while (step(&p.server, fd, NULL))
            ;
        (void)close(fd);
        pair_fini(&p);
    }
    AUTO_FREE char *text = read_all(c.fd);
    assert_int_equal(wait_for(&c), 0);
    (void)close(listener);
    assert_non_null(strstr(text, "ssh-ed25519 "));
    assert_non_null(strstr(text, "ssh-rsa "));
    assert_non_null(strstr(text, "ecdsa-sha2-nistp256 "));
}

static void write_file(const char *name, struct view bytes)
{
    AUTO_FREE char *path = mem_printf("%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    (void)fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
}

static void write_host_keys(struct buf *config)
{
    static const enum key_type types[] = {KEY_ED25519, KEY_ECDSA_P256, KEY_ECDSA_P384,
                                          KEY_ECDSA_P521, KEY_RSA};
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 9);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct buf text;
        AUTO_FREE char *name = mem_printf("host_%zu", i);
        buf_init(&text, KEY_FILE_MAX);
        CHECK_OK(private_key_write_openssh(pair_key(types[i]), "", &rng, &text));
        write_file(name, buf_view(&text));
        CHECK_OK(buf_printf(config, "HostKey %s/%s\n", folder, name));
        buf_wipe(&text);
    }
}

static void ask(struct pair_end *e, const struct transport_event *ev)
{
    if (ev->type == TRANSPORT_READY)
        send_text(e, MSG_SERVICE_REQUEST, (const char *const[]){"ssh-userauth", NULL});
    else if (ev->type == TRANSPORT_PACKET)
        transport_disconnect(e->t, REASON_BY_APPLICATION, VIEW("done"));
}

/* Our client against sshd -i: up to READY, the right key, a service accepted. */
static void run_sshd(const struct wish *w, const char *config_name)
{
    struct pair p;
    AUTO_FREE char *path = mem_printf("%s/%s", folder, config_name);
    AUTO_FREE char *kex = mem_printf("-oKexAlgorithms=%s", w->kex);
    const char *const argv[] = {w->program, "-i", "-e", "-f", path, kex, NULL};
    struct child c = spawn_on_socket(argv);
    pair_init(&p);
    p.client_algorithms.kex = w->kex;
    p.client_algorithms.cipher = w->cipher;
    p.client_algorithms.mac = w->mac;
    p.client_algorithms.host_key = w->host_key;
    struct transport_config config = pair_config(&p, TRANSPORT_CLIENT);
    p.client.t = transport_new(&config);
    while (step(&p.client, c.fd, ask))
        ;
    if (p.client.packet_count == 0)
        fail_msg("%s %s %s %s: %s", w->kex, w->cipher, w->mac, w->host_key,
                 p.client.text ? p.client.text : "closed");
    CHECK_VIEW(buf_view(&p.client.packets), VIEW("\0\0\0\x11\x06\0\0\0\x0cssh-userauth"));
    assert_int_equal(p.client.events[TRANSPORT_EXT_INFO], 1);
    assert_true(
        view_list_has(transport_peer_ext(p.client.t)->server_sig_algs, VIEW("ssh-ed25519")));
    assert_true(view_starts_with(transport_peer_ident(p.client.t), VIEW("SSH-2.0-OpenSSH_")));
    assert_string_equal(transport_negotiated(p.client.t)->cipher_out, w->cipher);
    (void)wait_for(&c);
    pair_fini(&p);
}

static void test_sshd(void **state)
{
    (void)state;
    static const struct wish wishes[] = {
        {sshd, "curve25519-sha256", "chacha20-poly1305@openssh.com",
         "hmac-sha2-256-etm@openssh.com", "ssh-ed25519"},
        {sshd, "curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com",
         "ecdsa-sha2-nistp256"},
        {sshd, "curve25519-sha256@libssh.org", "aes256-gcm@openssh.com",
         "hmac-sha2-256-etm@openssh.com", "ecdsa-sha2-nistp384"},
        {sshd, "curve25519-sha256", "aes128-ctr", "hmac-sha2-256-etm@openssh.com",
         "ecdsa-sha2-nistp521"},
        {sshd, "curve25519-sha256", "aes192-ctr", "hmac-sha2-512-etm@openssh.com", "rsa-sha2-256"},
        {sshd, "curve25519-sha256", "aes256-ctr", "hmac-sha2-512-etm@openssh.com", "rsa-sha2-512"},
    };
    struct buf sshd_config;
    buf_init(&sshd_config, 4096);
    write_host_keys(&sshd_config);
    CHECK_OK(buf_append_str(&sshd_config, "UsePAM no\nStrictModes no\nLogLevel QUIET\n"));
    write_file("sshd_config", buf_view(&sshd_config));
    buf_fini(&sshd_config);
    for (size_t i = 0; i < ARRAY_LEN(wishes); i++)
        run_sshd(&wishes[i], "sshd_config");
}

/* A folder with sshd, sshd-session and sshd-auth of OpenSSH 10; built without OpenSSL will do. */
static void test_sshd_ml_kem(void **state)
{
    (void)state;
    const char *dir = getenv("POSTERN_SSHD10_DIR");
    if (!dir)
        skip();
    AUTO_FREE char *program = mem_printf("%s/sshd", dir);
    struct buf config;
    buf_init(&config, 4096);
    CHECK_OK(buf_printf(&config,
                        "HostKey %s/host_0\nSshdSessionPath %s/sshd-session\n"
                        "SshdAuthPath %s/sshd-auth\nStrictModes no\nLogLevel QUIET\n",
                        folder, dir, dir));
    write_file("sshd10_config", buf_view(&config));
    buf_fini(&config);
    const struct wish w = {program, "mlkem768x25519-sha256", "chacha20-poly1305@openssh.com",
                           "hmac-sha2-256-etm@openssh.com", "ssh-ed25519"};
    run_sshd(&w, "sshd10_config");
}

static int make_folder(void **state)
{
    (void)state;
    /* sshd of a root user insists on it; a booted system has it. */
    if (geteuid() == 0 && mkdir("/run/sshd", 0755) != 0 && errno != EEXIST)
        return -1;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"host_0", "host_1",      "host_2",       "host_3",
                                        "host_4", "sshd_config", "sshd10_config"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_FREE char *path = mem_printf("%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ssh_every_cipher), cmocka_unit_test(test_ssh_ml_kem),
        cmocka_unit_test(test_ssh_keyscan),      cmocka_unit_test(test_sshd),
        cmocka_unit_test(test_sshd_ml_kem),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, make_folder, remove_folder);
}
