#include "authorize/tunnel_ask.h"

#include "common/base/mem.h"

static struct facts_names names(const struct x509_names *n)
{
    return (struct facts_names){(const char *const *)n->items, n->count};
}

static void take_certificate(struct tunnel_ask *t, const struct stream_tunnel *m)
{
    const struct x509_client *c = &t->certificate;
    if (!m->certificate_presented)
        return;
    t->client.presented = true;
    /* One that cannot be read is nobody's. */
    if (x509_client_parse(&t->certificate, m->certificate) != OK)
        return;
    t->client = (struct facts_client){
        .presented = true,
        .valid = m->certificate_valid,
        .fingerprint = view_of(c->fingerprint, sizeof c->fingerprint),
        .spki_hash = view_of(c->spki_hash, sizeof c->spki_hash),
        .emails = names(&c->emails),
        .dns = names(&c->dns),
        .uris = names(&c->uris),
    };
}

struct tunnel_ask *tunnel_ask_new(const struct stream_tunnel *m)
{
    struct tunnel_ask *t = mem_zalloc(sizeof *t);
    t->authority = mem_strdup(m->authority);
    t->method = mem_strdup(m->method);
    t->path = mem_strdup(m->path);
    secret_set(&t->token, m->token);
    take_certificate(t, m);
    t->user_agent = mem_strndup(m->user_agent.ptr, m->user_agent.len);
    t->request_id = mem_strndup(m->request_id.ptr, m->request_id.len);
    return t;
}

void tunnel_ask_free(struct tunnel_ask *t)
{
    if (!t)
        return;
    mem_free(t->authority);
    mem_free(t->method);
    mem_free(t->path);
    secret_fini(&t->token);
    x509_client_fini(&t->certificate);
    mem_free(t->user_agent);
    mem_free(t->request_id);
    mem_free(t);
}
