/* Requests to bind a key, and bindings. */
#include "authenticate/convert.h"
#include "authenticate/convert_time.h"
#include "common/base/mem.h"
#include "proto/session/session.pb-c.h"

/* --- requests --- */

void request_fini(struct request *r)
{
    for (size_t i = 0; i < r->waiting_count; i++) {
        mem_free(r->waiting[i].address);
        mem_free(r->waiting[i].login);
        mem_free(r->waiting[i].route);
        mem_free(r->waiting[i].client_version);
    }
    mem_free(r->waiting);
    mem_free(r->protocol);
    mem_free(r->idp_id);
    mem_free(r->key);
    mem_free(r->key_type);
    mem_free(r->fingerprint);
    protobuf_c_message_free_unpacked(r->message, NULL);
    *r = (struct request){0};
}

/* proto3 enums are open: what is unknown is over. */
static enum request_state read_state(Session__SessionBindingRequestState state)
{
    if (state == SESSION__SESSION_BINDING_REQUEST_STATE__InFlight)
        return REQUEST_IN_FLIGHT;
    return state == SESSION__SESSION_BINDING_REQUEST_STATE__Accepted ? REQUEST_ACCEPTED
                                                                     : REQUEST_REVOKED;
}

enum err convert_read_request(const struct record *r, struct request *out)
{
    ProtobufCMessage *message = record_unpack(r, convert_request);
    if (!message)
        return ERR_DAMAGED;
    const Session__SessionBindingRequest *m = (const void *)message;
    *out = (struct request){
        .message = message,
        .version = r->version,
        .state = read_state(m->state),
        .protocol = mem_strdup(m->protocol),
        .idp_id = mem_strdup(m->idp_id),
        .key = mem_strdup(m->key),
        .key_type = mem_strdup(m->key_type),
        .fingerprint = mem_strdup(m->fingerprint),
        .created_ms = convert_read_time(m->created_at),
        .expires_ms = convert_read_time(m->expires_at),
        .waiting = mem_zalloc_array(m->n_waiting, sizeof *out->waiting),
        .waiting_count = m->n_waiting,
    };
    for (size_t i = 0; i < m->n_waiting; i++) {
        out->waiting[i] = (struct request_waiting){
            .address = mem_strdup(m->waiting[i]->address),
            .login = mem_strdup(m->waiting[i]->login),
            .route = mem_strdup(m->waiting[i]->route),
            .client_version = mem_strdup(m->waiting[i]->client_version),
        };
    }
    return OK;
}

const ProtobufCMessage *convert_request_with_state(struct request *r, enum request_state state)
{
    Session__SessionBindingRequest *m = (void *)r->message;
    m->state = state == REQUEST_ACCEPTED ? SESSION__SESSION_BINDING_REQUEST_STATE__Accepted
                                         : SESSION__SESSION_BINDING_REQUEST_STATE__Revoked;
    return r->message;
}

static const char device_protocol[] = "cli";

ProtobufCMessage *convert_make_request(const struct device_request *d)
{
    Session__SessionBindingRequest *m = mem_zalloc(sizeof *m);
    Session__WaitingConnection *w = mem_zalloc(sizeof *w);
    session__session_binding_request__init(m);
    session__waiting_connection__init(w);
    m->protocol = mem_strdup(device_protocol);
    m->idp_id = mem_strdup(d->idp_id);
    m->key = mem_strdup(d->key);
    m->created_at = convert_make_time(d->created_ms);
    m->expires_at = convert_make_time(d->expires_ms);
    m->state = SESSION__SESSION_BINDING_REQUEST_STATE__InFlight;
    m->n_waiting = 1;
    m->waiting = mem_zalloc(sizeof(void *));
    m->waiting[0] = w;
    w->address = mem_strdup(d->address);
    w->route = mem_strdup(d->host);
    w->client_version = mem_strdup(d->client);
    w->since = convert_make_time(d->created_ms);
    return &m->base;
}

bool request_is_device(const struct request *r)
{
    return strcmp(r->protocol, device_protocol) == 0;
}

/* --- bindings --- */

bool binding_is_device(const struct binding *b)
{
    return strcmp(b->protocol, device_protocol) == 0;
}

static Session__SessionBinding__DetailsEntry *make_detail(const char *key, const char *value)
{
    Session__SessionBinding__DetailsEntry *e = mem_zalloc(sizeof *e);
    session__session_binding__details_entry__init(e);
    e->key = mem_strdup(key);
    e->value = mem_strdup(value);
    return e;
}

ProtobufCMessage *convert_make_binding(const struct request *r, const struct session *s,
                                       uint64_t now_ms)
{
    Session__SessionBinding *m = mem_zalloc(sizeof *m);
    session__session_binding__init(m);
    m->protocol = mem_strdup(r->protocol);
    m->session_id = mem_strdup(s->id);
    m->user_id = mem_strdup(s->user_id);
    m->issued_at = convert_make_time(now_ms);
    /* A program fetches its token at once or never. */
    bool is_short = request_is_device(r) && r->expires_ms < s->expires_ms;
    m->expires_at = convert_make_time(is_short ? r->expires_ms : s->expires_ms);
    m->n_details = 3;
    m->details = mem_zalloc_array(m->n_details, sizeof(void *));
    m->details[0] =
        make_detail("Source Address", r->waiting_count ? r->waiting[0].address : "unknown");
    m->details[1] = make_detail("fingerprint", r->fingerprint);
    m->details[2] = make_detail("key_type", r->key_type);
    return &m->base;
}

ProtobufCMessage *convert_make_identity_binding(const struct request *r, const struct session *s)
{
    Session__IdentityBinding *m = mem_zalloc(sizeof *m);
    session__identity_binding__init(m);
    m->protocol = mem_strdup(r->protocol);
    m->user_id = mem_strdup(s->user_id);
    m->idp_id = mem_strdup(s->idp_id);
    return &m->base;
}

void binding_fini(struct binding *b)
{
    mem_free(b->id);
    mem_free(b->protocol);
    mem_free(b->user_id);
    mem_free(b->idp_id);
    mem_free(b->session_id);
    mem_free(b->fingerprint);
    mem_free(b->initiated_from);
    *b = (struct binding){0};
}

/* Of an id "sshkey-SHA256:…". */
static char *fingerprint_of(const char *id)
{
    struct view v = view_str(id), prefix = VIEW("sshkey-");
    if (view_starts_with(v, prefix))
        v = view_skip(v, prefix.len);
    return mem_strndup(v.ptr, v.len);
}

enum err convert_read_binding(const struct record *r, struct binding *out)
{
    ProtobufCMessage *message = record_unpack(r, convert_binding);
    if (!message)
        return ERR_DAMAGED;
    const Session__SessionBinding *m = (const void *)message;
    const char *from = "", *fingerprint = "";
    for (size_t i = 0; i < m->n_details; i++) {
        if (strcmp(m->details[i]->key, "Source Address") == 0)
            from = m->details[i]->value;
        else if (strcmp(m->details[i]->key, "fingerprint") == 0)
            fingerprint = m->details[i]->value;
    }
    *out = (struct binding){
        .id = mem_strdup(r->id),
        .protocol = mem_strdup(m->protocol),
        .user_id = mem_strdup(m->user_id),
        .session_id = mem_strdup(m->session_id),
        .fingerprint = *fingerprint ? mem_strdup(fingerprint) : fingerprint_of(r->id),
        .initiated_from = mem_strdup(from),
        .issued_ms = convert_read_time(m->issued_at),
        .expires_ms = convert_read_time(m->expires_at),
    };
    protobuf_c_message_free_unpacked(message, NULL);
    return OK;
}

enum err convert_read_identity_binding(const struct record *r, struct binding *out)
{
    ProtobufCMessage *message = record_unpack(r, convert_identity_binding);
    if (!message)
        return ERR_DAMAGED;
    const Session__IdentityBinding *m = (const void *)message;
    *out = (struct binding){
        .id = mem_strdup(r->id),
        .protocol = mem_strdup(m->protocol),
        .user_id = mem_strdup(m->user_id),
        .idp_id = mem_strdup(m->idp_id),
        .fingerprint = fingerprint_of(r->id),
    };
    protobuf_c_message_free_unpacked(message, NULL);
    return OK;
}
