#include "authorize/worker.h"

#include <stdio.h>

#include "authorize/certify.h"
#include "authorize/connection.h"
#include "authorize/convert_stream.h"
#include "authorize/probe.h"
#include "authorize/proof.h"
#include "authorize/shell.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"

enum { PROTOCOL = 1 };

struct view worker_key(const struct worker *w)
{
    return view_of(&w->id, sizeof w->id);
}

static void end(struct worker *w, enum rpc_status status, const char *text)
{
    if (w->finished)
        return;
    w->finished = true;
    rpc_finish(w->call, status, text);
}

bool worker_sent(struct worker *w, enum err e)
{
    if (e == OK)
        return true;
    if (!w->finished) {
        log_warn("worker does not read, its stream is ended", LOG_STR("worker", w->instance),
                 LOG_ERR(e));
        end(w, RPC_RESOURCE_EXHAUSTED, "messages are not read fast enough");
    }
    return false;
}

static size_t count_served(struct authorize *a)
{
    size_t cursor = 0;
    size_t n = 0;
    struct worker *w;
    while ((w = slots_next(&a->workers, &cursor)))
        n += w->instance && !w->finished;
    return n;
}

void workers_tell(struct authorize *a)
{
    size_t n = count_served(a);
    size_t cursor = 0;
    struct worker *w;
    while ((w = slots_next(&a->workers, &cursor))) {
        if (w->instance && !w->finished)
            worker_sent(w, convert_send_heartbeat(w->call, n, a->lags));
    }
}

/* --- the route table --- */

/* Tunnels that were to be allowed while it was on its way. */
static void decide_waiting(struct authorize *a, struct worker *w)
{
    struct live_node *next;
    for (struct live_node *n = live_first(&a->live, LIVE_BY_STREAM, worker_key(w)); n; n = next) {
        struct connection *c = connection_of(n);
        next = live_next(n, LIVE_BY_STREAM);
        if (c->awaits_table)
            connection_resume(a, c);
    }
}

/* As much as there is room for; the rest when the worker has read some. */
static void send_table(struct authorize *a, struct worker *w)
{
    bool more = true;
    while (w->table.snapshot && rpc_has_room(w->call)) {
        if (!worker_sent(w, convert_routes_next(&w->table, &more)))
            return;
        if (more)
            continue;
        convert_routes_end(&w->table);
        w->is_ready = true;
        decide_waiting(a, w);
    }
}

static void begin_table(struct authorize *a, struct worker *w)
{
    convert_routes_begin(&w->table, w->call, a->snapshot);
    send_table(a, w);
}

bool worker_lacks_table(const struct worker *w)
{
    return w->table.snapshot != NULL;
}

/* --- the first message --- */

static void end_older(struct authorize *a, const struct worker *w)
{
    size_t cursor = 0;
    struct worker *other;
    while ((other = slots_next(&a->workers, &cursor))) {
        if (other != w && other->instance && strcmp(other->instance, w->instance) == 0)
            end(other, RPC_ABORTED, "the worker has opened another stream");
    }
}

static void on_hello(struct authorize *a, struct worker *w, const struct stream_message *m)
{
    if (m->hello.protocol != PROTOCOL) {
        char theirs[16];
        char ours[16];
        (void)snprintf(theirs, sizeof theirs, "%u", m->hello.protocol);
        (void)snprintf(ours, sizeof ours, "%u", (unsigned)PROTOCOL);
        AUTO_FREE char *text = message_format(MESSAGE_PROTOCOL_VERSION, theirs, ours, NULL);
        log_error("worker refused", LOG_STR("worker", m->hello.instance_id),
                  LOG_STR("build", m->hello.build), LOG_STR("reason", text));
        end(w, RPC_FAILED_PRECONDITION, text);
        return;
    }
    /* Deciding on nothing would deny everybody: another replica may have a copy. */
    if (!syncer_is_synced(a->durable_sync) || !syncer_is_synced(a->request_sync)) {
        end(w, RPC_UNAVAILABLE, "no copy of the database yet");
        return;
    }
    if (proof_pauses(a)) {
        end(w, RPC_UNAVAILABLE, "authorize was paused");
        return;
    }
    /* It is served elsewhere: only to even the numbers out, and not by a copy that may be old. */
    if (m->hello.leaving && (m->hello.leaving < count_served(a) + 2 || a->lags)) {
        end(w, RPC_RESOURCE_EXHAUSTED, "better served where it is");
        return;
    }
    w->instance = mem_strdup(m->hello.instance_id);
    w->build = mem_strdup(m->hello.build);
    w->host = mem_strdup(m->hello.host);
    w->config_hash = mem_strdup(m->hello.config_hash);
    w->started_ms = m->hello.started_ms;
    end_older(a, w);
    log_info("worker connected", LOG_STR("worker", w->instance), LOG_STR("build", m->hello.build),
             LOG_STR("ip", rpc_call_address(w->call)));
    if (worker_sent(w, convert_send_hello(w->call, daemon_version(), a->instance,
                                          a->snapshot->config->hash)))
        begin_table(a, w);
    workers_tell(a);
}

/* --- the others --- */

static void on_cancel(struct authorize *a, struct worker *w, const struct stream_message *m)
{
    struct connection *c = connection_find(a, w, m->cancel.connection_id);
    if (c && (m->cancel.attempt == 0 || m->cancel.attempt == c->attempt))
        connection_remove(a, c, true);
}

static void on_closed(struct authorize *a, struct worker *w, const struct stream_message *m)
{
    struct connection *c = connection_find(a, w, m->closed.connection_id);
    if (!c)
        return;
    log_debug("connection closed", LOG_STR("connection-id", connection_id(c)),
              LOG_U64("bytes-in", m->closed.bytes_in), LOG_U64("bytes-out", m->closed.bytes_out),
              LOG_STR("reason", m->closed.reason));
    connection_remove(a, c, true);
}

static void on_cut_done(struct authorize *a, struct worker *w, const struct stream_message *m)
{
    struct connection *c = connection_find(a, w, m->closed.connection_id);
    if (c && c->phase == CONNECTION_CUT)
        connection_remove(a, c, true);
}

static void on_register(struct authorize *a, struct worker *w, const ProtobufCMessage *message,
                        size_t count)
{
    for (size_t i = 0; i < count && !w->finished; i++) {
        struct stream_registered r;
        if (!convert_stream_registered(message, i, &r)) {
            end(w, RPC_INVALID_ARGUMENT, "malformed message");
            return;
        }
        connection_register(a, w, &r);
    }
    log_info("connections registered", LOG_STR("worker", w->instance), LOG_U64("count", count));
}

static void on_heartbeat(struct worker *w, const struct stream_message *m)
{
    w->connections = m->heartbeat.connections;
    if (*m->heartbeat.config_hash && strcmp(m->heartbeat.config_hash, w->config_hash) != 0)
        mem_set_str(&w->config_hash, m->heartbeat.config_hash);
}

static void dispatch(struct authorize *a, struct worker *w, const ProtobufCMessage *message,
                     const struct stream_message *m)
{
    switch (m->kind) {
    case STREAM_CHECK:
        connection_check(a, w, &m->check);
        break;
    case STREAM_CANCEL:
        on_cancel(a, w, m);
        break;
    case STREAM_CERTIFY:
        certify(a, w, &m->certify);
        break;
    case STREAM_SHELL:
        shell_command(a, w, &m->shell);
        break;
    case STREAM_CUT_DONE:
        on_cut_done(a, w, m);
        break;
    case STREAM_CLOSED:
        on_closed(a, w, m);
        break;
    case STREAM_REGISTER:
        on_register(a, w, message, m->registered);
        break;
    case STREAM_HELLO:
    case STREAM_MALFORMED:
        end(w, RPC_INVALID_ARGUMENT, "malformed message");
        break;
    case STREAM_HEARTBEAT:
        on_heartbeat(w, m);
        break;
    case STREAM_PROBED:
        probes_answer(a, w, &m->probed);
        break;
    case STREAM_NOTHING:
        break;
    }
}

static void on_open(struct rpc_call *call, void *ctx)
{
    struct authorize *a = ctx;
    struct worker *w = mem_zalloc(sizeof *w);
    w->authorize = a;
    w->call = call;
    w->heard_at = loop_now_ms(a->loop);
    w->id = slots_add(&a->workers, w);
    rpc_call_set_data(call, w);
    if (a->stopping)
        end(w, RPC_UNAVAILABLE, "stopping");
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    struct authorize *a = ctx;
    struct worker *w = rpc_call_data(call);
    struct stream_message m;
    if (!w || w->finished || (w->instance && proof_pauses(a)))
        return;
    w->heard_at = loop_now_ms(a->loop);
    convert_stream_message(message, &m);
    if (w->instance)
        dispatch(a, w, message, &m);
    else if (m.kind == STREAM_HELLO)
        on_hello(a, w, &m);
    else
        end(w, RPC_INVALID_ARGUMENT, "Hello comes first");
}

static void on_half_close(struct rpc_call *call, void *ctx)
{
    (void)ctx;
    struct worker *w = rpc_call_data(call);
    if (w)
        end(w, RPC_OK, NULL);
}

static void send_cuts(struct authorize *a, struct worker *w, uint64_t now)
{
    struct live_node *next;
    for (struct live_node *n = live_first(&a->live, LIVE_BY_STREAM, worker_key(w)); n; n = next) {
        struct connection *c = connection_of(n);
        next = live_next(n, LIVE_BY_STREAM);
        if (c->phase == CONNECTION_CUT &&
            (c->cut_at == 0 || now - c->cut_at >= AUTHORIZE_CUT_CONFIRM_MS))
            connection_send_cut(a, c);
    }
}

static void on_writable(struct rpc_call *call, void *ctx)
{
    struct authorize *a = ctx;
    struct worker *w = rpc_call_data(call);
    if (!w || w->finished)
        return;
    send_cuts(a, w, loop_now_ms(a->loop));
    send_table(a, w);
}

static void on_end(struct rpc_call *call, bool cancelled, void *ctx)
{
    struct authorize *a = ctx;
    struct worker *w = rpc_call_data(call);
    if (!w)
        return;
    struct live_node *n;
    size_t count = 0;
    w->finished = true;
    while ((n = live_first(&a->live, LIVE_BY_STREAM, worker_key(w)))) {
        connection_remove(a, connection_of(n), false);
        count++;
    }
    if (w->instance)
        log_info("worker gone", LOG_STR("worker", w->instance), LOG_U64("connections", count),
                 LOG_BOOL("cancelled", cancelled));
    convert_routes_end(&w->table);
    slots_remove(&a->workers, w->id);
    rpc_call_set_data(call, NULL);
    if (w->instance && !a->stopping)
        workers_tell(a);
    mem_free(w->instance);
    mem_free(w->build);
    mem_free(w->host);
    mem_free(w->config_hash);
    mem_free(w);
}

const struct rpc_method *worker_methods(size_t *out_count)
{
    static struct rpc_method methods[1];
    methods[0] = convert_stream_method();
    methods[0].on_open = on_open;
    methods[0].on_message = on_message;
    methods[0].on_half_close = on_half_close;
    methods[0].on_writable = on_writable;
    methods[0].on_end = on_end;
    *out_count = 1;
    return methods;
}

/* --- all of them --- */

void workers_tick(struct authorize *a)
{
    uint64_t now = loop_now_ms(a->loop);
    /* After a pause of our own the silence may be ours: what they sent is not read yet. */
    bool late = now - a->ticked_at > 2 * AUTHORIZE_HEARTBEAT_MS;
    size_t cursor = 0;
    size_t served = count_served(a);
    struct worker *w;
    a->ticked_at = now;
    while ((w = slots_next(&a->workers, &cursor))) {
        if (w->finished)
            continue;
        if (!late && now - w->heard_at > AUTHORIZE_SILENCE_MS) {
            log_warn("worker is silent, its stream is ended", LOG_STR("worker", w->instance));
            end(w, RPC_DEADLINE_EXCEEDED, "silent for 3 s");
            continue;
        }
        if (w->instance && worker_sent(w, convert_send_heartbeat(w->call, served, a->lags)))
            send_cuts(a, w, now);
    }
}

void workers_send_routes(struct authorize *a)
{
    size_t cursor = 0;
    struct worker *w;
    while ((w = slots_next(&a->workers, &cursor))) {
        if (!w->finished && w->instance)
            begin_table(a, w);
    }
}

void workers_end(struct authorize *a, const char *why)
{
    size_t cursor = 0;
    struct worker *w;
    while ((w = slots_next(&a->workers, &cursor)))
        end(w, RPC_UNAVAILABLE, why);
}
