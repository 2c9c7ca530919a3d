#include "authorize/probe.h"

#include "authorize/ca/ca_probe.h"
#include "authorize/convert_probe.h"
#include "authorize/convert_records.h"
#include "authorize/host_key.h"
#include "authorize/op.h"
#include "authorize/probe_report.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"

enum { KEY_TEXT_MAX = 4096 };

struct probes {
    struct authorize *authorize;
    struct syncer *syncer;
    struct map waiting; /* struct waiting, by id */
    struct map active;  /* struct probe, by id */
    unsigned turn;      /* whose turn it is among the workers */
    struct buf rsa;     /* public key of every probe's RSA certificate; empty until the first */
};

struct waiting {
    struct probe_request *request;
    uint64_t since; /* loop time */
};

enum probe_phase {
    PROBE_TAKING, /* the record is being marked as ours */
    PROBE_ASKED,  /* a worker has the question */
    PROBE_SIGNING,
    PROBE_LOGGING_IN,
    PROBE_WRITING, /* the answer */
};

struct probe {
    struct probes *probes;
    struct probe_request *request;
    enum probe_phase phase;
    uint64_t worker; /* in authorize.workers; 0 = none */
    char *worker_name;
    uint64_t answer_at; /* loop time: given up then */
    char *target;
    struct buf host_key; /* that was judged good */
    struct probe_report report;
};

/* The certificates of a probe, made on another thread. */
struct probe_signing {
    struct crew_job job;
    struct authorize *authorize;
    char *id;
    char *login;
    char *by;
    struct snapshot *snapshot;
    struct rng rng;
    uint64_t now_s;
    enum err result;
    struct buf private_key; /* of the first certificate */
    struct buf rsa;         /* public key */
    struct ca_certificate certificates[CA_PROBE_WINDOWS];
    size_t count;
};

static void waiting_free(struct waiting *w)
{
    probe_request_free(w->request);
    mem_free(w);
}

static void probe_free(struct probe *p)
{
    map_remove(&p->probes->active, view_str(p->request->id));
    probe_request_free(p->request);
    mem_free(p->worker_name);
    mem_free(p->target);
    buf_fini(&p->host_key);
    probe_report_fini(&p->report);
    mem_free(p);
}

static struct probe *find(const struct authorize *a, const char *id)
{
    return a->probes ? map_get(&a->probes->active, view_str(id)) : NULL;
}

/* NULL when the route has gone by a reload. */
static const struct snapshot_route *route_of(const struct probe *p)
{
    return snapshot_route(p->probes->authorize->snapshot, view_str(p->request->route));
}

/* --- the end --- */

static void on_answered(void *ctx, enum err e, const char *text, const uint64_t *versions,
                        size_t count)
{
    struct op *op = ctx;
    struct probe *p = find(op->authorize, op->id);
    (void)versions;
    (void)count;
    if (e != OK)
        log_warn("answer of a probe not written", LOG_STR("id", op->id), LOG_STR("error", text));
    if (p)
        probe_free(p);
    op_free(op);
}

static void finish(struct probe *p)
{
    struct authorize *a = p->probes->authorize;
    const struct probe_request *r = p->request;
    probe_report_complete(&p->report, r);
    bool ok = probe_report_is_ok(&p->report);
    const char *step = NULL;
    for (size_t i = 0; !ok && !step && i < p->report.step_count; i++)
        step = strcmp(p->report.steps[i].outcome, "failed") == 0 ? p->report.steps[i].name : NULL;
    log_info("admin probe", LOG_STR("by", r->by), LOG_STR("kind", r->kind), LOG_STR("id", r->id),
             LOG_STR("route", r->route), LOG_STR("login", *r->login ? r->login : NULL),
             LOG_STR("upstream", p->target), LOG_STR("worker", p->worker_name),
             LOG_STR("result", ok ? "ok" : "failed"), LOG_STR("step", step));
    p->phase = PROBE_WRITING;
    const struct probe_outcome o = {.state = "done",
                                    .owner = a->instance,
                                    .worker = p->worker_name,
                                    .target = p->target,
                                    .report = &p->report,
                                    .ok = ok};
    convert_put_probe(&a->records, r, &o, on_answered, op_new(a, r->id, NULL, NULL));
}

static void fail(struct probe *p, const char *step, enum message m)
{
    probe_report_failed(&p->report, step, m, "");
    finish(p);
}

/* --- asking the worker --- */

static struct worker *worker_of(const struct probe *p)
{
    struct worker *w = slots_get(&p->probes->authorize->workers, p->worker);
    return w && !w->finished ? w : NULL;
}

static void ask(struct probe *p, const struct stream_probe *question, enum probe_phase next)
{
    struct worker *w = worker_of(p);
    if (!w || !worker_sent(w, convert_send_probe(w->call, question))) {
        fail(p, next == PROBE_ASKED ? "connect" : "certificate", MESSAGE_PROBE_LOST);
        return;
    }
    p->phase = next;
    p->answer_at = loop_now_ms(p->probes->authorize->loop) + PROBE_ANSWER_MS;
}

/* One after the other. */
static struct worker *pick_worker(struct probes *p)
{
    struct worker *list[64];
    size_t cursor = 0, n = 0;
    struct worker *w;
    while (n < ARRAY_LEN(list) && (w = slots_next(&p->authorize->workers, &cursor))) {
        if (w->is_ready && !w->finished)
            list[n++] = w;
    }
    return n ? list[p->turn++ % n] : NULL;
}

static void begin(struct probe *p)
{
    struct authorize *a = p->probes->authorize;
    const struct snapshot_route *route = route_of(p);
    struct worker *w = pick_worker(p->probes);
    const char *types[KEY_TYPE_COUNT];
    bool scan = strcmp(p->request->kind, "scan") == 0;
    probe_report_route(&p->report, p->request->route, route ? route->route : NULL);
    if (!route) {
        finish(p);
        return;
    }
    p->target = mem_strdup(route->route->to.address);
    if (!w) {
        fail(p, "resolve", MESSAGE_PROBE_NO_WORKER);
        return;
    }
    p->worker = w->id;
    p->worker_name = mem_strdup(w->instance);
    AUTO_FREE char *record = host_key_record_id(route->route);
    const struct stream_probe question = {
        .id = p->request->id,
        .kind = scan ? STREAM_PROBE_KEYS : STREAM_PROBE_CONNECT,
        .address = p->target,
        .host_key_types = types,
        .host_key_type_count =
            host_key_types(a->snapshot, route, state_host_keys(&a->state, record), types),
    };
    ask(p, &question, PROBE_ASKED);
}

/* --- taking a request --- */

static void on_taken(void *ctx, enum err e, const char *text, const uint64_t *versions,
                     size_t count)
{
    struct op *op = ctx;
    struct probe *p = find(op->authorize, op->id);
    (void)text;
    op_free(op);
    if (!p)
        return;
    if (e != OK || count != 1) {
        probe_free(p); /* another replica was faster, or the record is gone */
        return;
    }
    p->request->version = versions[0];
    begin(p);
}

static void take(struct probes *probes, struct waiting *w)
{
    struct authorize *a = probes->authorize;
    struct probe *p = mem_zalloc(sizeof *p);
    *p = (struct probe){.probes = probes, .request = w->request, .answer_at = UINT64_MAX};
    buf_init(&p->host_key, STREAM_KEY_MAX);
    map_remove(&probes->waiting, view_str(w->request->id));
    mem_free(w);
    map_put(&probes->active, view_str(p->request->id), p);
    const struct probe_outcome o = {.state = "taken", .owner = a->instance};
    convert_put_probe(&a->records, p->request, &o, on_taken, op_new(a, p->request->id, NULL, NULL));
}

static bool is_due(struct probes *p, const struct waiting *w)
{
    struct authorize *a = p->authorize;
    const struct probe_request *r = w->request;
    bool here = pick_worker(p) || !snapshot_route(a->snapshot, view_str(r->route));
    return !a->stopping && map_count(&p->active) < PROBES_MAX &&
           (here || loop_now_ms(a->loop) - w->since >= PROBE_NO_WORKER_MS);
}

static void take_due(struct probes *p)
{
    for (struct map_iter i = map_iter(&p->waiting); map_next(&i);) {
        struct waiting *w = i.value;
        if (is_due(p, w))
            take(p, w);
    }
}

/* --- host keys --- */

static void on_pending(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    (void)versions;
    (void)count;
    if (e != OK && e != ERR_PRECONDITION)
        log_warn("pending host key not stored", LOG_STR("error", text));
    op_free(ctx);
}

/* As after a login that was refused: so `hostkeys accept` has something to accept. */
static void keep_pending(struct authorize *a, const struct host_keys *record, const char *id,
                         const struct host_key_judgement *j)
{
    if (!j->pending || host_key_is_pending(record, &j->key))
        return;
    struct host_keys *h = host_key_with(record, id, &j->key, true, authorize_now());
    convert_put_host_keys(&a->records, h, on_pending, op_new(a, id, NULL, NULL));
    host_keys_free(h);
}

static void judge_scan(struct probe *p, const struct snapshot_route *route,
                       const struct stream_probed *seen)
{
    struct authorize *a = p->probes->authorize;
    AUTO_FREE char *id = host_key_record_id(route->route);
    const struct host_keys *record = state_host_keys(&a->state, id);
    for (size_t i = 0; i < seen->host_key_count; i++) {
        struct host_key_judgement j;
        host_key_judge(a->snapshot, route, record, seen->host_keys[i], authorize_now(), &j);
        probe_report_key(&p->report, route, record, seen->host_keys[i], &j);
        host_key_judgement_fini(&j);
    }
    finish(p);
}

static void sign(struct probe *p);

static void judge_doctor(struct probe *p, const struct snapshot_route *route, struct view host_key)
{
    struct authorize *a = p->probes->authorize;
    AUTO_FREE char *id = host_key_record_id(route->route);
    const struct host_keys *record = state_host_keys(&a->state, id);
    struct host_key_judgement j;
    host_key_judge(a->snapshot, route, record, host_key, authorize_now(), &j);
    bool good = probe_report_host_key(&p->report, a->snapshot, route, host_key, &j);
    keep_pending(a, record, id, &j);
    host_key_judgement_fini(&j);
    if (!good) {
        finish(p);
        return;
    }
    IGNORE(buf_append(&p->host_key, host_key), "checked against the same limit");
    sign(p);
}

/* --- certificates --- */

static void signing_free(struct probe_signing *s)
{
    mem_free(s->id);
    mem_free(s->login);
    mem_free(s->by);
    snapshot_unref(s->snapshot);
    buf_wipe(&s->private_key);
    buf_fini(&s->rsa);
    for (size_t i = 0; i < s->count; i++)
        ca_certificate_fini(&s->certificates[i]);
    mem_free(s);
}

/* One for all probes: it takes long to make, and nobody has its private half. */
static enum err make_rsa(struct probe_signing *s, struct public_key *out)
{
    AUTO(private_key_fini) struct private_key key = {0};
    if (s->rsa.len == 0) {
        TRY(private_key_generate_rsa(&key, NULL));
        TRY(buf_append(&s->rsa, public_key_blob(&key.public)));
    }
    return public_key_parse(out, buf_view(&s->rsa));
}

static enum err make_one(struct probe_signing *s, enum ca_probe_window window)
{
    bool is_rsa = window == CA_PROBE_RSA;
    AUTO(private_key_fini) struct private_key key = {0};
    AUTO(public_key_fini) struct public_key rsa = {0};
    if (is_rsa)
        TRY(make_rsa(s, &rsa));
    else
        TRY(private_key_generate(&key, window == CA_PROBE_ECDSA ? KEY_ECDSA_P256 : KEY_ED25519,
                                 &s->rng));
    /* The worker logs in with the first; the keys of the others are forgotten here. */
    if (window == CA_PROBE_NOW)
        TRY(private_key_write_openssh(&key, "", &s->rng, &s->private_key));
    const struct ca_request r = {
        .key = is_rsa ? &rsa : &key.public,
        .login = view_str(s->login),
        .user = view_str(s->by),
        .connection_id = view_str(s->id),
        .now_s = s->now_s,
    };
    return ca_sign_probe(&r, window, &s->snapshot->ca, &s->rng, &s->certificates[window]);
}

static enum err make(struct probe_signing *s)
{
    for (; s->count < CA_PROBE_WINDOWS; s->count++)
        TRY(make_one(s, (enum ca_probe_window)s->count));
    return OK;
}

static void on_work(struct crew_job *job)
{
    struct probe_signing *s = CONTAINER_OF(job, struct probe_signing, job);
    s->result = make(s);
}

static void try_login(struct probe *p, struct probe_signing *s)
{
    struct view certificates[CA_PROBE_WINDOWS];
    for (size_t i = 0; i < s->count; i++)
        certificates[i] = buf_view(&s->certificates[i].blob);
    const struct stream_probe question = {
        .id = p->request->id,
        .kind = STREAM_PROBE_LOGIN,
        .address = p->target,
        .host_key = buf_view(&p->host_key),
        .login = p->request->login,
        .private_key = buf_view(&s->private_key),
        .certificates = certificates,
        .certificate_count = s->count,
    };
    ask(p, &question, PROBE_LOGGING_IN);
}

static void on_signed(struct crew_job *job)
{
    struct probe_signing *s = CONTAINER_OF(job, struct probe_signing, job);
    struct authorize *a = s->authorize;
    struct probe *p = find(a, s->id);
    a->signing--;
    if (p && p->probes->rsa.len == 0)
        IGNORE(buf_append(&p->probes->rsa, buf_view(&s->rsa)), "of the same size");
    if (a->stopping)
        authorize_stop_step(a);
    else if (p && s->result != OK)
        fail(p, "certificate", MESSAGE_PROBE_SIGN_FAILED);
    else if (p)
        try_login(p, s);
    signing_free(s);
}

static void sign(struct probe *p)
{
    struct authorize *a = p->probes->authorize;
    if (!a->snapshot->ca.pkey) {
        fail(p, "certificate", MESSAGE_PROBE_NO_CA);
        return;
    }
    struct probe_signing *s = mem_zalloc(sizeof *s);
    s->authorize = a;
    s->id = mem_strdup(p->request->id);
    s->login = mem_strdup(p->request->login);
    s->by = mem_strdup(p->request->by);
    s->snapshot = snapshot_ref(a->snapshot);
    s->rng = *a->rng;
    s->now_s = authorize_now() / 1000;
    buf_init(&s->private_key, KEY_TEXT_MAX);
    buf_init(&s->rsa, STREAM_KEY_MAX);
    IGNORE(buf_append(&s->rsa, buf_view(&p->probes->rsa)), "of the same size");
    p->phase = PROBE_SIGNING;
    a->signing++;
    s->job = (struct crew_job){.work = on_work, .done = on_signed};
    crew_run(a->signers, &s->job);
}

/* --- what comes back --- */

void probes_answer(struct authorize *a, struct worker *w, const struct stream_probed *seen)
{
    struct probe *p = find(a, seen->id);
    if (!p || p->worker != w->id)
        return;
    if (p->phase == PROBE_LOGGING_IN && seen->kind == STREAM_PROBE_LOGIN) {
        probe_report_login(&p->report, p->request->login, seen);
        finish(p);
        return;
    }
    if (p->phase != PROBE_ASKED || seen->kind == STREAM_PROBE_LOGIN)
        return;
    const struct snapshot_route *route = route_of(p);
    probe_report_steps(&p->report, seen);
    if (!route)
        fail(p, "host-key", MESSAGE_PROBE_ROUTE_UNKNOWN);
    else if (strcmp(p->request->kind, "scan") == 0)
        judge_scan(p, route, seen);
    else if (seen->host_key_count != 1)
        finish(p);
    else
        judge_doctor(p, route, seen->host_keys[0]);
}

void probes_tick(struct authorize *a)
{
    struct probes *probes = a->probes;
    uint64_t now = loop_now_ms(a->loop);
    take_due(probes);
    for (struct map_iter i = map_iter(&probes->active); map_next(&i);) {
        struct probe *p = i.value;
        bool asked = p->phase == PROBE_ASKED || p->phase == PROBE_LOGGING_IN;
        if (asked && (!worker_of(p) || now >= p->answer_at))
            fail(p, p->phase == PROBE_ASKED ? "connect" : "certificate", MESSAGE_PROBE_LOST);
    }
}

/* --- records --- */

/*
 * How old it is does not matter: that would compare our clock with another's, and a clock that is
 * off is what a doctor is asked about. The databroker lets requests expire.
 */
static bool is_ours_to_run(const struct probe_request *r)
{
    bool known = strcmp(r->kind, "doctor") == 0 || strcmp(r->kind, "scan") == 0;
    return known && strcmp(r->state, "new") == 0;
}

static void on_record(void *ctx, const struct record *r)
{
    struct probes *p = ctx;
    struct probe_request *request = convert_probe_request(r);
    struct waiting *old = map_remove(&p->waiting, view_str(r->id));
    if (old)
        waiting_free(old);
    if (!request || !is_ours_to_run(request) || map_count(&p->waiting) >= PROBES_WAITING_MAX ||
        map_get(&p->active, view_str(r->id))) {
        probe_request_free(request);
        return;
    }
    struct waiting *w = mem_zalloc(sizeof *w);
    *w = (struct waiting){request, loop_now_ms(p->authorize->loop)};
    map_put(&p->waiting, view_str(request->id), w);
    take_due(p);
}

static void on_clear(void *ctx)
{
    struct probes *p = ctx;
    for (struct map_iter i = map_iter(&p->waiting); map_next(&i);) {
        struct waiting *w = i.value;
        map_remove(&p->waiting, i.key);
        waiting_free(w);
    }
}

static const struct syncer_events sync_events = {
    .on_clear = on_clear,
    .on_record = on_record,
};

struct probes *probes_open(struct authorize *a)
{
    struct probes *p = mem_zalloc(sizeof *p);
    AUTO_FREE char *type = convert_type_probe();
    p->authorize = a;
    buf_init(&p->rsa, STREAM_KEY_MAX);
    p->syncer = syncer_open(a->databroker, a->loop, type, &sync_events, p);
    return p;
}

void probes_close(struct probes *p)
{
    if (!p)
        return;
    syncer_close(p->syncer);
    p->syncer = NULL;
}

void probes_free(struct probes *p)
{
    if (!p)
        return;
    on_clear(p);
    for (struct map_iter i = map_iter(&p->active); map_next(&i);)
        probe_free(i.value);
    map_fini(&p->waiting);
    map_fini(&p->active);
    buf_fini(&p->rsa);
    p->authorize->probes = NULL;
    mem_free(p);
}
