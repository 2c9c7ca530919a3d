#include "common/base/check.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

/* The supervisor answers a service with a session's slot: a session that is gone is not found. */
static void on_kex_signed(void *ctx, uint64_t tag, enum err e, struct view signature)
{
    struct ssh_service *service = ctx;
    struct ssh_session *s = slots_get(&service->sessions, tag);
    if (!s || !s->down.transport)
        return;
    if (e == OK)
        e = transport_signed(s->down.transport, signature);
    if (e != OK)
        transport_fail(s->down.transport, ERR_UNAVAILABLE,
                       "the host key cannot sign at the moment");
    ssh_session_turn(s);
}

void ssh_sign_kex(struct ssh_session *s, const struct transport_event *e)
{
    const struct ssh_signer *signer = &s->service->host.signer;
    const struct worker_host_key *key = &s->config->host_keys[e->kex_sign.key_index];
    signer->sign_kex(signer->ctx, key, e->kex_sign.algorithm, e->kex_sign.hash, on_kex_signed,
                     s->service, s->slot);
}

static void sign_next(struct ssh_session *s);

static void prove_done(struct ssh_session *s, enum err e)
{
    struct ssh_prove *p = &s->prove;
    struct view views[RELAY_PROVE_MAX];
    for (size_t i = 0; i < p->count; i++)
        views[i] = buf_view(&p->signatures[i]);
    if (e == OK)
        relay_proved(&s->bridge.relay, views, p->count);
    else
        relay_not_proved(&s->bridge.relay);
    for (size_t i = 0; i < p->count; i++)
        buf_fini(&p->signatures[i]);
    *p = (struct ssh_prove){0};
}

static void on_proved(void *ctx, uint64_t tag, enum err e, struct view signature)
{
    struct ssh_service *service = ctx;
    struct ssh_session *s = slots_get(&service->sessions, tag);
    if (!s || !s->is_bridged || !s->prove.count)
        return;
    struct ssh_prove *p = &s->prove;
    buf_init(&p->signatures[p->done], KEY_BLOB_MAX);
    if (e == OK)
        e = buf_append(&p->signatures[p->done], signature);
    p->done++;
    if (e != OK || p->done == p->count)
        prove_done(s, e);
    else
        sign_next(s);
    ssh_session_turn(s);
}

static void sign_next(struct ssh_session *s)
{
    const struct ssh_signer *signer = &s->service->host.signer;
    const struct worker_host_key *key = &s->config->host_keys[s->prove.keys[s->prove.done]];
    /* OpenSSH PROTOCOL §2.5: an RSA key signs with the algorithm of the key exchange, if that was
     * one of RSA. */
    static const char *const names[] = {"rsa-sha2-512", "rsa-sha2-256"};
    const char *negotiated = transport_negotiated(s->down.transport)->host_key;
    const char *algorithm = "";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strncmp(negotiated, names[i], strlen(names[i])) == 0)
            algorithm = names[i];
    }
    signer->sign_prove(signer->ctx, key, algorithm, transport_session_id(s->down.transport),
                       on_proved, s->service, s->slot);
}

void ssh_sign_prove(struct ssh_session *s, const struct relay_event *e)
{
    s->prove = (struct ssh_prove){.count = e->key_count};
    memcpy(s->prove.keys, e->keys, sizeof s->prove.keys);
    sign_next(s);
}
