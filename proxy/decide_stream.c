/*
 * The streams under decide.c: one to the replica in use, kept up, and moved.
 *
 * Without one, replicas are tried side by side: a process that is stopped accepts connections and
 * says nothing, and the time that finding this out takes is time in which nobody can log in.
 *
 * Spreading: a heartbeat of authorize says how many workers it serves. Where that is two or more, a
 * worker now and then opens a stream to another replica and says that number in its Hello; the
 * other replica takes it only if it serves at least two fewer, and counts it from then on. So the
 * numbers get even within one, and stay: of two workers that ask at the same time the second is
 * judged after the first has been counted, a move that would only turn the difference round is
 * refused, and each number is told at once when it changes. (A hash of worker and replica would
 * need no numbers, but leaves both of two workers at one of two replicas half of the time.) The new
 * stream takes over when it is ready; the old one is half-closed and ends in order, so that the
 * old replica forgets its connections as moved, not as closed.
 *
 * A replica whose copy may be old says so, and is left for any other that has a current one; one
 * that runs another configuration than this worker, for any other that runs the same.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"
#include "proxy/convert.h"
#include "proxy/decide_internal.h"

enum {
    DECIDE_TICK_MS = 200,
    DECIDE_FOUND_MS = 1000,  /* a new address is asked within this */
    DECIDE_ASK_MS = 3000,    /* else: between two questions, and up to as much again */
    DECIDE_SETTLE_MS = 5000, /* the same, after a move */
    DECIDE_LAG_ASK_MS = 500, /* the same, while the present one lags */
    DECIDE_TRIAL_MS = 300,   /* a trial that is not ready by then gets company */
    DECIDE_GREET_MS = 8000,  /* and this long to be, since it holds nobody up */
    DECIDE_DIFFER_MS = 5000, /* after a change of the configuration all have taken it over */
    DECIDE_LATE_MS = 1000,   /* a tick that is later than that was held up here */
};

static void open_leg(struct decide *d, const char *address, uint64_t leaving,
                     struct decide_leg **out);

static struct replica_table *table_of(struct decide *d)
{
    return replicas_table(d->replicas);
}

static uint64_t draw(const struct decide *d)
{
    uint64_t seed[] = {loop_clock_ms(), (uintptr_t)d};
    return map_hash(view_of(seed, sizeof seed));
}

static void ask_after(struct decide *d, uint64_t least, uint64_t spread)
{
    d->ask_at = decide_now(d) + least + draw(d) % (spread + 1);
}

static void close_leg(struct decide_leg **p)
{
    struct decide_leg *leg = *p;
    *p = NULL;
    if (!leg)
        return;
    rpc_channel_close(leg->channel, NULL, NULL); /* ends the stream without a callback */
    mem_free(leg->config_hash);
    cluster_specs_free(leg->clusters);
    cluster_specs_free(leg->coming);
    mem_free(leg);
}

static void unsend_all(struct decide *d)
{
    for (struct decide_link *l = d->first; l; l = l->next) {
        l->is_sent = false;
        l->certify_sent = false;
        l->shell_sent = false;
        l->is_cut = false; /* the next replica decides anew */
    }
}

static void fail(struct decide *d, const struct decide_leg *leg)
{
    replica_table_failed(table_of(d), leg->address, decide_now(d));
    replicas_hurry(d->replicas);
}

static void close_trials(struct decide *d)
{
    for (size_t i = 0; i < DECIDE_TRIALS; i++)
        close_leg(&d->trials[i]);
}

/* `leg` is a trial that is over or has become something else. */
static void forget_trial(struct decide *d, const struct decide_leg *leg)
{
    for (size_t i = 0; i < DECIDE_TRIALS; i++) {
        if (d->trials[i] == leg)
            d->trials[i] = NULL;
    }
}

static void lose(struct decide *d, const char *why)
{
    d->lost_at = d->main->heard_at;
    log_warn("authorize lost", LOG_STR("address", d->main->address), LOG_STR("reason", why));
    close_leg(&d->main);
    /* The one that was asked may be the first that is ready. */
    d->trials[0] = d->candidate;
    d->candidate = NULL;
    d->trial_at = decide_now(d);
    d->stream = NULL;
    d->phase = DECIDE_DOWN;
    d->streams = 0;
    d->is_lagging = false;
    unsend_all(d);
    if (d->host.on_state)
        d->host.on_state(d->host.ctx, false, why);
    timer_after(&d->timer, 0); /* another replica may be there at once */
}

static void drop(struct decide *d, const char *why)
{
    fail(d, d->main);
    lose(d, why);
}

bool decide_sent(struct decide *d, enum err e)
{
    if (e == OK)
        return true;
    if (e == ERR_BUSY)
        drop(d, "authorize does not read");
    return false; /* ERR_CLOSED: on_end comes */
}

/* --- taking a stream into use --- */

static void use_clusters(struct decide *d, struct decide_leg *leg)
{
    cluster_specs_free(d->clusters);
    d->clusters = leg->clusters;
    leg->clusters = NULL;
    if (d->on_clusters && d->clusters)
        d->on_clusters(d->clusters_ctx);
}

/* `leg` has its route table. */
static void take_into_use(struct decide *d, struct decide_leg *leg)
{
    use_clusters(d, leg);
    d->stream = leg->stream;
    d->phase = DECIDE_UP;
    d->is_warned = false;
    d->beat_at = decide_now(d) + DECIDE_HEARTBEAT_MS;
    replica_table_good(table_of(d), leg->address, decide_now(d));
    decide_register(d);
    if (!d->stream)
        return;
    if (d->host.on_state)
        d->host.on_state(d->host.ctx, true, "");
    decide_send_questions(d);
}

static void move(struct decide *d)
{
    close_leg(&d->leaving);
    d->leaving = d->main;
    d->main = d->candidate;
    d->candidate = NULL;
    d->leaving->heard_at = decide_now(d); /* its end has as long as a silence */
    rpc_stream_half_close(d->leaving->stream);
    log_info("authorize changed", LOG_STR("from", d->leaving->address),
             LOG_STR("to", d->main->address));
    unsend_all(d);
    d->streams = 0;
    d->is_lagging = false;
    ask_after(d, DECIDE_SETTLE_MS, DECIDE_SETTLE_MS);
    take_into_use(d, d->main);
}

static void win(struct decide *d, struct decide_leg *leg)
{
    forget_trial(d, leg);
    close_trials(d);
    d->main = leg;
    take_into_use(d, leg);
}

static void on_routes(struct decide *d, struct decide_leg *leg, const struct convert_message *m,
                      const ProtobufCMessage *message)
{
    if (m->first) {
        cluster_specs_free(leg->coming);
        leg->coming = NULL;
    }
    if (!leg->coming)
        leg->coming = cluster_specs_new();
    convert_clusters(message, leg->coming);
    if (m->more)
        return;
    cluster_specs_free(leg->clusters);
    leg->clusters = leg->coming;
    leg->coming = NULL;
    mem_set_str(&leg->config_hash, m->config_hash);
    if (leg->phase != DECIDE_GREETED) { /* a reload of authorize */
        if (leg == d->main)
            use_clusters(d, leg);
        return;
    }
    leg->phase = DECIDE_UP;
    if (leg == d->candidate)
        move(d);
    else
        win(d, leg);
}

/* A stream that is not in use has come to nothing. */
static void give_up(struct decide *d, struct decide_leg *leg, const char *why)
{
    log_debug("authorize not reached", LOG_STR("address", leg->address), LOG_STR("reason", why));
    if (leg == d->candidate) {
        close_leg(&d->candidate);
        return;
    }
    forget_trial(d, leg);
    close_leg(&leg);
    d->trial_at = decide_now(d);
    timer_after(&d->timer, 0);
}

/* Runs it the configuration that this worker runs? */
static bool is_alike(const struct decide *d, const struct decide_leg *leg)
{
    return leg && leg->config_hash && strcmp(leg->config_hash, d->config->config_hash) == 0;
}

static void on_hello(struct decide *d, struct decide_leg *leg, const struct convert_message *m)
{
    if (m->protocol != DECIDE_PROTOCOL) {
        log_error("authorize speaks another version of the protocol",
                  LOG_STR("address", leg->address), LOG_STR("build", m->build));
        fail(d, leg);
        give_up(d, leg, "another version of the protocol");
        return;
    }
    log_info("authorize connected", LOG_STR("authorize", m->instance), LOG_STR("build", m->build),
             LOG_STR("address", leg->address));
    mem_set_str(&leg->config_hash, m->config_hash);
    leg->phase = DECIDE_GREETED;
    /* Nobody is taken from a policy that is ours to one that may be older. */
    if (leg == d->candidate && is_alike(d, d->main) && !is_alike(d, leg))
        give_up(d, leg, "another configuration");
}

static void on_heartbeat(struct decide *d, const struct convert_message *m)
{
    if (m->streams != d->streams)
        log_debug("authorize serves", LOG_STR("address", d->main->address),
                  LOG_U64("workers", m->streams));
    d->streams = m->streams;
    if (m->lagging && !d->is_lagging) {
        log_info("authorize lags, another one is asked", LOG_STR("address", d->main->address));
        d->ask_at = decide_now(d);
        timer_after(&d->timer, 0);
    }
    d->is_lagging = m->lagging;
}

static void on_probe(struct decide *d, const ProtobufCMessage *message)
{
    struct probe_order *order = convert_probe(message);
    if (order)
        probes_start(d->probes, order);
}

/* Without a stream the result is lost: whoever asked is gone. */
static void on_probed(void *ctx, const struct probe_order *order, const struct probe_result *result)
{
    struct decide *d = ctx;
    if (d->phase == DECIDE_UP)
        (void)decide_sent(d, convert_send_probe_result(d->stream, order, result));
}

/* --- what a stream says --- */

static void on_message(void *ctx, const ProtobufCMessage *message)
{
    struct decide_leg *leg = ctx;
    struct decide *d = leg->decide;
    struct convert_message m;
    if (leg == d->leaving)
        return; /* every question is asked again elsewhere */
    convert_message(message, &m);
    leg->heard_at = decide_now(d);
    if (m.kind == CONVERT_HELLO && leg->phase == DECIDE_GREETING)
        on_hello(d, leg, &m);
    else if (m.kind == CONVERT_ROUTES)
        on_routes(d, leg, &m, message);
    else if (leg != d->main)
        return;
    else if (m.kind == CONVERT_HEARTBEAT)
        on_heartbeat(d, &m);
    else if (m.kind == CONVERT_PROBE)
        on_probe(d, message);
    else
        decide_answer(d, &m);
}

static void on_writable(void *ctx)
{
    struct decide_leg *leg = ctx;
    if (leg == leg->decide->main)
        decide_send_questions(leg->decide);
}

static void on_end(void *ctx, enum rpc_status status, const char *text)
{
    struct decide_leg *leg = ctx;
    struct decide *d = leg->decide;
    const char *why = *text ? text : "the stream has ended";
    if (status == RPC_FAILED_PRECONDITION)
        log_error("authorize refused the stream", LOG_STR("address", leg->address),
                  LOG_STR("reason", text));
    if (leg == d->leaving) {
        close_leg(&d->leaving);
    } else if (leg == d->main) {
        drop(d, why);
    } else {
        /* RESOURCE_EXHAUSTED: it is well, but serves as many as ours. */
        if (status != RPC_RESOURCE_EXHAUSTED)
            fail(d, leg);
        give_up(d, leg, why);
    }
}

static const struct rpc_stream_events stream_events = {
    .on_message = on_message,
    .on_writable = on_writable,
    .on_end = on_end,
};

/* --- connecting --- */

static enum err open_channel(struct decide *d, const struct worker_config *config,
                             const char *const *targets, size_t count, struct rpc_channel **out)
{
    struct rpc_channel_config c = {
        .targets = targets,
        .count = count,
        .identity = {.ca_pem = config->service_ca,
                     .cert_pem = config->service_certificate,
                     .key_pem = config->service_key},
        .service = "authorize",
    };
    return rpc_channel_open(d->host.rpc, &c, out);
}

static void open_leg(struct decide *d, const char *address, uint64_t leaving,
                     struct decide_leg **out)
{
    struct rpc_channel *channel;
    uint64_t now = decide_now(d);
    if (open_channel(d, d->config, &address, 1, &channel) != OK) {
        replica_table_failed(table_of(d), address, now);
        return;
    }
    struct decide_leg *leg = mem_zalloc(sizeof *leg);
    *leg = (struct decide_leg){
        .decide = d, .channel = channel, .phase = DECIDE_GREETING, .heard_at = now};
    memcpy(leg->address, address, strlen(address));
    leg->stream = rpc_stream_open(channel, convert_decide_method(), &stream_events, leg);
    *out = leg;
    const struct convert_hello hello = {.build = d->build,
                                        .instance_id = d->instance_id,
                                        .config_hash = d->config->config_hash,
                                        .host = d->host_name,
                                        .started_ms = d->started_ms,
                                        .leaving = leaving};
    IGNORE(convert_send_hello(leg->stream, &hello), "the end of the stream says why");
}

/* The address of a replica that has no stream of ours; false when none may be tried now. */
static bool pick(struct decide *d, uint64_t now, char out[static ADDRESS_TEXT_MAX])
{
    const struct decide_leg *legs[DECIDE_TRIALS + 1] = {d->main};
    const char *used[ARRAY_LEN(legs)];
    memcpy(legs + 1, d->trials, sizeof d->trials);
    for (size_t i = 0; i < ARRAY_LEN(legs); i++)
        used[i] = legs[i] ? legs[i]->address : NULL;
    const struct replica *r =
        replica_table_pick(table_of(d), now, draw(d), (struct replica_used){used, ARRAY_LEN(used)});
    if (!r || r->ready_at > now)
        return false;
    memcpy(out, r->address, ADDRESS_TEXT_MAX);
    return true;
}

static void try_another(struct decide *d, uint64_t now)
{
    char address[ADDRESS_TEXT_MAX];
    if (d->main || now < d->trial_at)
        return;
    for (size_t i = 0; i < DECIDE_TRIALS; i++) {
        if (d->trials[i])
            continue;
        if (!pick(d, now, address))
            return;
        d->trial_at = now + DECIDE_TRIAL_MS;
        open_leg(d, address, 0, &d->trials[i]);
        return;
    }
}

static void ask_another(struct decide *d, uint64_t now)
{
    char address[ADDRESS_TEXT_MAX];
    bool leaves = d->is_lagging || d->is_different;
    bool wants = leaves || d->streams >= 2;
    if (d->phase != DECIDE_UP || d->candidate || d->leaving || !wants || now < d->ask_at)
        return;
    uint64_t wait = d->is_lagging ? DECIDE_LAG_ASK_MS : DECIDE_ASK_MS;
    ask_after(d, wait, wait);
    if (pick(d, now, address))
        open_leg(d, address, leaves ? UINT64_MAX : d->streams, &d->candidate);
}

/* While a change is being taken over two differ for a moment. */
static void compare(struct decide *d, uint64_t now)
{
    bool was = d->is_different;
    if (!d->main || is_alike(d, d->main)) {
        d->differs_at = 0;
        d->is_different = false;
    } else if (!d->differs_at) {
        d->differs_at = now;
    } else {
        d->is_different = now - d->differs_at >= DECIDE_DIFFER_MS;
    }
    if (!was && d->is_different)
        log_warn("authorize runs another configuration", LOG_STR("address", d->main->address),
                 LOG_STR("config-hash", d->config->config_hash),
                 LOG_STR("its-config-hash", d->main->config_hash));
    if (was && !d->is_different && d->main)
        log_info("authorize runs the same configuration", LOG_STR("address", d->main->address),
                 LOG_STR("config-hash", d->config->config_hash));
}

static uint64_t live(const struct decide *d)
{
    uint64_t n = 0;
    for (const struct decide_link *l = d->first; l; l = l->next)
        n += l->phase == DECIDE_LINK_LIVE;
    return n;
}

static bool is_silent(const struct decide_leg *leg, uint64_t now, uint64_t limit)
{
    return leg && now - leg->heard_at >= limit;
}

/* What came while this process was held up is not read yet: nobody was silent. */
static void excuse_all(struct decide *d, uint64_t now)
{
    struct decide_leg *legs[DECIDE_TRIALS + 3] = {d->main, d->candidate, d->leaving};
    memcpy(legs + 3, d->trials, sizeof d->trials);
    for (size_t i = 0; i < ARRAY_LEN(legs); i++) {
        if (legs[i])
            legs[i]->heard_at = now;
    }
}

static void drop_silent(struct decide *d, uint64_t now)
{
    if (is_silent(d->main, now, DECIDE_SILENCE_MS))
        drop(d, "authorize is silent");
    if (is_silent(d->candidate, now, DECIDE_SILENCE_MS)) {
        fail(d, d->candidate);
        close_leg(&d->candidate);
    }
    if (is_silent(d->leaving, now, DECIDE_SILENCE_MS))
        close_leg(&d->leaving);
    for (size_t i = 0; i < DECIDE_TRIALS; i++) {
        struct decide_leg *leg = d->trials[i];
        if (!is_silent(leg, now, DECIDE_GREET_MS))
            continue;
        fail(d, leg);
        give_up(d, leg, "silent");
    }
}

void decide_stream_tick(struct decide *d, uint64_t now)
{
    timer_after(&d->timer, DECIDE_TICK_MS);
    replicas_tick(d->replicas);
    if (d->ticked_at && now - d->ticked_at >= DECIDE_LATE_MS)
        excuse_all(d, now);
    d->ticked_at = now;
    drop_silent(d, now);
    try_another(d, now);
    compare(d, now);
    ask_another(d, now);
    if (d->phase == DECIDE_UP && now >= d->beat_at) {
        d->beat_at = now + DECIDE_HEARTBEAT_MS;
        (void)decide_sent(d, convert_send_heartbeat(d->stream, d->config->config_hash, live(d)));
    }
}

static void on_found(void *ctx)
{
    struct decide *d = ctx;
    ask_after(d, 0, DECIDE_FOUND_MS);
    d->trial_at = decide_now(d);
    timer_after(&d->timer, 0);
}

void decide_stream_init(struct decide *d)
{
    d->replicas = replicas_new(d->host.loop, on_found, d);
    d->probes = probes_new(d->host.loop, on_probed, d);
}

void decide_stream_fini(struct decide *d)
{
    replicas_free(d->replicas);
    probes_free(d->probes);
}

void decide_stream_close(struct decide *d)
{
    close_trials(d);
    close_leg(&d->candidate);
    close_leg(&d->leaving);
    close_leg(&d->main);
    d->stream = NULL;
    d->phase = DECIDE_DOWN;
}

/* --- configuration --- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_way(const struct worker_config *a, const struct worker_config *b)
{
    if (a->authorize_targets.count != b->authorize_targets.count)
        return false;
    for (size_t i = 0; i < a->authorize_targets.count; i++) {
        if (!same_text(a->authorize_targets.items[i], b->authorize_targets.items[i]))
            return false;
    }
    return same_text(a->service_ca, b->service_ca) &&
           same_text(a->service_certificate, b->service_certificate) &&
           same_text(a->service_key, b->service_key);
}

enum err decide_configure(struct decide *d, const struct worker_config *config)
{
    bool changed = !d->config || !same_way(d->config, config);
    const char *const *targets = (const char *const *)config->authorize_targets.items;
    size_t count = config->authorize_targets.count;
    if (changed) {
        /* Targets and identity must be good before the old ones are let go. */
        struct rpc_channel *trial;
        TRY(open_channel(d, config, targets, count, &trial));
        rpc_channel_close(trial, NULL, NULL);
    }
    const struct worker_config *old = d->config;
    d->config = worker_config_ref(config);
    worker_config_unref(old);
    if (changed) {
        close_trials(d);
        close_leg(&d->candidate);
        close_leg(&d->leaving);
        if (d->main)
            lose(d, "the configuration changed");
        replicas_configure(d->replicas, targets, count);
        timer_after(&d->timer, 0);
    }
    return OK;
}
