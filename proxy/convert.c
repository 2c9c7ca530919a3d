#include "proxy/convert.h"

#include "common/base/mem.h"
#include "proto/postern/decide.pb-c.h"
#include "proxy/decide_internal.h"

struct rpc_method_name convert_decide_method(void)
{
    return (struct rpc_method_name){.service = &postern__decide__descriptor, .name = "Stream"};
}

/* --- up --- */

/* protobuf-c knows no const; nothing is written to. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static ProtobufCBinaryData bytes(struct view v)
{
    return (ProtobufCBinaryData){.len = v.len, .data = (uint8_t *)(uintptr_t)v.ptr};
}

static enum err send_message(struct rpc_stream *s, const Postern__WorkerMessage *m)
{
    return rpc_stream_send(s, &m->base);
}

static Google__Protobuf__Timestamp time_of(uint64_t ms)
{
    Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    t.seconds = (int64_t)(ms / 1000);
    t.nanos = (int32_t)(ms % 1000) * 1000000;
    return t;
}

enum err convert_send_hello(struct rpc_stream *s, const struct convert_hello *h)
{
    Postern__Hello hello = POSTERN__HELLO__INIT;
    Google__Protobuf__Timestamp started = time_of(h->started_ms);
    hello.build = text(h->build);
    hello.protocol = DECIDE_PROTOCOL;
    hello.instance_id = text(h->instance_id);
    hello.config_hash = text(h->config_hash);
    hello.host = text(h->host);
    hello.started_at = &started;
    hello.leaving = h->leaving;
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_HELLO;
    m.hello = &hello;
    return send_message(s, &m);
}

enum err convert_send_heartbeat(struct rpc_stream *s, const char *config_hash, uint64_t connections)
{
    Postern__Heartbeat heartbeat = POSTERN__HEARTBEAT__INIT;
    heartbeat.config_hash = text(config_hash);
    heartbeat.connections = connections;
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_HEARTBEAT;
    m.heartbeat = &heartbeat;
    return send_message(s, &m);
}

struct check_parts {
    Postern__Check check;
    Postern__SshFacts ssh;
    Postern__TunnelFacts tunnel;
    Postern__ClientCertificate certificate;
};

static void fill_tunnel(struct check_parts *p, const struct decide_facts *f)
{
    postern__tunnel_facts__init(&p->tunnel);
    postern__client_certificate__init(&p->certificate);
    p->tunnel.authority = text(f->authority);
    p->tunnel.method = text(f->method);
    p->tunnel.path = text(f->path);
    p->tunnel.token = bytes(buf_view(&f->token));
    p->tunnel.token_place = (Postern__TunnelFacts__TokenPlace)f->token_place;
    p->tunnel.user_agent = text(f->user_agent);
    p->tunnel.request_id = text(f->request_id);
    p->certificate.presented = f->certificate_presented;
    p->certificate.valid = f->certificate_valid;
    p->certificate.error = text(f->certificate_error);
    p->certificate.leaf = bytes(buf_view(&f->leaf));
    p->tunnel.client_certificate = &p->certificate;
    p->check.tunnel = &p->tunnel;
}

static void fill_ssh(struct check_parts *p, const struct decide_link *l)
{
    postern__ssh_facts__init(&p->ssh);
    p->ssh.login = text(l->login);
    p->ssh.route = text(l->route);
    p->ssh.public_key = bytes(buf_view(&l->key));
    p->ssh.key_algorithm = text(l->key_type);
    p->ssh.client_version = text(l->client_version);
    p->check.ssh = &p->ssh;
}

static void fill_check(struct check_parts *p, const struct decide_link *l)
{
    static const char *const protocols[] = {
        [DECIDE_SSH] = "ssh", [DECIDE_TCP] = "tcp", [DECIDE_UDP] = "udp", [DECIDE_HTTP] = "http"};
    postern__check__init(&p->check);
    p->check.connection_id = text(l->id);
    p->check.protocol = text(protocols[l->protocol]);
    p->check.source_address = text(l->source);
    p->check.attempt = l->attempt;
    if (l->facts)
        fill_tunnel(p, l->facts);
    else
        fill_ssh(p, l);
}

enum err convert_send_check(struct rpc_stream *s, const struct decide_link *l)
{
    struct check_parts parts;
    fill_check(&parts, l);
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_CHECK;
    m.check = &parts.check;
    return send_message(s, &m);
}

enum err convert_send_cancel(struct rpc_stream *s, const struct decide_link *l)
{
    Postern__Cancel cancel = POSTERN__CANCEL__INIT;
    cancel.connection_id = text(l->id);
    cancel.attempt = l->attempt;
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_CANCEL;
    m.cancel = &cancel;
    return send_message(s, &m);
}

enum err convert_send_certify(struct rpc_stream *s, const struct decide_link *l)
{
    Postern__Certify certify = POSTERN__CERTIFY__INIT;
    certify.connection_id = text(l->id);
    certify.public_key = bytes(buf_view(&l->public_key));
    certify.host_key = bytes(buf_view(&l->host_key));
    certify.upstream = text(l->upstream);
    certify.request = l->request;
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_CERTIFY;
    m.certify = &certify;
    return send_message(s, &m);
}

enum err convert_send_shell_command(struct rpc_stream *s, const struct decide_link *l)
{
    Postern__ShellCommand command = POSTERN__SHELL_COMMAND__INIT;
    command.connection_id = text(l->id);
    command.verb = l->shell_verb == DECIDE_LOGOUT ? POSTERN__SHELL_COMMAND__VERB__LOGOUT
                                                  : POSTERN__SHELL_COMMAND__VERB__WHOAMI;
    command.request = l->shell_request;
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_SHELL_COMMAND;
    m.shell_command = &command;
    return send_message(s, &m);
}

enum err convert_send_cut_done(struct rpc_stream *s, const char *id)
{
    Postern__CutDone done = POSTERN__CUT_DONE__INIT;
    done.connection_id = text(id);
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_CUT_DONE;
    m.cut_done = &done;
    return send_message(s, &m);
}

enum err convert_send_closed(struct rpc_stream *s, const struct decide_link *l, uint64_t bytes_in,
                             uint64_t bytes_out, const char *reason)
{
    Postern__Closed closed = POSTERN__CLOSED__INIT;
    closed.connection_id = text(l->id);
    closed.bytes_in = bytes_in;
    closed.bytes_out = bytes_out;
    closed.reason = text(reason);
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_CLOSED;
    m.closed = &closed;
    return send_message(s, &m);
}

struct registered_parts {
    Postern__RegisteredConnection connection;
    Postern__StateVersion state;
    Google__Protobuf__Timestamp since;
    struct check_parts check;
};

static void fill_registered(struct registered_parts *p, const struct decide_link *l)
{
    postern__registered_connection__init(&p->connection);
    postern__state_version__init(&p->state);
    fill_check(&p->check, l);
    p->state.server_version = l->state.server_version;
    p->state.record_version = l->state.record_version;
    p->state.config_hash = text(l->state.config_hash);
    p->since = time_of(l->since_ms);
    p->connection.check = &p->check.check;
    p->connection.state = &p->state;
    p->connection.live = l->phase == DECIDE_LINK_LIVE;
    p->connection.code = text(l->code);
    p->connection.binding_key = text(l->binding_key);
    p->connection.session_id = text(l->session_id);
    p->connection.user_id = text(l->user_id);
    p->connection.since = &p->since;
}

enum err convert_send_register(struct rpc_stream *s, const struct decide_link *const *links,
                               size_t count)
{
    AUTO_FREE struct registered_parts *parts = mem_zalloc_array(count, sizeof *parts);
    AUTO_FREE Postern__RegisteredConnection **list = mem_zalloc_array(count, sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        fill_registered(&parts[i], links[i]);
        list[i] = &parts[i].connection;
    }
    Postern__Register reg = POSTERN__REGISTER__INIT;
    reg.n_connections = count;
    reg.connections = list;
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_REGISTER;
    m.register_ = &reg;
    return send_message(s, &m);
}

/* --- down --- */

static enum decide_verdict verdict_of(Postern__Decision__Verdict v)
{
    /* What a later version may say is no permission. */
    switch ((int)v) {
    case POSTERN__DECISION__VERDICT__ALLOW:
        return DECIDE_ALLOW;
    case POSTERN__DECISION__VERDICT__LOGIN:
        return DECIDE_LOGIN;
    case POSTERN__DECISION__VERDICT__TRY_NEXT_KEY:
        return DECIDE_NEXT_KEY;
    default:
        return DECIDE_DENY;
    }
}

static enum decide_cause cause_of(Postern__Decision__Cause c)
{
    _Static_assert((int)DECIDE_UNAVAILABLE == (int)POSTERN__DECISION__CAUSE__UNAVAILABLE, "");
    return (unsigned)c <= DECIDE_UNAVAILABLE ? (enum decide_cause)c : DECIDE_CAUSE_NONE;
}

static void read_upstream(const Postern__Upstream *u, struct decide_decision *d)
{
    d->addresses = (const char *const *)u->addresses;
    d->address_count = u->n_addresses;
    d->host_key_types = (const char *const *)u->host_key_types;
    d->host_key_type_count = u->n_host_key_types;
    d->login = u->login;
    d->route = u->route;
}

static void read_decision(const Postern__Decision *m, struct decide_decision *d)
{
    *d = (struct decide_decision){
        .verdict = verdict_of(m->verdict),
        .sentence = m->sentence,
        .prompt = m->login ? m->login->prompt : "",
        .url = m->login ? m->login->url : "",
        .match_code = m->login ? m->login->match_code : "",
        .code = m->login ? m->login->code : "",
        .login = "",
        .route = "",
        .session_id = m->session_id,
        .user_id = m->user_id,
        .email = m->email,
        .route_id = m->route_id,
        .binding_key = m->binding_key,
        .shell = m->shell,
        .cause = cause_of(m->cause),
        .body = view_of(m->body.data, m->body.len),
        .service_account = m->service_account,
        .state.config_hash = text(NULL),
    };
    if (m->upstream)
        read_upstream(m->upstream, d);
    if (m->state)
        d->state = (struct decide_state_version){.server_version = m->state->server_version,
                                                 .record_version = m->state->record_version,
                                                 .config_hash = m->state->config_hash};
    if (d->verdict == DECIDE_LOGIN && !m->login && d->cause == DECIDE_CAUSE_NONE)
        d->verdict = DECIDE_DENY;
}

static void read_decision_message(const Postern__AuthorizeMessage *m, struct convert_message *out)
{
    out->kind = CONVERT_DECISION;
    out->connection_id = m->decision->connection_id;
    out->number = m->decision->attempt;
    read_decision(m->decision, &out->decision);
}

static void read_login_result(const Postern__LoginResult *m, struct convert_message *out)
{
    *out = (struct convert_message){
        .kind = CONVERT_LOGIN_RESULT,
        .connection_id = m->connection_id,
        .number = m->attempt,
        .accepted = m->outcome == POSTERN__LOGIN_RESULT__OUTCOME__ACCEPTED,
        .sentence = m->sentence,
    };
}

static void read_certificate(const Postern__Certificate *m, struct convert_message *out)
{
    *out = (struct convert_message){
        .kind = CONVERT_CERTIFICATE,
        .connection_id = m->connection_id,
        .number = m->request,
        .certificate = view_of(m->certificate.data, m->certificate.len),
        .serial = m->serial,
    };
}

static void read_hello(const Postern__Hello *m, struct convert_message *out)
{
    *out = (struct convert_message){
        .kind = CONVERT_HELLO,
        .protocol = m->protocol,
        .build = m->build,
        .instance = m->instance_id,
        .config_hash = m->config_hash,
    };
}

void convert_message(const ProtobufCMessage *message, struct convert_message *out)
{
    const Postern__AuthorizeMessage *m = (const Postern__AuthorizeMessage *)message;
    *out = (struct convert_message){.kind = CONVERT_NOTHING};
    switch (m->message_case) {
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_HELLO:
        read_hello(m->hello, out);
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_DECISION:
        read_decision_message(m, out);
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_CERTIFICATE:
        read_certificate(m->certificate, out);
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_REFUSAL:
        out->kind = CONVERT_REFUSAL;
        out->connection_id = m->refusal->connection_id;
        out->number = m->refusal->request;
        out->sentence = m->refusal->sentence;
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_LOGIN_RESULT:
        read_login_result(m->login_result, out);
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_SHELL_RESULT:
        out->kind = CONVERT_SHELL_RESULT;
        out->connection_id = m->shell_result->connection_id;
        out->number = m->shell_result->request;
        out->sentence = m->shell_result->text;
        out->status = m->shell_result->status;
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_CUT:
        out->kind = CONVERT_CUT;
        out->connection_id = m->cut->connection_id;
        out->sentence = m->cut->reason;
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_ROUTES:
        out->kind = CONVERT_ROUTES;
        out->config_hash = m->routes->config_hash;
        out->more = m->routes->more;
        out->first = m->routes->first;
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_HEARTBEAT:
        out->kind = CONVERT_HEARTBEAT;
        out->streams = m->heartbeat->streams;
        out->lagging = m->heartbeat->lagging;
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE_PROBE:
        out->kind = CONVERT_PROBE;
        break;
    case POSTERN__AUTHORIZE_MESSAGE__MESSAGE__NOT_SET:
    case _POSTERN__AUTHORIZE_MESSAGE__MESSAGE__CASE_IS_INT_SIZE:
        break;
    }
}
