#include "authorize/certify.h"

#include "authorize/audit.h"
#include "authorize/ca/ca.h"
#include "authorize/convert_records.h"
#include "authorize/host_key.h"
#include "authorize/op.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum { TRIES_MAX = 4 };

/* One Certify on its way: host key, record, signature. */
struct certification {
    struct authorize *authorize;
    struct certification *next; /* in authorize.parked */
    uint64_t until;             /* loop time; of one that is parked */
    uint64_t worker;            /* in authorize.workers */
    char *connection;
    uint32_t request;
    struct public_key key;
    struct buf host_key;
    char *upstream;
    char *record_id;
    char *refusal; /* once the pending key is stored */
    const char *reason;
    unsigned tries;

    /* On the other thread. */
    struct crew_job job;
    struct snapshot *snapshot;
    char *login;
    char *session_id;
    char *user;
    uint64_t now_s;
    struct rng rng;
    enum err result;
    struct ca_certificate certificate;
    uint64_t began_us;
};

static void certification_free(void *data)
{
    struct certification *c = data;
    mem_free(c->connection);
    public_key_fini(&c->key);
    buf_fini(&c->host_key);
    mem_free(c->upstream);
    mem_free(c->record_id);
    mem_free(c->refusal);
    snapshot_unref(c->snapshot);
    mem_free(c->login);
    mem_free(c->session_id);
    mem_free(c->user);
    ca_certificate_fini(&c->certificate);
    mem_free(c);
}

/* NULL when the worker is gone, or ends. */
static struct worker *worker_for(const struct certification *c)
{
    struct worker *w = slots_get(&c->authorize->workers, c->worker);
    return w && !w->finished ? w : NULL;
}

/* NULL when the connection is gone or no longer allowed. */
static struct connection *connection_for(const struct certification *c)
{
    struct worker *w = worker_for(c);
    struct connection *found = w ? connection_find(c->authorize, w, c->connection) : NULL;
    return found && found->phase == CONNECTION_LIVE ? found : NULL;
}

static void count(const struct certification *c, const char *result)
{
    metrics_add(METRIC_CERTIFICATES, 1, result);
    metrics_observe(METRIC_CERTIFICATE_DURATION, metrics_clock_us() - c->began_us);
}

/* Answers and ends. */
static void refuse(struct certification *c, const char *reason, const char *sentence)
{
    struct worker *w = worker_for(c);
    count(c, "refused");
    audit_no_certificate(connection_for(c), c->connection, c->upstream, reason, sentence);
    if (w)
        worker_sent(w, convert_send_refusal(w->call, c->connection, c->request, sentence));
    certification_free(c);
}

static void refuse_on_route(struct certification *c, const char *reason, enum message sentence)
{
    const struct connection *found = connection_for(c);
    AUTO_FREE char *text =
        message_format(sentence, found ? found->route_name : "", c->upstream, NULL);
    refuse(c, reason, text);
}

/* --- the signature --- */

static void on_work(struct crew_job *job)
{
    struct certification *c = CONTAINER_OF(job, struct certification, job);
    struct ca_request r = {
        .key = &c->key,
        .login = view_str(c->login),
        .session_id = view_str(c->session_id),
        .user = view_str(c->user),
        .connection_id = view_str(c->connection),
        .now_s = c->now_s,
    };
    c->result = ca_sign(&r, &c->snapshot->ca, &c->rng, &c->certificate);
}

static void on_signed(struct crew_job *job)
{
    struct certification *c = CONTAINER_OF(job, struct certification, job);
    struct authorize *a = c->authorize;
    struct connection *found = connection_for(c);
    a->signing--;
    if (a->stopping) {
        certification_free(c);
        authorize_stop_step(a);
        return;
    }
    if (c->result != OK) {
        refuse_on_route(c, err_text(c->result), MESSAGE_CERTIFY_FAILED);
        return;
    }
    if (!found) {
        refuse(c, "no longer allowed", message_text(MESSAGE_CERTIFY_NOT_ALLOWED));
        return;
    }
    struct stream_certificate out = {
        .connection_id = c->connection,
        .request = c->request,
        .blob = buf_view(&c->certificate.blob),
        .serial = c->certificate.serial,
        .valid_before_s = c->certificate.valid_before_s,
    };
    count(c, "signed");
    audit_certificate(found, out.serial, out.valid_before_s, c->upstream);
    worker_sent(found->worker, convert_send_certificate(found->worker->call, &out));
    certification_free(c);
}

static void sign(struct certification *c, const struct connection *found)
{
    struct authorize *a = c->authorize;
    if (!a->snapshot->ca.pkey) {
        refuse(c, "no user CA key", message_text(MESSAGE_CERTIFY_NO_CA));
        return;
    }
    c->snapshot = snapshot_ref(a->snapshot);
    c->login = mem_strdup(found->login);
    c->session_id = mem_strdup(found->session_id);
    c->user = mem_strdup(*found->email ? found->email : found->user_id);
    c->now_s = authorize_now() / 1000;
    c->rng = *a->rng;
    a->signing++;
    c->job = (struct crew_job){.work = on_work, .done = on_signed};
    crew_run(a->signers, &c->job);
}

/* --- the host key --- */

static void judge(struct certification *c, const struct host_keys *record);

static void on_fetched(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct certification *c = op_take(ctx);
    (void)text;
    if (e != OK && e != ERR_NOT_FOUND) {
        refuse_on_route(c, err_text(e), MESSAGE_HOST_KEY_NOT_RECORDED);
        return;
    }
    struct host_keys *record = e == OK ? convert_host_keys(found) : NULL;
    judge(c, record);
    if (record)
        host_keys_free(record);
}

static void fetch(struct certification *c)
{
    struct op *op = op_new(c->authorize, c->connection, c, certification_free);
    convert_get_host_keys(&c->authorize->records, c->record_id, on_fetched, op);
}

static void on_recorded(void *ctx, enum err e, const char *text, const uint64_t *versions,
                        size_t count)
{
    struct certification *c = op_take(ctx);
    (void)text;
    (void)versions;
    (void)count;
    struct connection *found = connection_for(c);
    if (e == ERR_PRECONDITION && ++c->tries < TRIES_MAX) {
        /* Another replica was first: its key counts. */
        fetch(c);
    } else if (e != OK) {
        refuse_on_route(c, err_text(e), MESSAGE_HOST_KEY_NOT_RECORDED);
    } else if (!found) {
        refuse(c, "no longer allowed", message_text(MESSAGE_CERTIFY_NOT_ALLOWED));
    } else {
        log_info("host key recorded", LOG_STR("connection-id", c->connection),
                 LOG_STR("route", found->route_name), LOG_STR("upstream", c->upstream));
        sign(c, found);
    }
}

/* The refusal stands, whether or not the key could be stored for `hostkeys accept`. */
static void on_pending(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    struct certification *c = op_take(ctx);
    (void)versions;
    (void)count;
    if (e == ERR_PRECONDITION && ++c->tries < TRIES_MAX) {
        fetch(c);
        return;
    }
    if (e != OK)
        log_warn("pending host key not stored", LOG_STR("upstream", c->upstream),
                 LOG_STR("error", text));
    refuse(c, c->reason, c->refusal);
}

static void record_key(struct certification *c, const struct host_keys *record,
                       const struct host_key_judgement *j, record_put_fn done)
{
    struct host_keys *h = host_key_with(record, c->record_id, &j->key, j->pending, authorize_now());
    struct op *op = op_new(c->authorize, c->connection, c, certification_free);
    convert_put_host_keys(&c->authorize->records, h, done, op);
    host_keys_free(h);
}

static void act(struct certification *c, const struct connection *found,
                const struct host_keys *record, const struct host_key_judgement *j)
{
    switch (j->verdict) {
    case HOST_KEY_ACCEPT:
        sign(c, found);
        break;
    case HOST_KEY_RECORD:
        record_key(c, record, j, on_recorded);
        break;
    case HOST_KEY_REFUSE:
        if (j->pending && !host_key_is_pending(record, &j->key)) {
            mem_set_str(&c->refusal, j->sentence);
            c->reason = j->reason;
            record_key(c, record, j, on_pending);
        } else {
            refuse(c, j->reason, j->sentence);
        }
        break;
    }
}

static void judge(struct certification *c, const struct host_keys *record)
{
    struct authorize *a = c->authorize;
    struct connection *found = connection_for(c);
    const struct snapshot_route *route =
        found ? snapshot_route(a->snapshot, view_str(found->route_name)) : NULL;
    if (!route || strcmp(route->route->to.address, c->upstream) != 0) {
        refuse(c, "no longer allowed", message_text(MESSAGE_CERTIFY_NOT_ALLOWED));
        return;
    }
    struct host_key_judgement j;
    host_key_judge(a->snapshot, route, record, buf_view(&c->host_key), authorize_now(), &j);
    act(c, found, record, &j);
    host_key_judgement_fini(&j);
}

static void begin(struct certification *c)
{
    struct authorize *a = c->authorize;
    const struct connection *found = connection_for(c);
    /* A tunnel has no login that a certificate could name. */
    if (!found || found->protocol != PROTOCOL_SSH) {
        refuse(c, "not allowed", message_text(MESSAGE_CERTIFY_NOT_ALLOWED));
        return;
    }
    const struct snapshot_route *route = snapshot_route(a->snapshot, view_str(found->route_name));
    c->record_id = route ? host_key_record_id(route->route) : mem_strdup("");
    judge(c, state_host_keys(&a->state, c->record_id));
}

/* Allowed by another replica whose copy is newer than ours: ours will be as new in a moment. */
static void park(struct certification *c)
{
    struct authorize *a = c->authorize;
    struct certification **end = &a->parked;
    while (*end)
        end = &(*end)->next;
    c->until = loop_now_ms(a->loop) + a->records.timeout_ms;
    *end = c;
}

void certify(struct authorize *a, struct worker *w, const struct stream_certify *m)
{
    struct certification *c = mem_zalloc(sizeof *c);
    c->authorize = a;
    c->began_us = metrics_clock_us();
    c->worker = w->id;
    c->connection = mem_strdup(m->connection_id);
    c->request = m->request;
    c->upstream = mem_strdup(m->upstream);
    buf_init(&c->host_key, STREAM_KEY_MAX);
    IGNORE(buf_append(&c->host_key, m->host_key), "checked against the same limit");
    if (public_key_parse(&c->key, m->public_key) != OK) {
        c->key = (struct public_key){0};
        refuse_on_route(c, "the worker's key cannot be read", MESSAGE_CERTIFY_FAILED);
        return;
    }
    const struct connection *found = connection_find(a, w, c->connection);
    if (found && found->phase == CONNECTION_HELD)
        park(c);
    else
        begin(c);
}

/* The oldest of the parked ones that `is_due` says; NULL when there is none. */
static struct certification *unpark(struct authorize *a,
                                    bool (*is_due)(const struct certification *c, const void *ctx),
                                    const void *ctx)
{
    for (struct certification **p = &a->parked; *p; p = &(*p)->next) {
        struct certification *c = *p;
        if (!is_due(c, ctx))
            continue;
        *p = c->next;
        c->next = NULL;
        return c;
    }
    return NULL;
}

static bool is_of(const struct certification *c, const void *ctx)
{
    return strcmp(c->connection, ctx) == 0;
}

void certify_unheld(struct authorize *a, const struct connection *found)
{
    AUTO_FREE char *id = mem_strdup(connection_id(found));
    struct certification *c;
    while ((c = unpark(a, is_of, id)))
        begin(c);
}

/* Too late, or its connection is not held any more in some other way than certify_unheld. */
static bool is_over(const struct certification *c, const void *ctx)
{
    const uint64_t *now = ctx;
    struct worker *w = worker_for(c);
    const struct connection *found = w ? connection_find(c->authorize, w, c->connection) : NULL;
    return *now >= c->until || !found || found->phase != CONNECTION_HELD;
}

void certify_tick(struct authorize *a)
{
    uint64_t now = loop_now_ms(a->loop);
    struct certification *c;
    while ((c = unpark(a, is_over, &now))) {
        if (now >= c->until)
            refuse(c, "the copy of the database is too old",
                   message_text(MESSAGE_AUTHORIZE_UNREACHABLE));
        else
            begin(c);
    }
}

void certify_fini(struct authorize *a)
{
    struct certification *c;
    while ((c = a->parked)) {
        a->parked = c->next;
        certification_free(c);
    }
}
