/*
 * A client that speaks the protocol, with two keys and a certificate, in any order and pipelined,
 * against a policy that decides anything at any time. Steps of two bytes: what, and a parameter.
 * What must hold: only a key that has signed is ever asked about (CVE-2024-45337); the key that is
 * asked about is the one that gets in, with all that its certificate says (CVE-2026-39828); nobody
 * gets in without allow and success; no request is answered twice.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/cert.h"
#include "proxy/ssh/auth_server.h"
#include "proxy/ssh/msg.h"
#include "tests/support/sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SESSION VIEW("0123456789abcdef0123456789abcdef")

enum { KEYS = 3, CERTIFICATE = 2 };

/* Two plain keys, and a certificate with restrictions over the first. */
static struct private_key keys[2];
static struct buf certificate;

struct rig {
    struct auth_server a;
    struct sink_list out;
    struct buf signed_keys; /* good requests since the last CHECK: string blob each */
    struct buf checked;
    size_t requests;
    size_t replies;
    bool allowed;
    bool ready;
    bool in;
    bool over;
};

static void make_keys(void)
{
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 8);
    if (certificate.len)
        return;
    CHECK(private_key_generate(&keys[0], KEY_ED25519, &rng) == OK);
    CHECK(private_key_generate(&keys[1], KEY_ED25519, &rng) == OK);
    struct cert_option critical[] = {
        {VIEW("force-command"), VIEW("\0\0\0\4true")},
        {VIEW("source-address"), VIEW("\0\0\0\x0c"
                                      "192.0.2.0/24")},
    };
    struct view principal = VIEW("dev");
    struct cert_spec spec = {
        .kind = CERT_USER,
        .key = &keys[0].public,
        .principals = &principal,
        .principals_len = 1,
        .valid_after = 1,
        .valid_before = UINT64_MAX,
        .critical = critical,
        .critical_len = ARRAY_LEN(critical),
    };
    buf_init(&certificate, CERT_BLOB_MAX);
    CHECK(cert_sign(&spec, &keys[1], &rng, &certificate) == OK);
}

static struct view blob_of(uint8_t key)
{
    return key == CERTIFICATE ? buf_view(&certificate) : public_key_blob(&keys[key].public);
}

static const char *algorithm_of(uint8_t key)
{
    return key == CERTIFICATE ? "ssh-ed25519-cert-v01@openssh.com" : "ssh-ed25519";
}

/* --- the client --- */

static void feed(struct rig *r, const struct buf *b)
{
    CHECK(auth_server_feed(&r->a, buf_view(b)) == OK || r->in);
}

static struct writer begin_request(struct rig *r, struct buf *b, const char *method)
{
    r->requests++;
    buf_init(b, 1 << 16);
    struct writer w = writer_to(b);
    write_u8(&w, MSG_USERAUTH_REQUEST);
    write_cstring(&w, "dev@web1");
    write_cstring(&w, "ssh-connection");
    write_cstring(&w, method);
    return w;
}

static void do_simple(struct rig *r, const char *method)
{
    struct buf b;
    struct writer w = begin_request(r, &b, method);
    write_u64(&w, 0); /* of keyboard-interactive: language and submethods */
    feed(r, &b);
    buf_fini(&b);
}

/* n: the key that is named, the key that signs, 0 = does not sign, and whether it lies. */
static void do_key(struct rig *r, uint8_t n)
{
    uint8_t named = n % KEYS;
    uint8_t signer = n / KEYS % 3;
    struct buf b, data, signature;
    struct writer w = begin_request(r, &b, "publickey");
    write_bool(&w, signer != 0);
    write_cstring(&w, algorithm_of(named));
    write_string(&w, blob_of(named));
    if (signer) {
        buf_init(&data, 1 << 16);
        buf_init(&signature, KEY_BLOB_MAX);
        struct writer d = writer_to(&data);
        write_string(&d, SESSION);
        write_bytes(&d, buf_view(&b));
        const struct private_key *key = &keys[signer - 1];
        CHECK(private_key_sign(key, VIEW("ssh-ed25519"), buf_view(&data), &signature) == OK);
        write_string(&w, buf_view(&signature));
        d = writer_to(&r->signed_keys);
        if (blob_of(named).len && signer - 1 == (named == CERTIFICATE ? 0 : named))
            write_string(&d, blob_of(named));
        buf_fini(&data);
        buf_fini(&signature);
    }
    feed(r, &b);
    buf_fini(&b);
}

static void do_respond(struct rig *r, uint8_t n)
{
    uint8_t p[5] = {MSG_USERAUTH_INFO_RESPONSE, 0, 0, 0, n == 1};
    struct buf b;
    buf_init(&b, 16);
    CHECK(buf_append(&b, view_of(p, sizeof p)) == OK);
    if (n == 1)
        CHECK(buf_append(&b, VIEW("\0\0\0\1x")) == OK);
    feed(r, &b);
    buf_fini(&b);
}

/* --- what comes back --- */

static bool was_signed(const struct rig *r, struct view key)
{
    struct reader in = reader_of(buf_view(&r->signed_keys));
    while (reader_left(&in)) {
        if (view_eq(read_string(&in), key))
            return true;
    }
    return false;
}

static void on_check(struct rig *r, const struct auth_server_event *e)
{
    CHECK(was_signed(r, e->key));
    CHECK(view_eq(e->login, VIEW("dev")) && view_eq(e->route, VIEW("web1")));
    buf_clear(&r->checked);
    CHECK(buf_append(&r->checked, e->key) == OK);
    r->allowed = r->ready = false;
}

static void on_packet(struct rig *r, struct view p)
{
    CHECK(!r->in);
    switch (p.ptr[0]) {
    case MSG_USERAUTH_SUCCESS:
        CHECK(r->allowed && r->ready && r->a.verified);
        CHECK(view_eq(buf_view(&r->a.key), buf_view(&r->checked)));
        r->in = true;
        r->replies++;
        break;
    case MSG_USERAUTH_FAILURE:
        r->replies++;
        break;
    case MSG_USERAUTH_PK_OK: /* INFO_REQUEST has the same number, and does not end a request */
        r->replies += r->a.phase == AUTH_SERVER_PHASE_OPEN && !r->a.info_sent;
        break;
    default:
        CHECK(p.ptr[0] == MSG_SERVICE_ACCEPT || p.ptr[0] == MSG_USERAUTH_BANNER);
    }
    CHECK(r->replies <= r->requests);
}

static void drain(struct rig *r)
{
    struct auth_server_event e;
    while (r->out.count)
        on_packet(r, sink_list_next(&r->out));
    while (auth_server_next(&r->a, &e)) {
        CHECK(!r->in && !r->over);
        if (e.type == AUTH_SERVER_CHECK)
            on_check(r, &e);
        else
            r->over = true;
    }
    CHECK(auth_server_is_done(&r->a) == r->in);
    CHECK(r->a.held.len <= AUTH_SERVER_HELD_MAX);
    CHECK(r->a.requests <= AUTH_SERVER_REQUESTS_MAX + 1);
}

static bool is_waiting(const struct rig *r)
{
    return r->a.phase == AUTH_SERVER_PHASE_CHECKING || r->a.phase == AUTH_SERVER_PHASE_LOGIN;
}

static void do_policy(struct rig *r, uint8_t what, uint8_t n)
{
    switch (what) {
    case 5:
        r->allowed |= is_waiting(r);
        auth_server_allow(&r->a);
        break;
    case 6:
        r->ready |= r->a.phase == AUTH_SERVER_PHASE_ALLOWED;
        auth_server_success(&r->a);
        break;
    case 7:
        auth_server_next_key(&r->a, n & 1 ? VIEW("no") : VIEW(""));
        break;
    case 8:
        auth_server_login(&r->a, VIEW("Sign in"), VIEW("https://x"), VIEW("ABCD"));
        break;
    case 9:
        if (n == 9)
            auth_server_deny(&r->a, VIEW("no"));
        break;
    default:
        auth_server_banner(&r->a, VIEW("hello\n"));
    }
}

static void step(struct rig *r, uint8_t what, uint8_t n)
{
    static const char *const methods[] = {"none", "password", "keyboard-interactive",
                                          "keyboard-interactive"};
    if (what <= 2)
        do_key(r, n);
    else if (what == 3)
        do_simple(r, methods[n % ARRAY_LEN(methods)]);
    else if (what == 4)
        do_respond(r, n);
    else
        do_policy(r, what, n);
    drain(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig r = {0};
    make_keys();
    struct auth_server_config c = {.out = sink_list_init(&r.out), .max_failures = 12};
    auth_server_init(&r.a, &c, SESSION);
    buf_init(&r.signed_keys, 1 << 20);
    buf_init(&r.checked, AUTH_SERVER_KEY_MAX);
    CHECK(auth_server_feed(&r.a, VIEW("\5\0\0\0\x0cssh-userauth")) == OK);
    drain(&r);
    for (size_t i = 0; i + 1 < size && i < 400; i += 2)
        step(&r, data[i] % 11, data[i + 1]);
    auth_server_fini(&r.a);
    sink_list_fini(&r.out);
    buf_fini(&r.signed_keys);
    buf_fini(&r.checked);
    return 0;
}
