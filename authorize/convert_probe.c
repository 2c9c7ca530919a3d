#include "authorize/convert_probe.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "proto/postern/decide.pb-c.h"
#include "proto/postern/records.pb-c.h"

char *convert_type_probe(void)
{
    return record_type(&postern__probe_request__descriptor);
}

/* protobuf-c has no const; nothing is written to. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static ProtobufCBinaryData data(struct view v)
{
    return (ProtobufCBinaryData){v.len, (uint8_t *)(uintptr_t)v.ptr};
}

/* --- the record --- */

static char *limited(const char *s)
{
    return mem_strndup(s, strnlen(s, STREAM_TEXT_MAX));
}

struct probe_request *convert_probe_request(const struct record *r)
{
    Postern__ProbeRequest *m =
        (Postern__ProbeRequest *)record_unpack(r, &postern__probe_request__descriptor);
    if (!m)
        return NULL;
    struct probe_request *out = mem_zalloc(sizeof *out);
    *out = (struct probe_request){
        .id = mem_strdup(r->id),
        .version = r->version,
        .kind = limited(m->kind),
        .route = limited(m->route),
        .state = limited(m->state),
        .login = limited(m->login),
        .by = limited(m->by),
    };
    if (m->created_at && m->created_at->seconds > 0)
        out->created_ms = (uint64_t)m->created_at->seconds * 1000;
    protobuf_c_message_free_unpacked(&m->base, NULL);
    return out;
}

void probe_request_free(struct probe_request *r)
{
    if (!r)
        return;
    char *texts[] = {r->id, r->kind, r->route, r->state, r->login, r->by};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        mem_free(texts[i]);
    mem_free(r);
}

struct report_parts {
    Postern__ProbeStep steps[PROBE_STEPS_MAX];
    Postern__ProbeStep *step_list[PROBE_STEPS_MAX];
    Postern__ProbedKey keys[PROBE_KEYS_MAX];
    Postern__ProbedKey *key_list[PROBE_KEYS_MAX];
};

static void fill_report(struct report_parts *p, const struct probe_report *r,
                        Postern__ProbeRequest *out)
{
    for (size_t i = 0; i < r->step_count; i++) {
        const struct probe_step *s = &r->steps[i];
        postern__probe_step__init(&p->steps[i]);
        p->steps[i].name = text(s->name);
        p->steps[i].outcome = text(s->outcome);
        p->steps[i].ms = s->ms;
        p->steps[i].text = text(s->text);
        p->steps[i].remedy = text(s->remedy);
        p->step_list[i] = &p->steps[i];
    }
    for (size_t i = 0; i < r->key_count; i++) {
        const struct probe_key *k = &r->keys[i];
        postern__probed_key__init(&p->keys[i]);
        p->keys[i].type = text(k->type);
        p->keys[i].key = data(view_of(k->key, k->key_len));
        p->keys[i].fingerprint = text(k->fingerprint);
        p->keys[i].state = text(k->state);
        p->keys[i].recorded = text(k->recorded);
        p->key_list[i] = &p->keys[i];
    }
    out->steps = p->step_list;
    out->n_steps = r->step_count;
    out->keys = p->key_list;
    out->n_keys = r->key_count;
}

void convert_put_probe(const struct records *to, const struct probe_request *r,
                       const struct probe_outcome *o, record_put_fn done, void *ctx)
{
    Postern__ProbeRequest m = POSTERN__PROBE_REQUEST__INIT;
    Google__Protobuf__Timestamp created = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    struct report_parts parts;
    created.seconds = (int64_t)(r->created_ms / 1000);
    m.kind = r->kind;
    m.route = r->route;
    m.state = text(o->state);
    m.created_at = &created;
    m.login = r->login;
    m.by = r->by;
    m.owner = text(o->owner);
    m.worker = text(o->worker);
    m.target = text(o->target);
    if (o->report) {
        m.result = text(o->ok ? "ok" : "failed");
        fill_report(&parts, o->report, &m);
    }
    const struct record_write w = {&postern__probe_request__descriptor, r->id, &m.base, r->version};
    records_put(to, &w, 1, done, ctx);
}

/* --- the stream --- */

enum err convert_send_probe(struct rpc_call *call, const struct stream_probe *p)
{
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    Postern__Probe out = POSTERN__PROBE__INIT;
    ProtobufCBinaryData certificates[STREAM_CERTIFICATES_MAX];
    CHECK(p->certificate_count <= STREAM_CERTIFICATES_MAX);
    for (size_t i = 0; i < p->certificate_count; i++)
        certificates[i] = data(p->certificates[i]);
    out.id = text(p->id);
    out.kind = (Postern__ProbeKind)p->kind;
    out.address = text(p->address);
    out.host_key_types = (char **)(uintptr_t)p->host_key_types;
    out.n_host_key_types = p->host_key_type_count;
    out.host_key = data(p->host_key);
    out.login = text(p->login);
    out.private_key = data(p->private_key);
    out.certificates = certificates;
    out.n_certificates = p->certificate_count;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_PROBE;
    m.probe = &out;
    return rpc_send(call, &m.base);
}
