#include "authorize/convert_records.h"

#include <math.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "proto/directory/directory.pb-c.h"
#include "proto/postern/records.pb-c.h"
#include "proto/session/session.pb-c.h"
#include "proto/user/user.pb-c.h"

#define SOURCE_DETAIL "Source Address"

enum {
    CLAIM_DEPTH_MAX = 8,
    CLAIMS_MAX = 1000,
    CLAIM_VALUES_MAX = 5000,
    BINDINGS_MAX = 500, /* of one session */
};

char *convert_type_request(void)
{
    return record_type(&session__session_binding_request__descriptor);
}

char *convert_type_cut_request(void)
{
    return record_type(&postern__cut_request__descriptor);
}

/* --- times --- */

static uint64_t time_ms(const Google__Protobuf__Timestamp *t, uint64_t absent)
{
    if (!t)
        return absent;
    if (t->seconds < 0)
        return 0;
    if ((uint64_t)t->seconds > UINT64_MAX / 1000 - 1)
        return STATE_NEVER;
    return (uint64_t)t->seconds * 1000 + (uint64_t)(t->nanos > 0 ? t->nanos / 1000000 : 0);
}

static Google__Protobuf__Timestamp time_of(uint64_t ms)
{
    Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    t.seconds = (int64_t)(ms / 1000);
    t.nanos = (int32_t)(ms % 1000) * 1000000;
    return t;
}

/* --- claims --- */

struct claim_list {
    struct claim *items;
    size_t count;
    size_t values;
};

static struct claim *claim_named(struct claim_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    }
    if (list->count >= CLAIMS_MAX)
        return NULL;
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof *list->items);
    struct claim *c = &list->items[list->count++];
    *c = (struct claim){.name = mem_strdup(name)};
    return c;
}

static void add_value(struct claim_list *list, const char *name, const char *text)
{
    struct claim *c = claim_named(list, name);
    if (!c || list->values >= CLAIM_VALUES_MAX)
        return;
    const char **values =
        mem_realloc((void *)(uintptr_t)c->values, (c->count + 1) * sizeof(char *));
    values[c->count++] = mem_strdup(text);
    c->values = values;
    list->values++;
}

static void add_number(struct claim_list *list, const char *name, double number)
{
    char text[64];
    bool whole = fabs(number) < 9e15 && floor(number) == number;
    (void)snprintf(text, sizeof text, whole ? "%.0f" : "%.17g", number);
    add_value(list, name, text);
}

static void add_claim(struct claim_list *list, const char *name,
                      const Google__Protobuf__Value *value, unsigned depth);

static void add_list(struct claim_list *list, const char *name,
                     const Google__Protobuf__ListValue *values, unsigned depth)
{
    for (size_t i = 0; values && i < values->n_values; i++)
        add_claim(list, name, values->values[i], depth);
}

static void add_claim(struct claim_list *list, const char *name,
                      const Google__Protobuf__Value *value, unsigned depth)
{
    if (depth >= CLAIM_DEPTH_MAX)
        return;
    switch (value->kind_case) {
    case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
        add_value(list, name, value->string_value);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
        add_value(list, name, value->bool_value ? "true" : "false");
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
        add_number(list, name, value->number_value);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
        add_list(list, name, value->list_value, depth + 1);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
        for (size_t i = 0; i < value->struct_value->n_fields; i++) {
            const Google__Protobuf__Struct__FieldsEntry *field = value->struct_value->fields[i];
            AUTO_FREE char *path = mem_printf("%s.%s", name, field->key);
            if (field->value)
                add_claim(list, path, field->value, depth + 1);
        }
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET:
    case GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE:
    case _GOOGLE__PROTOBUF__VALUE__KIND__CASE_IS_INT_SIZE:
        break;
    }
}

static struct claims claims_done(const struct claim_list *list)
{
    return (struct claims){list->items, list->count};
}

/* --- durable records --- */

static void *session_of(ProtobufCMessage *message, const char *id)
{
    const Session__Session *m = (const Session__Session *)message;
    struct session *s = mem_zalloc(sizeof *s);
    struct claim_list claims = {0};
    s->id = mem_strdup(id);
    s->user_id = mem_strdup(m->user_id);
    s->expires_ms = time_ms(m->expires_at, STATE_NEVER);
    for (size_t i = 0; i < m->n_claims; i++)
        add_list(&claims, m->claims[i]->key, m->claims[i]->value, 0);
    s->claims = claims_done(&claims);
    return s;
}

static void *user_of(ProtobufCMessage *message, const char *id)
{
    const User__User *m = (const User__User *)message;
    struct user *u = mem_zalloc(sizeof *u);
    struct claim_list claims = {0};
    u->id = mem_strdup(id);
    u->email = mem_strdup(m->email);
    u->name = mem_strdup(m->name);
    for (size_t i = 0; i < m->n_claims; i++)
        add_list(&claims, m->claims[i]->key, m->claims[i]->value, 0);
    u->claims = claims_done(&claims);
    return u;
}

static void *directory_of(ProtobufCMessage *message, const char *id)
{
    const Directory__User *m = (const Directory__User *)message;
    struct directory_user *u = mem_zalloc(sizeof *u);
    u->id = mem_strdup(id);
    u->email = mem_strdup(m->email);
    u->groups = mem_zalloc_array(m->n_group_ids, sizeof(char *));
    u->group_count = m->n_group_ids;
    for (size_t i = 0; i < m->n_group_ids; i++)
        u->groups[i] = mem_strdup(m->group_ids[i]);
    return u;
}

static void *binding_of(ProtobufCMessage *message, const char *id)
{
    const Session__SessionBinding *m = (const Session__SessionBinding *)message;
    struct binding *b = mem_zalloc(sizeof *b);
    b->id = mem_strdup(id);
    b->protocol = mem_strdup(m->protocol);
    b->session_id = mem_strdup(m->session_id);
    b->user_id = mem_strdup(m->user_id);
    b->expires_ms = time_ms(m->expires_at, STATE_NEVER);
    return b;
}

static void *service_account_of(ProtobufCMessage *message, const char *id)
{
    const User__ServiceAccount *m = (const User__ServiceAccount *)message;
    struct service_account *a = mem_zalloc(sizeof *a);
    a->id = mem_strdup(id);
    a->user_id = mem_strdup(m->user_id);
    a->description = mem_strdup(m->description);
    a->expires_ms = time_ms(m->expires_at, STATE_NEVER);
    return a;
}

static struct host_key *rows_of(Postern__HostKeyRow *const *rows, size_t count)
{
    struct host_key *out = mem_zalloc_array(count, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        out[i].type = mem_strdup(rows[i]->type);
        out[i].key = (uint8_t *)mem_strndup(rows[i]->key.data, rows[i]->key.len);
        out[i].key_len = rows[i]->key.len;
        out[i].fingerprint = mem_strdup(rows[i]->fingerprint);
        out[i].seen_ms = time_ms(rows[i]->seen_at, 0);
        out[i].accepted_by = mem_strdup(rows[i]->accepted_by);
    }
    return out;
}

static void *host_keys_of(ProtobufCMessage *message, const char *id)
{
    const Postern__HostKey *m = (const Postern__HostKey *)message;
    struct host_keys *h = mem_zalloc(sizeof *h);
    h->id = mem_strdup(id);
    h->accepted = rows_of(m->accepted, m->n_accepted);
    h->accepted_count = m->n_accepted;
    h->pending = rows_of(m->pending, m->n_pending);
    h->pending_count = m->n_pending;
    return h;
}

static const struct {
    const ProtobufCMessageDescriptor *type;
    enum state_kind kind;
    void *(*make)(ProtobufCMessage *message, const char *id);
} durable[] = {
    {&session__session__descriptor, STATE_SESSION, session_of},
    {&user__user__descriptor, STATE_USER, user_of},
    {&directory__user__descriptor, STATE_DIRECTORY, directory_of},
    {&session__session_binding__descriptor, STATE_BINDING, binding_of},
    {&user__service_account__descriptor, STATE_SERVICE_ACCOUNT, service_account_of},
    {&postern__host_key__descriptor, STATE_HOST_KEYS, host_keys_of},
};

bool convert_durable(struct state *s, const struct record *r)
{
    for (size_t i = 0; i < ARRAY_LEN(durable); i++) {
        if (!record_is(r, durable[i].type))
            continue;
        ProtobufCMessage *m = record_unpack(r, durable[i].type);
        void *entry = m ? durable[i].make(m, r->id) : NULL;
        if (entry && durable[i].kind == STATE_HOST_KEYS)
            ((struct host_keys *)entry)->version = r->version;
        if (m)
            protobuf_c_message_free_unpacked(m, NULL);
        state_put(s, durable[i].kind, r->id, entry);
        return entry || r->deleted;
    }
    return true;
}

struct host_keys *convert_host_keys(const struct record *r)
{
    ProtobufCMessage *m = record_unpack(r, &postern__host_key__descriptor);
    if (!m)
        return NULL;
    struct host_keys *h = host_keys_of(m, r->id);
    h->version = r->version;
    protobuf_c_message_free_unpacked(m, NULL);
    return h;
}

void convert_get_host_keys(const struct records *to, const char *id, record_get_fn done, void *ctx)
{
    records_get(to, &postern__host_key__descriptor, id, done, ctx);
}

static void fill_rows(const struct host_key *rows, size_t count, Postern__HostKeyRow *out,
                      Google__Protobuf__Timestamp *times, Postern__HostKeyRow **pointers)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = (Postern__HostKeyRow)POSTERN__HOST_KEY_ROW__INIT;
        times[i] = time_of(rows[i].seen_ms);
        out[i].type = rows[i].type;
        out[i].key = (ProtobufCBinaryData){rows[i].key_len, rows[i].key};
        out[i].fingerprint = rows[i].fingerprint;
        out[i].seen_at = &times[i];
        out[i].accepted_by = rows[i].accepted_by;
        pointers[i] = &out[i];
    }
}

void convert_put_host_keys(const struct records *to, const struct host_keys *h, record_put_fn done,
                           void *ctx)
{
    size_t n = h->accepted_count + h->pending_count;
    AUTO_FREE Postern__HostKeyRow *rows = mem_zalloc_array(n, sizeof *rows);
    AUTO_FREE Google__Protobuf__Timestamp *times = mem_zalloc_array(n, sizeof *times);
    AUTO_FREE Postern__HostKeyRow **pointers = mem_zalloc_array(n, sizeof *pointers);
    fill_rows(h->accepted, h->accepted_count, rows, times, pointers);
    fill_rows(h->pending, h->pending_count, rows + h->accepted_count, times + h->accepted_count,
              pointers + h->accepted_count);
    Postern__HostKey m = POSTERN__HOST_KEY__INIT;
    m.accepted = pointers;
    m.n_accepted = h->accepted_count;
    m.pending = pointers + h->accepted_count;
    m.n_pending = h->pending_count;
    struct record_write w = {&postern__host_key__descriptor, h->id, &m.base, h->version};
    records_put(to, &w, 1, done, ctx);
}

/* --- sign-ins --- */

static void waiting_of(struct request_waiting *out, const Session__WaitingConnection *m)
{
    out->connection_id = mem_strdup(m->connection_id);
    out->address = mem_strdup(m->address);
    out->login = mem_strdup(m->login);
    out->route = mem_strdup(m->route);
    out->client_version = mem_strdup(m->client_version);
    out->since_ms = time_ms(m->since, 0);
}

struct request *convert_request(const struct record *r)
{
    Session__SessionBindingRequest *m = (Session__SessionBindingRequest *)record_unpack(
        r, &session__session_binding_request__descriptor);
    if (!m)
        return NULL;
    struct request *out = mem_zalloc(sizeof *out);
    out->code = mem_strdup(r->id);
    out->version = r->version;
    out->key = mem_strdup(m->key);
    out->idp_id = mem_strdup(m->idp_id);
    out->key_type = mem_strdup(m->key_type);
    out->fingerprint = mem_strdup(m->fingerprint);
    out->created_ms = time_ms(m->created_at, 0);
    out->expires_ms = time_ms(m->expires_at, 0);
    /* A state of a later version releases nobody. */
    out->state = m->state == SESSION__SESSION_BINDING_REQUEST_STATE__InFlight   ? REQUEST_IN_FLIGHT
                 : m->state == SESSION__SESSION_BINDING_REQUEST_STATE__Accepted ? REQUEST_ACCEPTED
                                                                                : REQUEST_REVOKED;
    for (size_t i = 0; i < m->n_details; i++) {
        if (strcmp(m->details[i]->key, SOURCE_DETAIL) == 0)
            mem_set_str(&out->source, m->details[i]->value);
    }
    for (size_t i = 0; i < m->n_waiting && i < REQUEST_WAITING_MAX; i++)
        waiting_of(&out->waiting[out->waiting_count++], m->waiting[i]);
    protobuf_c_message_free_unpacked(&m->base, NULL);
    return out;
}

void convert_put_request(const struct records *to, const struct request *r, uint64_t expected,
                         record_put_fn done, void *ctx)
{
    Session__SessionBindingRequest m = SESSION__SESSION_BINDING_REQUEST__INIT;
    Google__Protobuf__Timestamp created = time_of(r->created_ms);
    Google__Protobuf__Timestamp expires = time_of(r->expires_ms);
    Session__WaitingConnection waiting[REQUEST_WAITING_MAX];
    Session__WaitingConnection *waiting_pointers[REQUEST_WAITING_MAX];
    Google__Protobuf__Timestamp since[REQUEST_WAITING_MAX];
    Session__SessionBindingRequest__DetailsEntry detail =
        SESSION__SESSION_BINDING_REQUEST__DETAILS_ENTRY__INIT;
    Session__SessionBindingRequest__DetailsEntry *details = &detail;
    detail.key = (char *)(uintptr_t)SOURCE_DETAIL;
    detail.value = r->source;
    m.protocol = (char *)(uintptr_t) "ssh";
    m.idp_id = r->idp_id;
    m.key = r->key;
    m.created_at = &created;
    m.expires_at = &expires;
    m.state = (Session__SessionBindingRequestState)r->state;
    m.details = &details;
    m.n_details = r->source ? 1 : 0;
    m.key_type = r->key_type;
    m.fingerprint = r->fingerprint;
    for (size_t i = 0; i < r->waiting_count; i++) {
        const struct request_waiting *w = &r->waiting[i];
        waiting[i] = (Session__WaitingConnection)SESSION__WAITING_CONNECTION__INIT;
        since[i] = time_of(w->since_ms);
        waiting[i].connection_id = w->connection_id;
        waiting[i].address = w->address;
        waiting[i].login = w->login;
        waiting[i].route = w->route;
        waiting[i].client_version = w->client_version;
        waiting[i].since = &since[i];
        waiting_pointers[i] = &waiting[i];
    }
    m.waiting = waiting_pointers;
    m.n_waiting = r->waiting_count;
    struct record_write w = {&session__session_binding_request__descriptor, r->code, &m.base,
                             expected};
    records_put(to, &w, 1, done, ctx);
}

void convert_delete_request(const struct records *to, const char *code, uint64_t expected,
                            record_put_fn done, void *ctx)
{
    struct record_write w = {&session__session_binding_request__descriptor, code, NULL, expected};
    records_put(to, &w, 1, done, ctx);
}

/* --- cut requests --- */

struct cut_request *convert_cut_request(const struct record *r)
{
    Postern__CutRequest *m =
        (Postern__CutRequest *)record_unpack(r, &postern__cut_request__descriptor);
    if (!m)
        return NULL;
    struct cut_request *out = mem_zalloc(sizeof *out);
    out->id = mem_strdup(r->id);
    out->version = r->version;
    out->connection_id = mem_strdup(m->connection_id);
    out->user = mem_strdup(m->user);
    out->session_id = mem_strdup(m->session_id);
    out->route = mem_strdup(m->route);
    out->reason = mem_strdup(m->reason);
    out->by = mem_strdup(m->by);
    out->created_ms = time_ms(m->created_at, 0);
    out->done = mem_zalloc_array(m->n_done, sizeof(char *));
    out->done_count = m->n_done;
    for (size_t i = 0; i < m->n_done; i++)
        out->done[i] = mem_strdup(m->done[i]);
    protobuf_c_message_free_unpacked(&m->base, NULL);
    return out;
}

void cut_request_free(struct cut_request *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->done_count; i++)
        mem_free(c->done[i]);
    mem_free(c->done);
    mem_free(c->id);
    mem_free(c->connection_id);
    mem_free(c->user);
    mem_free(c->session_id);
    mem_free(c->route);
    mem_free(c->reason);
    mem_free(c->by);
    mem_free(c);
}

void convert_put_cut_request(const struct records *to, const struct cut_request *c,
                             const char *done_by, record_put_fn done, void *ctx)
{
    Postern__CutRequest m = POSTERN__CUT_REQUEST__INIT;
    Google__Protobuf__Timestamp created = time_of(c->created_ms);
    AUTO_FREE char **names = mem_zalloc_array(c->done_count + 1, sizeof(char *));
    for (size_t i = 0; i < c->done_count; i++)
        names[i] = c->done[i];
    names[c->done_count] = (char *)(uintptr_t)done_by;
    m.connection_id = c->connection_id;
    m.user = c->user;
    m.session_id = c->session_id;
    m.route = c->route;
    m.reason = c->reason;
    m.by = c->by;
    m.created_at = &created;
    m.done = names;
    m.n_done = c->done_count + 1;
    struct record_write w = {&postern__cut_request__descriptor, c->id, &m.base, c->version};
    records_put(to, &w, 1, done, ctx);
}

/* --- ends of sessions --- */

void convert_find_bindings(const struct records *to, const char *session_id, record_query_fn done,
                           void *ctx)
{
    AUTO_FREE char *type = record_type(&session__session_binding__descriptor);
    const struct record_search search = {
        .type = type, .field = "session_id", .value = session_id, .limit = BINDINGS_MAX};
    records_query(to, &search, done, ctx);
}

void convert_delete_session(const struct records *to, const char *session_id,
                            const struct record_list *bindings, record_put_fn done, void *ctx)
{
    size_t count = bindings->count + 1;
    AUTO_FREE struct record_write *writes = mem_zalloc_array(count, sizeof *writes);
    writes[0] = (struct record_write){&session__session__descriptor, session_id, NULL, RECORDS_ANY};
    for (size_t i = 1; i < count; i++) {
        const struct record *r = &bindings->items[i - 1];
        writes[i] =
            (struct record_write){&session__session_binding__descriptor, r->id, NULL, r->version};
    }
    records_put(to, writes, count, done, ctx);
}

/* --- connections --- */

static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

void convert_put_connections(const struct records *to, const struct connection_row *rows,
                             size_t count, record_put_fn done, void *ctx)
{
    struct record_write writes[CONVERT_CONNECTIONS_MAX];
    Postern__Connection m[CONVERT_CONNECTIONS_MAX];
    Google__Protobuf__Timestamp since[CONVERT_CONNECTIONS_MAX];
    Google__Protobuf__Timestamp expires[CONVERT_CONNECTIONS_MAX];
    CHECK(count <= CONVERT_CONNECTIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct connection_row *r = &rows[i];
        m[i] = (Postern__Connection)POSTERN__CONNECTION__INIT;
        since[i] = time_of(r->since_ms);
        m[i].since = &since[i];
        if (r->expires_ms != STATE_NEVER) {
            expires[i] = time_of(r->expires_ms);
            m[i].expires_at = &expires[i];
        }
        m[i].id = text(r->id);
        m[i].protocol = text(r->protocol);
        m[i].session_id = text(r->session_id);
        m[i].service_account_id = text(r->account_id);
        m[i].user_id = text(r->user_id);
        m[i].email = text(r->email);
        m[i].login = text(r->login);
        m[i].route = text(r->route);
        m[i].route_id = text(r->route_id);
        m[i].source_address = text(r->source_address);
        m[i].fingerprint = text(r->fingerprint);
        m[i].owner = text(r->owner);
        m[i].worker = text(r->worker);
        m[i].upstream = text(r->upstream);
        writes[i] =
            (struct record_write){&postern__connection__descriptor, r->id, &m[i].base, r->expected};
    }
    records_put(to, writes, count, done, ctx);
}

void convert_delete_connection(const struct records *to, const char *id, uint64_t expected,
                               record_put_fn done, void *ctx)
{
    struct record_write w = {&postern__connection__descriptor, id, NULL, expected};
    records_put(to, &w, 1, done, ctx);
}
