/* What workers send, and what is made of it when it is too long or foreign. */
#include "tests/support/test.h"

#include "authorize/convert_stream.h"
#include "authorize/tunnel_ask.h"
#include "proto/postern/decide.pb-c.h"

static char text[20000];

/* `n` letters; the next call changes them. */
static char *letters(size_t n)
{
    memset(text, 'a', n);
    text[n] = '\0';
    return text;
}

struct question {
    Postern__WorkerMessage m;
    Postern__Check check;
    Postern__SshFacts ssh;
    Postern__TunnelFacts tunnel;
    Postern__ClientCertificate certificate;
};

static void question_init(struct question *q, const char *protocol)
{
    static uint8_t key[] = "key";
    postern__worker_message__init(&q->m);
    postern__check__init(&q->check);
    postern__ssh_facts__init(&q->ssh);
    postern__tunnel_facts__init(&q->tunnel);
    postern__client_certificate__init(&q->certificate);
    q->m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_CHECK;
    q->m.check = &q->check;
    q->check.connection_id = (char *)(uintptr_t) "c1";
    q->check.source_address = (char *)(uintptr_t) "192.0.2.7";
    q->check.protocol = (char *)(uintptr_t)protocol;
    q->check.attempt = 3;
    q->ssh.login = (char *)(uintptr_t) "dev";
    q->ssh.route = (char *)(uintptr_t) "web1";
    q->ssh.public_key = (ProtobufCBinaryData){3, key};
    q->tunnel.authority = (char *)(uintptr_t) "db.test:5432";
    q->tunnel.method = (char *)(uintptr_t) "CONNECT";
    q->tunnel.token = (ProtobufCBinaryData){3, key};
    if (strcmp(protocol, "ssh") == 0)
        q->check.ssh = &q->ssh;
    else
        q->check.tunnel = &q->tunnel;
}

static struct stream_message understand(const struct question *q)
{
    struct stream_message out;
    convert_stream_message(&q->m.base, &out);
    return out;
}

static void test_protocols(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum protocol protocol;
    } rows[] = {{"tcp", PROTOCOL_TCP}, {"udp", PROTOCOL_UDP}, {"http", PROTOCOL_HTTP}};
    struct question q;
    question_init(&q, "ssh");
    struct stream_message m = understand(&q);
    assert_int_equal(m.kind, STREAM_CHECK);
    assert_int_equal(m.check.protocol, PROTOCOL_SSH);
    assert_string_equal(m.check.login, "dev");
    assert_string_equal(m.check.route, "web1");
    assert_int_equal(m.check.attempt, 3);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        question_init(&q, rows[i].text);
        m = understand(&q);
        assert_int_equal(m.kind, STREAM_CHECK);
        assert_int_equal(m.check.protocol, rows[i].protocol);
        assert_string_equal(m.check.tunnel.authority, "db.test:5432");
        assert_string_equal(m.check.tunnel.method, "CONNECT");
        assert_string_equal(m.check.login, "");
        CHECK_VIEW_STR(m.check.tunnel.token, "key");
        assert_false(m.check.is_oversized);
    }
}

/* A check without its facts, or of a protocol that nobody knows, is no message of ours. */
static void test_malformed(void **state)
{
    (void)state;
    static const char *const protocols[] = {"ssh", "tcp", "udp", "http"};
    struct question q;
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        question_init(&q, protocols[i]);
        q.check.ssh = i == 0 ? NULL : &q.ssh;
        q.check.tunnel = i == 0 ? &q.tunnel : NULL;
        assert_int_equal(understand(&q).kind, STREAM_MALFORMED);
        question_init(&q, protocols[i]);
        q.check.connection_id = letters(STREAM_ID_MAX + 1);
        assert_int_equal(understand(&q).kind, STREAM_MALFORMED);
        question_init(&q, protocols[i]);
        q.check.source_address = letters(STREAM_TEXT_MAX + 1);
        assert_int_equal(understand(&q).kind, STREAM_MALFORMED);
    }
    static const char *const foreign[] = {"", "SSH", "tcp ", "quic"};
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        question_init(&q, foreign[i]);
        q.check.ssh = &q.ssh;
        assert_int_equal(understand(&q).kind, STREAM_MALFORMED);
    }
}

/* One request of a stranger does not end the stream that many others are on. */
static void test_too_long(void **state)
{
    (void)state;
    struct question q;
    question_init(&q, "tcp");
    q.tunnel.authority = letters(STREAM_TEXT_MAX + 1);
    struct stream_message m = understand(&q);
    assert_int_equal(m.kind, STREAM_CHECK);
    assert_true(m.check.is_oversized);
    assert_string_equal(m.check.tunnel.authority, "");
    question_init(&q, "tcp");
    q.tunnel.method = letters(STREAM_TEXT_MAX + 1);
    assert_true(understand(&q).check.is_oversized);
    question_init(&q, "http");
    q.tunnel.path = letters(STREAM_PATH_MAX + 1);
    assert_true(understand(&q).check.is_oversized);
    q.tunnel.path = letters(STREAM_PATH_MAX);
    assert_false(understand(&q).check.is_oversized);
    /* What is for logs alone is cut. */
    question_init(&q, "tcp");
    q.tunnel.user_agent = letters(STREAM_TEXT_MAX + 1);
    q.tunnel.request_id = q.tunnel.user_agent;
    m = understand(&q);
    assert_false(m.check.is_oversized);
    assert_int_equal(m.check.tunnel.user_agent.len, STREAM_TEXT_MAX);
    assert_int_equal(m.check.tunnel.request_id.len, STREAM_ID_MAX);
}

/* A certificate that cannot be read, or not whole, is presented and not valid. */
static void test_certificates(void **state)
{
    (void)state;
    struct question q;
    question_init(&q, "tcp");
    struct stream_message m = understand(&q);
    struct tunnel_ask *t = tunnel_ask_new(&m.check.tunnel);
    assert_false(t->client.presented);
    tunnel_ask_free(t);
    static const size_t lengths[] = {0, 5, STREAM_LEAF_MAX, STREAM_LEAF_MAX + 1};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        q.tunnel.client_certificate = &q.certificate;
        q.certificate.presented = true;
        q.certificate.valid = true;
        q.certificate.leaf =
            (ProtobufCBinaryData){lengths[i], (uint8_t *)letters(STREAM_LEAF_MAX + 1)};
        m = understand(&q);
        t = tunnel_ask_new(&m.check.tunnel);
        assert_true(t->client.presented);
        assert_false(t->client.valid);
        tunnel_ask_free(t);
    }
    /* Not presented, whatever else it says. */
    q.certificate.presented = false;
    m = understand(&q);
    t = tunnel_ask_new(&m.check.tunnel);
    assert_false(t->client.presented);
    assert_false(t->client.valid);
    tunnel_ask_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_certificates),
    };
    return RUN(tests);
}
