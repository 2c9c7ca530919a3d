/* Probes of the Decide stream: orders in, results out. */
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "proto/postern/decide.pb-c.h"
#include "proxy/convert.h"

enum { TEXT_MAX = 1024 };

static bool is_text(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= TEXT_MAX;
}

static enum err take(struct buf *out, ProtobufCBinaryData data)
{
    return buf_append(out, view_of(data.data, data.len));
}

/* What goes beyond a limit, or is missing, makes the whole malformed. */
static enum err read_probe(const Postern__Probe *m, struct probe_order *o)
{
    if (m->kind > (int)PROBE_LOGIN || !is_text(m->id) || !is_text(m->address) ||
        m->n_host_key_types > PROBE_TYPES_MAX || m->n_certificates > PROBE_CERTIFICATES_MAX)
        return ERR_SYNTAX;
    if (m->kind == POSTERN__PROBE_KIND__PROBE_LOGIN && !is_text(m->login))
        return ERR_SYNTAX;
    o->kind = (enum probe_kind)m->kind;
    o->id = mem_strdup(m->id);
    o->address = mem_strdup(m->address);
    o->login = mem_strdup(m->login);
    for (size_t i = 0; i < m->n_host_key_types; i++)
        o->host_key_types[o->host_key_type_count++] = mem_strdup(m->host_key_types[i]);
    TRY(take(&o->host_key, m->host_key));
    secret_set(&o->private_key, view_of(m->private_key.data, m->private_key.len));
    for (size_t i = 0; i < m->n_certificates; i++)
        TRY(take(&o->certificates[o->certificate_count++], m->certificates[i]));
    return OK;
}

struct probe_order *convert_probe(const ProtobufCMessage *message)
{
    const Postern__AuthorizeMessage *m = (const Postern__AuthorizeMessage *)message;
    struct probe_order *o = mem_zalloc(sizeof *o);
    probe_order_init(o);
    if (read_probe(m->probe, o) == OK)
        return o;
    log_error("a probe is malformed", LOG_STR("id", m->probe->id));
    probe_order_fini(o);
    mem_free(o);
    return NULL;
}

struct result_parts {
    Postern__ProbedStep steps[PROBE_STEPS_MAX];
    Postern__ProbedStep *step_list[PROBE_STEPS_MAX];
    ProtobufCBinaryData host_keys[PROBE_KEYS_MAX];
    protobuf_c_boolean accepted[PROBE_CERTIFICATES_MAX];
};

static void fill_steps(struct result_parts *p, const struct probe_result *r)
{
    for (size_t i = 0; i < r->step_count; i++) {
        postern__probed_step__init(&p->steps[i]);
        p->steps[i].name = (Postern__ProbedStep__Name)r->steps[i].name;
        p->steps[i].fault = (Postern__ProbedStep__Fault)r->steps[i].fault;
        p->steps[i].ms = r->steps[i].ms;
        p->steps[i].text = (char *)(uintptr_t)r->steps[i].text;
        p->step_list[i] = &p->steps[i];
    }
}

enum err convert_send_probe_result(struct rpc_stream *s, const struct probe_order *order,
                                   const struct probe_result *result)
{
    struct result_parts parts;
    Postern__ProbeResult out = POSTERN__PROBE_RESULT__INIT;
    fill_steps(&parts, result);
    for (size_t i = 0; i < result->host_key_count; i++) {
        struct view key = buf_view(&result->host_keys[i]);
        parts.host_keys[i] = (ProtobufCBinaryData){key.len, (uint8_t *)(uintptr_t)key.ptr};
    }
    for (size_t i = 0; i < result->accepted_count; i++)
        parts.accepted[i] = result->accepted[i];
    out.id = order->id;
    out.kind = (Postern__ProbeKind)order->kind;
    out.steps = parts.step_list;
    out.n_steps = result->step_count;
    out.host_keys = parts.host_keys;
    out.n_host_keys = result->host_key_count;
    out.accepted = parts.accepted;
    out.n_accepted = result->accepted_count;
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_PROBE_RESULT;
    m.probe_result = &out;
    return rpc_stream_send(s, &m.base);
}
