#include "authorize/convert_stream.h"

#include "common/base/mem.h"
#include "proto/postern/decide.pb-c.h"

struct rpc_method convert_stream_method(void)
{
    return (struct rpc_method){
        .service = &postern__decide__descriptor,
        .name = "Stream",
        .kind = RPC_BIDI,
        .callers = RPC_CALLER_PROXY,
    };
}

/* --- up --- */

static bool is_id(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= STREAM_ID_MAX;
}

static bool is_text(const char *s)
{
    return strlen(s) <= STREAM_TEXT_MAX;
}

static struct view bytes(ProtobufCBinaryData data)
{
    return view_of(data.data, data.len);
}

static bool read_ssh(const Postern__SshFacts *m, struct stream_check *out)
{
    if (!m)
        return false;
    out->login = m->login;
    out->route = m->route;
    out->key = bytes(m->public_key);
    out->client_version = m->client_version;
    return is_text(out->login) && is_text(out->route) && is_text(out->client_version) &&
           out->key.len > 0 && out->key.len <= STREAM_KEY_MAX;
}

/*
 * The texts are a stranger's: too long a one is refused in place, not by the end of the stream,
 * which many others are on.
 */
static bool read_tunnel(const Postern__TunnelFacts *m, struct stream_check *out)
{
    if (!m)
        return false;
    const Postern__ClientCertificate *c = m->client_certificate;
    struct stream_tunnel *t = &out->tunnel;
    out->login = out->route = out->client_version = "";
    out->is_oversized =
        !is_text(m->authority) || !is_text(m->method) || strlen(m->path) > STREAM_PATH_MAX;
    *t = (struct stream_tunnel){
        .authority = out->is_oversized ? "" : m->authority,
        .method = out->is_oversized ? "" : m->method,
        .path = out->is_oversized ? "" : m->path,
        .token = bytes(m->token),
        .certificate_presented = c && c->presented,
        .certificate_valid = c && c->valid && c->leaf.len <= STREAM_LEAF_MAX,
        .user_agent = view_take(view_str(m->user_agent), STREAM_TEXT_MAX),
        .request_id = view_take(view_str(m->request_id), STREAM_ID_MAX),
    };
    if (c)
        t->certificate = view_take(bytes(c->leaf), STREAM_LEAF_MAX);
    return true;
}

static bool read_check(const Postern__Check *m, struct stream_check *out)
{
    enum protocol protocol;
    if (!m || !is_id(m->connection_id) || !is_text(m->source_address) ||
        !protocol_parse(m->protocol, &protocol))
        return false;
    *out = (struct stream_check){
        .connection_id = m->connection_id,
        .protocol = protocol,
        .source = m->source_address,
        .attempt = m->attempt,
    };
    return protocol == PROTOCOL_SSH ? read_ssh(m->ssh, out) : read_tunnel(m->tunnel, out);
}

static bool read_certify(const Postern__Certify *m, struct stream_certify *out)
{
    *out = (struct stream_certify){
        .connection_id = m->connection_id,
        .public_key = bytes(m->public_key),
        .host_key = bytes(m->host_key),
        .upstream = m->upstream,
        .request = m->request,
    };
    return is_id(m->connection_id) && is_text(m->upstream) && m->public_key.len <= STREAM_KEY_MAX &&
           m->host_key.len <= STREAM_KEY_MAX;
}

static bool read_shell(const Postern__ShellCommand *m, struct stream_shell *out)
{
    *out = (struct stream_shell){
        .connection_id = m->connection_id,
        .verb = m->verb == POSTERN__SHELL_COMMAND__VERB__LOGOUT ? STREAM_LOGOUT : STREAM_WHOAMI,
        .request = m->request,
    };
    return is_id(m->connection_id);
}

static bool read_closed(const Postern__Closed *m, struct stream_message *out)
{
    out->closed.connection_id = m->connection_id;
    out->closed.bytes_in = m->bytes_in;
    out->closed.bytes_out = m->bytes_out;
    out->closed.reason = m->reason;
    return is_id(m->connection_id) && is_text(m->reason);
}

static bool read_probed(const Postern__ProbeResult *m, struct stream_probed *out)
{
    *out = (struct stream_probed){.id = m->id, .kind = (enum stream_probe_kind)m->kind};
    if (!is_id(m->id) || m->n_steps > STREAM_PROBED_STEPS_MAX ||
        m->n_host_keys > STREAM_PROBED_KEYS_MAX || m->n_accepted > STREAM_CERTIFICATES_MAX)
        return false;
    for (size_t i = 0; i < m->n_steps; i++) {
        const Postern__ProbedStep *s = m->steps[i];
        if (!is_text(s->text))
            return false;
        out->steps[i] = (struct stream_probed_step){(int)s->name, (int)s->fault, s->ms, s->text};
    }
    for (size_t i = 0; i < m->n_host_keys; i++) {
        if (m->host_keys[i].len > STREAM_KEY_MAX)
            return false;
        out->host_keys[i] = bytes(m->host_keys[i]);
    }
    for (size_t i = 0; i < m->n_accepted; i++)
        out->accepted[i] = m->accepted[i];
    out->step_count = m->n_steps;
    out->host_key_count = m->n_host_keys;
    out->accepted_count = m->n_accepted;
    return true;
}

static bool read_message(const Postern__WorkerMessage *m, struct stream_message *out)
{
    switch (m->message_case) {
    case POSTERN__WORKER_MESSAGE__MESSAGE_HELLO:
        out->kind = STREAM_HELLO;
        out->hello.build = m->hello->build;
        out->hello.protocol = m->hello->protocol;
        out->hello.instance_id = m->hello->instance_id;
        out->hello.leaving = m->hello->leaving;
        out->hello.config_hash = m->hello->config_hash;
        out->hello.host = m->hello->host;
        if (m->hello->started_at && m->hello->started_at->seconds > 0)
            out->hello.started_ms = (uint64_t)m->hello->started_at->seconds * 1000;
        return is_id(m->hello->instance_id) && is_text(m->hello->build) &&
               is_text(m->hello->config_hash) && is_text(m->hello->host);
    case POSTERN__WORKER_MESSAGE__MESSAGE_CHECK:
        out->kind = STREAM_CHECK;
        return read_check(m->check, &out->check);
    case POSTERN__WORKER_MESSAGE__MESSAGE_CANCEL:
        out->kind = STREAM_CANCEL;
        out->cancel.connection_id = m->cancel->connection_id;
        out->cancel.attempt = m->cancel->attempt;
        return is_id(m->cancel->connection_id);
    case POSTERN__WORKER_MESSAGE__MESSAGE_CERTIFY:
        out->kind = STREAM_CERTIFY;
        return read_certify(m->certify, &out->certify);
    case POSTERN__WORKER_MESSAGE__MESSAGE_SHELL_COMMAND:
        out->kind = STREAM_SHELL;
        return read_shell(m->shell_command, &out->shell);
    case POSTERN__WORKER_MESSAGE__MESSAGE_CUT_DONE:
        out->kind = STREAM_CUT_DONE;
        out->closed.connection_id = m->cut_done->connection_id;
        return is_id(m->cut_done->connection_id);
    case POSTERN__WORKER_MESSAGE__MESSAGE_CLOSED:
        out->kind = STREAM_CLOSED;
        return read_closed(m->closed, out);
    case POSTERN__WORKER_MESSAGE__MESSAGE_REGISTER:
        out->kind = STREAM_REGISTER;
        out->registered = m->register_->n_connections;
        return out->registered <= STREAM_REGISTER_MAX;
    case POSTERN__WORKER_MESSAGE__MESSAGE_HEARTBEAT:
        out->kind = STREAM_HEARTBEAT;
        out->heartbeat.config_hash = m->heartbeat->config_hash;
        out->heartbeat.connections = m->heartbeat->connections;
        return is_text(m->heartbeat->config_hash);
    case POSTERN__WORKER_MESSAGE__MESSAGE_PROBE_RESULT:
        out->kind = STREAM_PROBED;
        return read_probed(m->probe_result, &out->probed);
    case POSTERN__WORKER_MESSAGE__MESSAGE__NOT_SET:
    case _POSTERN__WORKER_MESSAGE__MESSAGE__CASE_IS_INT_SIZE:
        break;
    }
    return true;
}

void convert_stream_message(const ProtobufCMessage *message, struct stream_message *out)
{
    *out = (struct stream_message){.kind = STREAM_NOTHING};
    if (!read_message((const Postern__WorkerMessage *)message, out))
        *out = (struct stream_message){.kind = STREAM_MALFORMED};
}

bool convert_stream_registered(const ProtobufCMessage *message, size_t i,
                               struct stream_registered *out)
{
    const Postern__RegisteredConnection *m =
        ((const Postern__WorkerMessage *)message)->register_->connections[i];
    *out = (struct stream_registered){
        .live = m->live,
        .code = m->code,
        .session_id = m->session_id,
        .user_id = m->user_id,
    };
    if (m->state) {
        out->state.server_version = m->state->server_version;
        out->state.record_version = m->state->record_version;
        out->state.config_hash = view_str(m->state->config_hash);
    }
    if (m->since && m->since->seconds > 0)
        out->since_ms = (uint64_t)m->since->seconds * 1000 + (uint64_t)m->since->nanos / 1000000;
    return read_check(m->check, &out->check) && is_text(m->code) && is_text(m->session_id) &&
           is_text(m->user_id);
}

/* --- down --- */

/* protobuf-c has no const; nothing is written to. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static char **texts(const char *const *list)
{
    return (char **)(uintptr_t)list;
}

static Google__Protobuf__Timestamp time_of(uint64_t ms)
{
    Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    t.seconds = (int64_t)(ms / 1000);
    t.nanos = (int32_t)(ms % 1000) * 1000000;
    return t;
}

static Postern__AuthorizeMessage message_of(Postern__AuthorizeMessage__MessageCase kind)
{
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = kind;
    return m;
}

enum err convert_send_hello(struct rpc_call *call, const char *build, const char *instance_id,
                            const char *config_hash)
{
    Postern__AuthorizeMessage m = message_of(POSTERN__AUTHORIZE_MESSAGE__MESSAGE_HELLO);
    Postern__Hello hello = POSTERN__HELLO__INIT;
    hello.build = text(build);
    hello.protocol = 1;
    hello.instance_id = text(instance_id);
    hello.config_hash = text(config_hash);
    m.hello = &hello;
    return rpc_send(call, &m.base);
}

enum err convert_send_heartbeat(struct rpc_call *call, uint64_t streams, bool lagging)
{
    Postern__AuthorizeMessage m = message_of(POSTERN__AUTHORIZE_MESSAGE__MESSAGE_HEARTBEAT);
    Postern__Heartbeat beat = POSTERN__HEARTBEAT__INIT;
    beat.streams = streams;
    beat.lagging = lagging;
    m.heartbeat = &beat;
    return rpc_send(call, &m.base);
}

static void fill_upstream(Postern__Upstream *out, const struct stream_upstream *u, char **address)
{
    *address = text(u->address);
    out->addresses = address;
    out->n_addresses = 1;
    out->host_key_types = texts(u->host_key_types);
    out->n_host_key_types = u->host_key_type_count;
    out->login = text(u->login);
    out->route = text(u->route);
    out->host_key_policy = text(u->host_key_policy);
}

static void fill_login(Postern__Login *out, const struct stream_login *l,
                       Google__Protobuf__Timestamp *expires)
{
    *expires = time_of(l->expires_ms);
    out->prompt = text(l->prompt);
    out->url = text(l->url);
    out->match_code = text(l->match_code);
    out->code = text(l->code);
    out->expires_at = expires;
}

static void fill_state(Postern__StateVersion *out, const struct state_version *v, char **hash)
{
    *hash = mem_strndup(v->config_hash.ptr, v->config_hash.len);
    out->server_version = v->server_version;
    out->record_version = v->record_version;
    out->config_hash = *hash;
}

enum err convert_send_decision(struct rpc_call *call, const struct stream_decision *d)
{
    Postern__AuthorizeMessage m = message_of(POSTERN__AUTHORIZE_MESSAGE__MESSAGE_DECISION);
    Postern__Decision out = POSTERN__DECISION__INIT;
    Postern__Login login = POSTERN__LOGIN__INIT;
    Postern__Upstream upstream = POSTERN__UPSTREAM__INIT;
    Postern__StateVersion state = POSTERN__STATE_VERSION__INIT;
    Google__Protobuf__Timestamp expires = time_of(d->expires_ms);
    Google__Protobuf__Timestamp login_expires;
    AUTO_FREE char *hash = NULL;
    char *address;
    out.connection_id = text(d->connection_id);
    out.attempt = d->attempt;
    out.verdict = (Postern__Decision__Verdict)d->verdict;
    out.sentence = text(d->sentence);
    out.reasons = texts(d->reasons);
    out.n_reasons = d->reason_count;
    if (d->login) {
        fill_login(&login, d->login, &login_expires);
        out.login = &login;
    }
    if (d->upstream) {
        fill_upstream(&upstream, d->upstream, &address);
        out.upstream = &upstream;
    }
    fill_state(&state, &d->state, &hash);
    out.state = &state;
    out.session_id = text(d->session_id);
    out.user_id = text(d->user_id);
    out.email = text(d->email);
    out.route_id = text(d->route_id);
    out.binding_key = text(d->binding_key);
    out.shell = d->shell;
    out.cause = (Postern__Decision__Cause)d->cause;
    out.body = (ProtobufCBinaryData){d->body.len, (uint8_t *)(uintptr_t)d->body.ptr};
    out.service_account = d->service_account;
    if (d->expires_ms != UINT64_MAX)
        out.expires_at = &expires;
    m.decision = &out;
    return rpc_send(call, &m.base);
}

enum err convert_send_login_result(struct rpc_call *call, const char *connection_id,
                                   uint32_t attempt, enum stream_outcome outcome,
                                   const char *sentence)
{
    Postern__AuthorizeMessage m = message_of(POSTERN__AUTHORIZE_MESSAGE__MESSAGE_LOGIN_RESULT);
    Postern__LoginResult result = POSTERN__LOGIN_RESULT__INIT;
    result.connection_id = text(connection_id);
    result.attempt = attempt;
    result.outcome = (Postern__LoginResult__Outcome)outcome;
    result.sentence = text(sentence);
    m.login_result = &result;
    return rpc_send(call, &m.base);
}

enum err convert_send_cut(struct rpc_call *call, const char *connection_id, const char *reason)
{
    Postern__AuthorizeMessage m = message_of(POSTERN__AUTHORIZE_MESSAGE__MESSAGE_CUT);
    Postern__Cut cut = POSTERN__CUT__INIT;
    cut.connection_id = text(connection_id);
    cut.reason = text(reason);
    m.cut = &cut;
    return rpc_send(call, &m.base);
}

enum err convert_send_certificate(struct rpc_call *call, const struct stream_certificate *c)
{
    Postern__AuthorizeMessage m = message_of(POSTERN__AUTHORIZE_MESSAGE__MESSAGE_CERTIFICATE);
    Postern__Certificate out = POSTERN__CERTIFICATE__INIT;
    Google__Protobuf__Timestamp valid_before = time_of(c->valid_before_s * 1000);
    out.connection_id = text(c->connection_id);
    out.request = c->request;
    out.certificate = (ProtobufCBinaryData){c->blob.len, (uint8_t *)(uintptr_t)c->blob.ptr};
    out.serial = c->serial;
    out.valid_before = &valid_before;
    m.certificate = &out;
    return rpc_send(call, &m.base);
}

enum err convert_send_refusal(struct rpc_call *call, const char *connection_id, uint32_t request,
                              const char *sentence)
{
    Postern__AuthorizeMessage m = message_of(POSTERN__AUTHORIZE_MESSAGE__MESSAGE_REFUSAL);
    Postern__Refusal out = POSTERN__REFUSAL__INIT;
    out.connection_id = text(connection_id);
    out.request = request;
    out.sentence = text(sentence);
    m.refusal = &out;
    return rpc_send(call, &m.base);
}

enum err convert_send_shell_result(struct rpc_call *call, const struct stream_shell *question,
                                   uint32_t status, const char *shown)
{
    Postern__AuthorizeMessage m = message_of(POSTERN__AUTHORIZE_MESSAGE__MESSAGE_SHELL_RESULT);
    Postern__ShellResult out = POSTERN__SHELL_RESULT__INIT;
    out.connection_id = text(question->connection_id);
    out.request = question->request;
    out.status = status;
    out.text = text(shown);
    m.shell_result = &out;
    return rpc_send(call, &m.base);
}
