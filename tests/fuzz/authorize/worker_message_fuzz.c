/* What a worker may send: nothing that it says is longer than its limit afterwards. */
#include "authorize/convert_stream.h"
#include "authorize/tunnel_ask.h"
#include "common/base/check.h"
#include "proto/postern/decide.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tunnel(const struct stream_check *c)
{
    const struct stream_tunnel *t = &c->tunnel;
    CHECK(strlen(t->authority) <= STREAM_TEXT_MAX && strlen(t->method) <= STREAM_TEXT_MAX);
    CHECK(strlen(t->path) <= STREAM_PATH_MAX && t->certificate.len <= STREAM_LEAF_MAX);
    CHECK(t->user_agent.len <= STREAM_TEXT_MAX && t->request_id.len <= STREAM_ID_MAX);
    struct tunnel_ask *ask = tunnel_ask_new(t);
    CHECK(ask->client.presented || !ask->client.valid);
    CHECK(!ask->client.valid || ask->client.fingerprint.len == DIGEST_SHA256_LEN);
    CHECK(view_eq(secret_view(&ask->token), t->token));
    tunnel_ask_free(ask);
}

static void check_question(const struct stream_check *c)
{
    CHECK(*c->connection_id && strlen(c->connection_id) <= STREAM_ID_MAX);
    CHECK(strlen(c->source) <= STREAM_TEXT_MAX && strlen(c->login) <= STREAM_TEXT_MAX);
    if (c->protocol == PROTOCOL_SSH)
        CHECK(c->key.len > 0 && c->key.len <= STREAM_KEY_MAX);
    else
        check_tunnel(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stream_message out;
    Postern__WorkerMessage *m = postern__worker_message__unpack(NULL, size, data);
    if (!m)
        return 0;
    convert_stream_message(&m->base, &out);
    if (out.kind == STREAM_CHECK)
        check_question(&out.check);
    for (size_t i = 0; out.kind == STREAM_REGISTER && i < out.registered; i++) {
        struct stream_registered r;
        if (convert_stream_registered(&m->base, i, &r))
            check_question(&r.check);
    }
    postern__worker_message__free_unpacked(m, NULL);
    return 0;
}
