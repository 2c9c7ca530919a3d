#include "authorize/probe_report.h"

#include "authorize/ca/ca_probe.h"
#include "common/base/check.h"
#include "common/base/mem.h"

static const char outcome_ok[] = "ok";
static const char outcome_failed[] = "failed";
static const char outcome_skipped[] = "skipped";

/* A doctor's steps in order; the worker's come in theirs. */
static const char *const step_names[] = {"route", "resolve",  "connect",    "banner",
                                         "kex",   "host-key", "certificate"};

static const char *const worker_steps[] = {
    [STREAM_STEP_RESOLVE] = "resolve",   [STREAM_STEP_CONNECT] = "connect",
    [STREAM_STEP_BANNER] = "banner",     [STREAM_STEP_KEX] = "kex",
    [STREAM_STEP_LOGIN] = "certificate",
};

void probe_report_fini(struct probe_report *r)
{
    for (size_t i = 0; i < r->step_count; i++) {
        mem_free(r->steps[i].text);
        mem_free(r->steps[i].remedy);
    }
    for (size_t i = 0; i < r->key_count; i++) {
        mem_free(r->keys[i].type);
        mem_free(r->keys[i].key);
        mem_free(r->keys[i].fingerprint);
        mem_free(r->keys[i].recorded);
    }
    *r = (struct probe_report){0};
}

/* Takes `text` and `remedy` over. */
static void add(struct probe_report *r, const char *name, const char *outcome, char *text,
                char *remedy)
{
    if (r->step_count == PROBE_STEPS_MAX) {
        mem_free(text);
        mem_free(remedy);
        return;
    }
    r->steps[r->step_count++] =
        (struct probe_step){.name = name, .outcome = outcome, .text = text, .remedy = remedy};
}

static void add_message(struct probe_report *r, const char *name, const char *outcome,
                        enum message m, const char *detail)
{
    add(r, name, outcome, message_format(m, detail, NULL), mem_strdup(message_remedy(m)));
}

void probe_report_route(struct probe_report *r, const char *typed, const struct route *route)
{
    if (route)
        add(r, "route", outcome_ok, mem_printf("%s to %s", route->name, route->to.address), NULL);
    else
        add_message(r, "route", outcome_failed, MESSAGE_PROBE_ROUTE_UNKNOWN, typed);
}

void probe_report_failed(struct probe_report *r, const char *step, enum message m,
                         const char *detail)
{
    add_message(r, step, outcome_failed, m, detail);
}

/* --- what the worker says --- */

/* By step and fault; faults that a step does not have, and those of a later version, are `other`.
 */
static enum message message_for(int step, int fault)
{
    static const struct {
        int step;
        int fault;
        enum message message;
    } rows[] = {
        {STREAM_STEP_RESOLVE, STREAM_FAULT_UNKNOWN_NAME, MESSAGE_PROBE_UNKNOWN_NAME},
        {STREAM_STEP_CONNECT, STREAM_FAULT_REFUSED, MESSAGE_PROBE_REFUSED},
        {STREAM_STEP_CONNECT, STREAM_FAULT_UNREACHABLE, MESSAGE_PROBE_UNREACHABLE},
        {STREAM_STEP_CONNECT, STREAM_FAULT_TIMEOUT, MESSAGE_PROBE_TIMEOUT},
        {STREAM_STEP_BANNER, STREAM_FAULT_TIMEOUT, MESSAGE_PROBE_SILENT},
        {STREAM_STEP_BANNER, STREAM_FAULT_NOT_SSH, MESSAGE_PROBE_NOT_SSH},
        {STREAM_STEP_KEX, STREAM_FAULT_NO_ALGORITHM, MESSAGE_PROBE_NO_ALGORITHM},
        {STREAM_STEP_LOGIN, STREAM_FAULT_NOT_ALLOWED, MESSAGE_PROBE_NOT_ALLOWED},
        {STREAM_STEP_LOGIN, STREAM_FAULT_NO_PUBLICKEY, MESSAGE_PROBE_NO_PUBLICKEY},
        {STREAM_STEP_LOGIN, STREAM_FAULT_WRONG_HOST_KEY, MESSAGE_PROBE_OTHER_HOST_KEY},
    };
    static const enum message others[] = {
        [STREAM_STEP_RESOLVE] = MESSAGE_PROBE_RESOLVER,
        [STREAM_STEP_CONNECT] = MESSAGE_PROBE_CONNECT_FAILED,
        [STREAM_STEP_BANNER] = MESSAGE_PROBE_ENDED,
        [STREAM_STEP_KEX] = MESSAGE_PROBE_KEX_FAILED,
        [STREAM_STEP_LOGIN] = MESSAGE_PROBE_LOGIN_FAILED,
    };
    if (fault == STREAM_FAULT_BUSY)
        return MESSAGE_PROBE_BUSY;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].step == step && rows[i].fault == fault)
            return rows[i].message;
    }
    return others[step];
}

static void add_step(struct probe_report *r, const struct stream_probed_step *s)
{
    const char *name = worker_steps[s->name];
    if (s->fault == STREAM_FAULT_NONE) {
        add(r, name, outcome_ok, mem_strdup(s->text), NULL);
    } else {
        const char *detail = *s->text ? s->text : "no reason was given";
        add_message(r, name, outcome_failed, message_for(s->name, s->fault), detail);
    }
    if (r->step_count)
        r->steps[r->step_count - 1].ms = s->ms;
}

static bool is_known(const struct stream_probed_step *s)
{
    return s->name >= 0 && s->name < (int)ARRAY_LEN(worker_steps);
}

void probe_report_steps(struct probe_report *r, const struct stream_probed *seen)
{
    for (size_t i = 0; i < seen->step_count; i++) {
        if (is_known(&seen->steps[i]) && seen->steps[i].name != STREAM_STEP_LOGIN)
            add_step(r, &seen->steps[i]);
    }
}

/* --- host keys --- */

static void describe_key(struct view host_key, char **out_type, char **out_text)
{
    char fingerprint[KEY_FINGERPRINT_MAX];
    struct public_key key;
    key_blob_fingerprint(host_key, fingerprint);
    *out_type = mem_strdup("unknown");
    if (public_key_parse(&key, host_key) == OK) {
        mem_set_str(out_type, key_type_name(key.type));
        public_key_fini(&key);
    }
    *out_text = mem_printf("%s %s", *out_type, fingerprint);
}

struct refusal {
    const char *reason;
    const char *state; /* of a scanned key */
    enum message message;
};

static const struct refusal *refusal_of(const struct host_key_judgement *j)
{
    static const struct refusal rows[] = {
        {"host-key-changed", "changed", MESSAGE_HOST_KEY_CHANGED},
        {"host-key-new-type", "new", MESSAGE_HOST_KEY_NEW_TYPE},
        {"host-key-not-pinned", "not-pinned", MESSAGE_HOST_KEY_NOT_PINNED},
        {"host-key-revoked", "revoked", MESSAGE_HOST_KEY_REVOKED},
        {"host-key-unreadable", "unreadable", MESSAGE_HOST_KEY_UNREADABLE},
    };
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(rows) && strcmp(rows[i].reason, j->reason) != 0)
        i++;
    return &rows[i];
}

static bool has_host_ca(const struct snapshot *s, const struct snapshot_route *route)
{
    for (size_t i = 0; i < s->known_hosts.count; i++) {
        if (s->known_hosts.items[i].kind == KNOWN_HOSTS_CA)
            return true;
    }
    return route->host_cas.count > 0;
}

static bool refused(struct probe_report *r, const struct snapshot *s,
                    const struct snapshot_route *route, const char *text,
                    const struct host_key_judgement *j)
{
    bool not_pinned = strcmp(j->reason, "host-key-not-pinned") == 0;
    if (not_pinned && has_host_ca(s, route))
        add_message(r, "host-key", outcome_skipped, MESSAGE_PROBE_HOST_KEY_CERTIFIED, text);
    else
        add(r, "host-key", outcome_failed, mem_strdup(j->sentence),
            mem_strdup(message_remedy(refusal_of(j)->message)));
    return false;
}

bool probe_report_host_key(struct probe_report *r, const struct snapshot *s,
                           const struct snapshot_route *route, struct view host_key,
                           const struct host_key_judgement *j)
{
    AUTO_FREE char *type = NULL;
    AUTO_FREE char *text = NULL;
    describe_key(host_key, &type, &text);
    if (j->verdict == HOST_KEY_REFUSE)
        return refused(r, s, route, text, j);
    if (route->route->ssh_host_key_policy == HOST_KEY_POLICY_INSECURE)
        add_message(r, "host-key", outcome_ok, MESSAGE_PROBE_HOST_KEY_INSECURE, text);
    else if (j->verdict == HOST_KEY_RECORD)
        add_message(r, "host-key", outcome_ok, MESSAGE_PROBE_HOST_KEY_FIRST, text);
    else
        add(r, "host-key", outcome_ok, mem_printf("%s is the one that is known", text), NULL);
    return true;
}

/* --- the certificate --- */

void probe_report_login(struct probe_report *r, const char *login, const struct stream_probed *seen)
{
    static const enum message taken[] = {
        [CA_PROBE_NOW] = MESSAGE_PROBE_ACCEPTED,
        [CA_PROBE_ECDSA] = MESSAGE_PROBE_ACCEPTED_ECDSA,
        [CA_PROBE_RSA] = MESSAGE_PROBE_ACCEPTED_RSA,
        [CA_PROBE_BEHIND] = MESSAGE_PROBE_CLOCK_BEHIND,
        [CA_PROBE_AHEAD] = MESSAGE_PROBE_CLOCK_AHEAD,
    };
    const struct stream_probed_step *last =
        seen->step_count ? &seen->steps[seen->step_count - 1] : NULL;
    bool tried = last && last->name == STREAM_STEP_LOGIN &&
                 (last->fault == STREAM_FAULT_NONE || last->fault == STREAM_FAULT_REJECTED);
    if (!last || (!tried && !is_known(last))) {
        probe_report_failed(r, "certificate", MESSAGE_PROBE_LOST, "");
        return;
    }
    if (!tried) {
        /* It came through before: what fails now is told as it is. */
        struct stream_probed_step step = *last;
        add_step(r, &step);
        r->steps[r->step_count - 1].name = "certificate";
        return;
    }
    size_t window = 0;
    while (window < seen->accepted_count && window < CA_PROBE_WINDOWS && !seen->accepted[window])
        window++;
    bool found = window < seen->accepted_count && window < CA_PROBE_WINDOWS;
    if (found && window < CA_PROBE_BEHIND)
        add(r, "certificate", outcome_ok, message_format(taken[window], login, NULL), NULL);
    else
        add_message(r, "certificate", outcome_failed,
                    found ? taken[window] : MESSAGE_PROBE_REJECTED, login);
    r->steps[r->step_count - 1].ms = last->ms;
}

/* --- a scan --- */

static const char *state_of(const struct snapshot_route *route, const struct host_key_judgement *j)
{
    if (j->verdict == HOST_KEY_RECORD)
        return "new";
    if (j->verdict == HOST_KEY_ACCEPT)
        return route->route->ssh_host_key_policy == HOST_KEY_POLICY_INSECURE ? "unchecked" : "same";
    return refusal_of(j)->state;
}

void probe_report_key(struct probe_report *r, const struct snapshot_route *route,
                      const struct host_keys *record, struct view host_key,
                      const struct host_key_judgement *j)
{
    char fingerprint[KEY_FINGERPRINT_MAX];
    AUTO_FREE char *text = NULL;
    if (r->key_count == PROBE_KEYS_MAX)
        return;
    struct probe_key *k = &r->keys[r->key_count++];
    key_blob_fingerprint(host_key, fingerprint);
    *k = (struct probe_key){.key = (uint8_t *)mem_strndup(host_key.ptr, host_key.len),
                            .key_len = host_key.len,
                            .fingerprint = mem_strdup(fingerprint),
                            .state = state_of(route, j)};
    describe_key(host_key, &k->type, &text);
    for (size_t i = 0; record && i < record->accepted_count; i++) {
        if (strcmp(record->accepted[i].type, k->type) == 0)
            mem_set_str(&k->recorded, record->accepted[i].fingerprint);
    }
}

/* --- the end --- */

/* ROUTE and LOGIN as words of their own. */
static char *with_names(const char *remedy, const struct probe_request *request)
{
    static const char *const words[] = {"ROUTE", "LOGIN"};
    const char *names[] = {request->route, request->login};
    AUTO(buf_fini) struct buf out;
    struct view rest = view_str(remedy);
    buf_init(&out, 8192);
    while (rest.len) {
        size_t w = 0;
        while (w < ARRAY_LEN(words) && !view_starts_with(rest, view_str(words[w])))
            w++;
        bool found = w < ARRAY_LEN(words) && *names[w];
        struct view part = found ? view_str(names[w]) : view_take(rest, 1);
        IGNORE(buf_append(&out, part), "cut");
        rest = view_skip(rest, found ? strlen(words[w]) : 1);
    }
    return buf_to_str(&out);
}

/* A doctor shows every step, those that were not reached too. */
static void put_in_order(struct probe_report *r)
{
    struct probe_step ordered[ARRAY_LEN(step_names)];
    for (size_t i = 0; i < ARRAY_LEN(step_names); i++) {
        ordered[i] = (struct probe_step){.name = step_names[i], .outcome = outcome_skipped};
        for (size_t k = 0; k < r->step_count; k++) {
            if (ordered[i].text || strcmp(r->steps[k].name, step_names[i]) != 0)
                continue;
            ordered[i] = r->steps[k];
            r->steps[k].text = NULL;
            r->steps[k].remedy = NULL;
        }
    }
    for (size_t k = 0; k < r->step_count; k++) {
        mem_free(r->steps[k].text);
        mem_free(r->steps[k].remedy);
    }
    r->step_count = ARRAY_LEN(step_names);
    memcpy(r->steps, ordered, sizeof ordered);
}

void probe_report_complete(struct probe_report *r, const struct probe_request *request)
{
    if (strcmp(request->kind, "doctor") == 0)
        put_in_order(r);
    for (size_t i = 0; i < r->step_count; i++) {
        if (!r->steps[i].remedy)
            continue;
        char *remedy = with_names(r->steps[i].remedy, request);
        mem_free(r->steps[i].remedy);
        r->steps[i].remedy = remedy;
    }
}

bool probe_report_is_ok(const struct probe_report *r)
{
    for (size_t i = 0; i < r->step_count; i++) {
        if (strcmp(r->steps[i].outcome, outcome_failed) == 0)
            return false;
    }
    return true;
}
