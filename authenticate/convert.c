#include "authenticate/convert.h"

#include "authenticate/convert_time.h"
#include "common/base/mem.h"
#include "proto/google/protobuf/struct.pb-c.h"
#include "proto/postern/records.pb-c.h"
#include "proto/session/session.pb-c.h"
#include "proto/user/user.pb-c.h"

const ProtobufCMessageDescriptor *const convert_user = &user__user__descriptor;
const ProtobufCMessageDescriptor *const convert_session = &session__session__descriptor;
const ProtobufCMessageDescriptor *const convert_tokens = &postern__sealed_tokens__descriptor;
const ProtobufCMessageDescriptor *const convert_request =
    &session__session_binding_request__descriptor;
const ProtobufCMessageDescriptor *const convert_binding = &session__session_binding__descriptor;
const ProtobufCMessageDescriptor *const convert_identity_binding =
    &session__identity_binding__descriptor;

uint64_t convert_read_time(const Google__Protobuf__Timestamp *t)
{
    if (!t || t->seconds < 0)
        return 0;
    return (uint64_t)t->seconds * 1000 + (uint64_t)t->nanos / 1000000;
}

Google__Protobuf__Timestamp *convert_make_time(uint64_t ms)
{
    Google__Protobuf__Timestamp *t = mem_zalloc(sizeof *t);
    google__protobuf__timestamp__init(t);
    t->seconds = (int64_t)(ms / 1000);
    t->nanos = (int32_t)(ms % 1000) * 1000000;
    return t;
}

/* --- claims --- */

static Google__Protobuf__ListValue *make_list(const struct claim *c)
{
    Google__Protobuf__ListValue *list = mem_zalloc(sizeof *list);
    google__protobuf__list_value__init(list);
    list->values = mem_zalloc_array(c->count, sizeof *list->values);
    list->n_values = c->count;
    for (size_t i = 0; i < c->count; i++) {
        Google__Protobuf__Value *v = mem_zalloc(sizeof *v);
        google__protobuf__value__init(v);
        v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        v->string_value = mem_strdup(c->values[i]);
        list->values[i] = v;
    }
    return list;
}

static Session__Session__ClaimsEntry **make_claims(const struct claims *claims)
{
    Session__Session__ClaimsEntry **entries = mem_zalloc_array(claims->count, sizeof(void *));
    for (size_t i = 0; i < claims->count; i++) {
        entries[i] = mem_zalloc(sizeof *entries[i]);
        session__session__claims_entry__init(entries[i]);
        entries[i]->key = mem_strdup(claims->items[i].name);
        entries[i]->value = make_list(&claims->items[i]);
    }
    return entries;
}

static void read_list(const Google__Protobuf__ListValue *list, struct claim *out)
{
    size_t count = list ? list->n_values : 0;
    out->values = mem_zalloc_array(count, sizeof *out->values);
    for (size_t i = 0; i < count; i++) {
        if (list->values[i]->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE)
            out->values[out->count++] = mem_strdup(list->values[i]->string_value);
    }
}

static void read_claims(const Session__Session *m, struct claims *out)
{
    out->items = mem_zalloc_array(m->n_claims, sizeof *out->items);
    for (size_t i = 0; i < m->n_claims; i++) {
        struct claim *c = &out->items[out->count++];
        c->name = mem_strdup(m->claims[i]->key);
        read_list(m->claims[i]->value, c);
        out->values += c->count;
    }
}

/* --- sessions --- */

enum err convert_read_session(const struct record *r, struct session *out)
{
    ProtobufCMessage *m = record_unpack(r, convert_session);
    if (!m)
        return ERR_DAMAGED;
    const Session__Session *s = (const void *)m;
    out->id = mem_strdup(s->id);
    out->user_id = mem_strdup(s->user_id);
    out->idp_id = mem_strdup(s->idp_id);
    out->issued_ms = convert_read_time(s->issued_at);
    out->expires_ms = convert_read_time(s->expires_at);
    out->refresh_disabled = s->refresh_disabled;
    read_claims(s, &out->claims);
    out->email = mem_strdup(claims_first(&out->claims, "email"));
    out->name = mem_strdup(claims_first(&out->claims, "name"));
    protobuf_c_message_free_unpacked(m, NULL);
    return OK;
}

ProtobufCMessage *convert_make_session(const struct session *s)
{
    Session__Session *m = mem_zalloc(sizeof *m);
    session__session__init(m);
    m->id = mem_strdup(s->id);
    m->user_id = mem_strdup(s->user_id);
    m->idp_id = mem_strdup(s->idp_id);
    m->issued_at = convert_make_time(s->issued_ms);
    m->accessed_at = convert_make_time(s->issued_ms);
    m->expires_at = convert_make_time(s->expires_ms);
    m->claims = make_claims(&s->claims);
    m->n_claims = s->claims.count;
    return &m->base;
}

void convert_set_claims(ProtobufCMessage *session, const struct claims *claims)
{
    Session__Session *m = (void *)session;
    for (size_t i = 0; i < m->n_claims; i++)
        protobuf_c_message_free_unpacked(&m->claims[i]->base, NULL);
    mem_free(m->claims);
    m->claims = make_claims(claims);
    m->n_claims = claims->count;
}

ProtobufCMessage *convert_make_user(const struct session_identity *who)
{
    User__User *m = mem_zalloc(sizeof *m);
    user__user__init(m);
    m->id = mem_strdup(who->user_id);
    m->email = mem_strdup(who->email);
    m->name = mem_strdup(who->name);
    m->claims = mem_zalloc_array(who->claims->count, sizeof(void *));
    m->n_claims = who->claims->count;
    for (size_t i = 0; i < who->claims->count; i++) {
        m->claims[i] = mem_zalloc(sizeof *m->claims[i]);
        user__user__claims_entry__init(m->claims[i]);
        m->claims[i]->key = mem_strdup(who->claims->items[i].name);
        m->claims[i]->value = make_list(&who->claims->items[i]);
    }
    return &m->base;
}

ProtobufCMessage *convert_make_tokens(struct view sealed, uint64_t expires_ms)
{
    Postern__SealedTokens *m = mem_zalloc(sizeof *m);
    postern__sealed_tokens__init(m);
    m->sealed.data = (uint8_t *)mem_strndup(sealed.ptr, sealed.len);
    m->sealed.len = sealed.len;
    m->expires_at = convert_make_time(expires_ms);
    return &m->base;
}

enum err convert_read_tokens(const struct record *r, struct sealed_tokens *out)
{
    ProtobufCMessage *message = record_unpack(r, convert_tokens);
    if (!message)
        return ERR_DAMAGED;
    const Postern__SealedTokens *m = (const void *)message;
    *out = (struct sealed_tokens){.expires_ms = convert_read_time(m->expires_at)};
    buf_init(&out->sealed, m->sealed.len);
    enum err e = buf_append(&out->sealed, view_of(m->sealed.data, m->sealed.len));
    protobuf_c_message_free_unpacked(message, NULL);
    return e;
}

void sealed_tokens_fini(struct sealed_tokens *t)
{
    buf_fini(&t->sealed);
}
