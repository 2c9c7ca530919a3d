#include "authorize/signin.h"

#include "authorize/convert_records.h"
#include "authorize/op.h"
#include "authorize/reconsider.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"
#include "common/daemon/log.h"

enum {
    CODE_BYTES = 16,
    CODE_TEXT_MAX = 32,
    MINE_MAX = 256, /* further ones may show on the page for a while after they left */
};

char *signin_url(const struct config *config, const char *code)
{
    return mem_printf("%s/.pomerium/sign_in?user_code=%s", config->authenticate_service_url.text,
                      code);
}

static char *new_code(struct authorize *a)
{
    uint8_t bytes[CODE_BYTES];
    AUTO(buf_fini) struct buf text;
    buf_init(&text, CODE_TEXT_MAX);
    rng_fill(a->rng, bytes, sizeof bytes);
    IGNORE(text_base64url(view_of(bytes, sizeof bytes), &text), "it fits");
    return buf_to_str(&text);
}

/* --- the record of a code --- */

/* Connections of other replicas that the record names stay in it, as far as there is room. */
static void add_others(struct authorize *a, const struct code *code, struct request *r)
{
    const struct request *known = requests_find(&a->requests, code->text);
    for (size_t i = 0; known && i < known->waiting_count; i++) {
        if (r->waiting_count == REQUEST_WAITING_MAX)
            return;
        const struct request_waiting *w = &known->waiting[i];
        struct connection *c = connection_of(live_get(&a->live, view_str(w->connection_id)));
        if (!c && !map_get(&code->mine, view_str(w->connection_id)))
            r->waiting[r->waiting_count++] = *w;
    }
}

static void on_written(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count);

/* Everything in `r` is borrowed. */
static void write_code(struct authorize *a, struct code *code)
{
    if (code->writing || !code->dirty || code->settled || a->stopping)
        return;
    struct request r = {
        .code = code->text,
        .key = code->binding,
        .idp_id = code->idp_id,
        .source = code->source,
        .key_type = code->key_type,
        .fingerprint = code->fingerprint,
        .created_ms = code->created_ms,
        .expires_ms = code->expires_ms,
        .state = REQUEST_IN_FLIGHT,
    };
    for (struct live_node *n = live_first(&a->live, LIVE_BY_CODE, view_str(code->text));
         n && r.waiting_count < REQUEST_WAITING_MAX; n = live_next(n, LIVE_BY_CODE)) {
        struct connection *c = connection_of(n);
        r.waiting[r.waiting_count++] = (struct request_waiting){
            .connection_id = c->node.id,
            .address = c->source,
            .login = c->login,
            .route = c->route,
            .client_version = c->client_version,
            .since_ms = c->since_ms,
        };
    }
    add_others(a, code, &r);
    code->dirty = false;
    code->writing = true;
    convert_put_request(&a->records, &r, code->version, on_written,
                        op_new(a, code->text, NULL, NULL));
}

static void show_to_asking(struct authorize *a, struct code *code)
{
    struct live_node *next;
    for (struct live_node *n = live_first(&a->live, LIVE_BY_CODE, view_str(code->text)); n;
         n = next) {
        struct connection *c = connection_of(n);
        next = live_next(n, LIVE_BY_CODE);
        if (c->phase == CONNECTION_ASKING)
            connection_show_login(a, c);
    }
}

/* The code is not on record: who has not seen the link is refused. */
static void refuse_asking(struct authorize *a, struct code *code)
{
    struct live_node *next;
    code->writing = true; /* their leaving is no reason to try again at once */
    for (struct live_node *n = live_first(&a->live, LIVE_BY_CODE, view_str(code->text)); n;
         n = next) {
        struct connection *c = connection_of(n);
        next = live_next(n, LIVE_BY_CODE);
        if (c->phase == CONNECTION_ASKING)
            connection_refuse(a, c, MESSAGE_SIGN_IN_UNAVAILABLE);
    }
    code->writing = false;
    if (code->waiting == 0 && code->version == 0)
        codes_remove(&a->codes, code);
}

static void after_failure(struct authorize *a, struct code *code, enum err e, const char *text)
{
    const struct request *known = requests_find(&a->requests, code->text);
    code->dirty = true;
    if (e != ERR_PRECONDITION) {
        log_warn("sign-in not recorded", LOG_STR("publickey-fingerprint", code->fingerprint),
                 LOG_STR("error", text));
        refuse_asking(a, code);
    } else if (known && known->version > code->version) {
        /* Somebody else has written it, and that version is here already. */
        signin_changed(a, code->text, known);
    }
}

static void on_written(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    struct op *op = ctx;
    struct authorize *a = op->authorize;
    struct code *code = codes_find(&a->codes, view_str(op->id));
    op_free(op);
    if (!code || code->settled)
        return;
    code->writing = false;
    if (e != OK) {
        after_failure(a, code, e, text);
        return;
    }
    if (count && versions[0] > code->version)
        code->version = versions[0];
    show_to_asking(a, code);
    write_code(a, code);
}

/* --- waiting --- */

static void attach(struct authorize *a, struct connection *c, struct code *code)
{
    c->code = code;
    code->waiting++;
    code->dirty = true;
    if (map_count(&code->mine) < MINE_MAX)
        map_put(&code->mine, view_str(connection_id(c)), code);
    live_index(&a->live, &c->node, LIVE_BY_CODE, view_str(code->text));
    live_index(&a->live, &c->node, LIVE_BY_BINDING, view_str(c->key.binding));
}

static void on_evicted(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    (void)e;
    (void)text;
    (void)versions;
    (void)count;
    op_free(ctx);
}

/* Connections of another replica wait on it. */
static bool is_shared(const struct authorize *a, const struct code *code)
{
    const struct request *known = requests_find(&a->requests, code->text);
    for (size_t i = 0; known && i < known->waiting_count; i++) {
        if (!map_get(&code->mine, view_str(known->waiting[i].connection_id)))
            return true;
    }
    return false;
}

/* Codes that nobody waits on any more make room for newcomers. */
static enum err make_room(struct authorize *a, const char *source)
{
    struct code *victim;
    enum err e;
    while ((e = codes_room(&a->codes, view_str(source), &victim)) != OK && victim) {
        if (victim->version && !victim->settled && !is_shared(a, victim))
            convert_delete_request(&a->records, victim->text, victim->version, on_evicted,
                                   op_new(a, victim->text, NULL, NULL));
        codes_remove(&a->codes, victim);
    }
    return e;
}

static struct code *adopt(struct authorize *a, const struct request *r)
{
    struct code *code = codes_add(&a->codes, &(struct code_spec){
                                                 .text = r->code,
                                                 .binding = r->key,
                                                 .source = r->source ? r->source : "",
                                                 .key_type = r->key_type,
                                                 .fingerprint = r->fingerprint,
                                                 .idp_id = r->idp_id,
                                                 .created_ms = r->created_ms,
                                                 .expires_ms = r->expires_ms,
                                             });
    code->version = r->version;
    return code;
}

static struct code *issue(struct authorize *a, const struct connection *c, const char *text,
                          uint64_t created_ms)
{
    const struct config *config = a->snapshot->config;
    return codes_add(&a->codes, &(struct code_spec){
                                    .text = text,
                                    .binding = c->key.binding,
                                    .source = c->source,
                                    .key_type = c->key.type,
                                    .fingerprint = c->key.fingerprint,
                                    .idp_id = config->idp_provider,
                                    .created_ms = created_ms,
                                    .expires_ms = created_ms + config->ssh_sign_in_timeout,
                                });
}

/* NULL: a cap is reached; *out_why then. */
static struct code *code_for(struct authorize *a, const struct connection *c, enum message *out_why)
{
    struct code *code = codes_find_binding(&a->codes, view_str(c->key.binding));
    if (code)
        return code;
    uint64_t now = authorize_now();
    enum err e = make_room(a, c->source);
    if (e != OK) {
        *out_why = e == ERR_LIMIT ? MESSAGE_SIGN_IN_TOO_MANY_SOURCE : MESSAGE_SIGN_IN_TOO_MANY;
        return NULL;
    }
    const struct request *known = requests_find_key(&a->requests, c->key.binding, now);
    if (known && !codes_find(&a->codes, view_str(known->code)))
        return adopt(a, known);
    AUTO_FREE char *text = new_code(a);
    return issue(a, c, text, now);
}

void signin_begin(struct authorize *a, struct connection *c)
{
    enum message why = MESSAGE_SIGN_IN_TOO_MANY;
    struct code *code = code_for(a, c, &why);
    if (!code) {
        connection_refuse(a, c, why);
        return;
    }
    attach(a, c, code);
    c->phase = CONNECTION_ASKING;
    if (code->version)
        connection_show_login(a, c);
    write_code(a, code);
    reconsider_arm(a);
}

static void signin_write(struct authorize *a, const char *text)
{
    struct code *code = codes_find(&a->codes, view_str(text));
    if (code)
        write_code(a, code);
}

void signin_resume(struct authorize *a, struct connection *c, const char *text)
{
    struct code *code = codes_find(&a->codes, view_str(text));
    const struct request *known = requests_find(&a->requests, text);
    /* A code is shown for one key: another one under it is a mistake of the worker. */
    bool fits = (!code || strcmp(code->binding, c->key.binding) == 0) &&
                (!known || strcmp(known->key, c->key.binding) == 0) && strlen(text) < CODE_TEXT_MAX;
    c->phase = CONNECTION_WAITING;
    if (!fits) {
        connection_end_wait(a, c, STREAM_EXPIRED, MESSAGE_SIGN_IN_EXPIRED);
        return;
    }
    if (!code)
        code = known ? adopt(a, known) : issue(a, c, text, c->since_ms);
    attach(a, c, code);
    reconsider_arm(a);
    if (state_binding(&a->state, c->key.binding)) {
        connection_reconsider(a, c);
        if (!codes_find(&a->codes, view_str(text)))
            return;
    }
    if (known)
        signin_changed(a, text, known);
    else
        signin_write(a, text);
}

void signin_leave(struct authorize *a, struct connection *c)
{
    struct code *code = c->code;
    if (!code)
        return;
    c->code = NULL;
    code->waiting--;
    live_index(&a->live, &c->node, LIVE_BY_CODE, view_str(""));
    if (code->settled) {
        if (code->waiting == 0)
            codes_remove(&a->codes, code);
        return;
    }
    if (c->worker->finished) {
        /* It may be at another replica by now, whose record names it. */
        (void)map_remove(&code->mine, view_str(connection_id(c)));
        return;
    }
    code->dirty = true;
    write_code(a, code);
}

/* --- ends --- */

/* All who wait are told; the code is gone then. Its record is not written any more. */
static void end_code(struct authorize *a, struct code *code, enum stream_outcome outcome,
                     enum message sentence)
{
    AUTO_FREE char *text = mem_strdup(code->text);
    struct live_node *n;
    codes_settle(&a->codes, code);
    while ((n = live_first(&a->live, LIVE_BY_CODE, view_str(text))))
        connection_end_wait(a, connection_of(n), outcome, sentence);
    code = codes_find(&a->codes, view_str(text));
    if (code)
        codes_remove(&a->codes, code);
}

void signin_changed(struct authorize *a, const char *text, const struct request *request)
{
    struct code *code = codes_find(&a->codes, view_str(text));
    if (!code || code->settled)
        return;
    if (!request) {
        end_code(a, code, STREAM_EXPIRED, MESSAGE_SIGN_IN_EXPIRED);
        return;
    }
    if (request->version > code->version)
        code->version = request->version;
    switch (request->state) {
    case REQUEST_REVOKED:
        end_code(a, code, STREAM_DENIED, MESSAGE_SIGN_IN_DENIED);
        break;
    case REQUEST_ACCEPTED:
        /* What releases people is the binding, which comes with the durable records. */
        codes_settle(&a->codes, code);
        if (code->waiting == 0)
            codes_remove(&a->codes, code);
        break;
    case REQUEST_IN_FLIGHT:
        show_to_asking(a, code);
        write_code(a, code);
        break;
    }
}

void signin_synced(struct authorize *a, bool renewed)
{
    for (struct map_iter i = map_iter(&a->codes.by_text); map_next(&i);) {
        struct code *code = i.value;
        const struct request *known = requests_find(&a->requests, code->text);
        if (known) {
            /* Versions of another history mean nothing. */
            if (renewed)
                code->version = known->version;
            signin_changed(a, code->text, known);
        } else if (renewed && !code->settled) {
            code->version = 0;
            code->dirty = true;
            write_code(a, code);
        }
    }
}

void signin_release(struct authorize *a)
{
    for (struct map_iter i = map_iter(&a->codes.by_text); map_next(&i);) {
        struct code *code = i.value;
        struct live_node *next;
        if (!state_binding(&a->state, code->binding))
            continue;
        /* With the last one the code may go, but not before its node has been looked at. */
        for (struct live_node *n = live_first(&a->live, LIVE_BY_CODE, view_str(code->text)); n;
             n = next) {
            next = live_next(n, LIVE_BY_CODE);
            connection_reconsider(a, connection_of(n));
        }
    }
}

void signin_expire(struct authorize *a, uint64_t now_ms)
{
    struct code *code;
    while ((code = codes_expired(&a->codes, now_ms)))
        end_code(a, code, STREAM_EXPIRED, MESSAGE_SIGN_IN_EXPIRED);
}

void signin_tick(struct authorize *a)
{
    for (struct map_iter i = map_iter(&a->codes.by_text); map_next(&i);)
        write_code(a, i.value);
}
