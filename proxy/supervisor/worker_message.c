#include "proxy/supervisor/worker_message.h"

#include <stdatomic.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/digest.h"
#include "proto/postern/worker.pb-c.h"
#include "proxy/supervisor/worker_frame.h"

struct worker_key_id worker_key_id(struct view public_form)
{
    struct worker_key_id id;
    digest(DIGEST_SHA256, public_form, id.bytes);
    return id;
}

static enum err parse_id(ProtobufCBinaryData data, struct worker_key_id *out)
{
    if (data.len != WORKER_KEY_ID)
        return ERR_SYNTAX;
    memcpy(out->bytes, data.data, WORKER_KEY_ID);
    return OK;
}

static ProtobufCBinaryData pack_id(const struct worker_key_id *id)
{
    return (ProtobufCBinaryData){.len = WORKER_KEY_ID, .data = (uint8_t *)id->bytes};
}

static ProtobufCBinaryData pack_view(struct view v)
{
    return (ProtobufCBinaryData){.len = v.len, .data = (uint8_t *)v.ptr};
}

static struct view view_data(ProtobufCBinaryData data)
{
    return view_of(data.data, data.len);
}

static enum err pack(const ProtobufCMessage *m, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(m);
    uint8_t *p;
    if (size > WORKER_FRAME_BODY_MAX)
        return ERR_LIMIT;
    TRY(buf_reserve(out, size, &p));
    buf_commit(out, protobuf_c_message_pack(m, p));
    return OK;
}

/* --- configuration --- */

struct worker_config *worker_config_new(void)
{
    struct worker_config *c = mem_zalloc(sizeof *c);
    atomic_uint *refs = mem_zalloc(sizeof *refs);
    atomic_init(refs, 1);
    c->refs = refs;
    return c;
}

const struct worker_config *worker_config_ref(const struct worker_config *c)
{
    atomic_fetch_add((atomic_uint *)c->refs, 1);
    return c;
}

static void free_secret_text(char *s)
{
    if (s)
        mem_wipe(s, strlen(s));
    mem_free(s);
}

static void free_texts(struct worker_texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        mem_free(t->items[i]);
    mem_free(t->items);
}

static void free_mtls(struct worker_mtls *m)
{
    mem_free(m->ca);
    mem_free(m->crl);
    for (size_t i = 0; i < m->match_count; i++) {
        mem_free(m->matches[i].kind);
        mem_free(m->matches[i].pattern);
    }
    mem_free(m->matches);
}

void worker_config_unref(const struct worker_config *shared)
{
    if (!shared || atomic_fetch_sub((atomic_uint *)shared->refs, 1) != 1)
        return;
    struct worker_config *c = (struct worker_config *)shared;
    mem_free(c->config_hash);
    mem_free(c->service_ca);
    mem_free(c->service_certificate);
    free_secret_text(c->service_key);
    mem_free(c->authenticate_host);
    mem_free(c->authenticate_target);
    free_texts(&c->authorize_targets);
    free_texts(&c->access_log_fields);
    free_texts(&c->proxy_protocol_trusted);
    mem_free(c->cookie_name);
    free_mtls(&c->downstream_mtls);
    for (size_t i = 0; i < c->certificate_count; i++)
        mem_free(c->certificates[i].chain_pem);
    for (size_t i = 0; i < c->host_key_count; i++)
        mem_free(c->host_keys[i].blob);
    mem_free(c->certificates);
    mem_free(c->host_keys);
    mem_free(c->refs);
    mem_free(c);
}

void worker_texts_add(struct worker_texts *t, const char *text)
{
    t->items = mem_realloc(t->items, (t->count + 1) * sizeof *t->items);
    t->items[t->count++] = mem_strdup(text);
}

void worker_config_add_certificate(struct worker_config *c, const char *chain_pem)
{
    c->certificates =
        mem_realloc(c->certificates, (c->certificate_count + 1) * sizeof *c->certificates);
    c->certificates[c->certificate_count++] = (struct worker_certificate){
        .id = worker_key_id(view_str(chain_pem)), .chain_pem = mem_strdup(chain_pem)};
}

void worker_config_add_san_match(struct worker_config *c, const char *kind, const char *pattern)
{
    struct worker_mtls *m = &c->downstream_mtls;
    m->matches = mem_realloc(m->matches, (m->match_count + 1) * sizeof *m->matches);
    m->matches[m->match_count++] = (struct worker_san_match){mem_strdup(kind), mem_strdup(pattern)};
}

void worker_config_add_host_key(struct worker_config *c, struct view blob)
{
    c->host_keys = mem_realloc(c->host_keys, (c->host_key_count + 1) * sizeof *c->host_keys);
    c->host_keys[c->host_key_count++] =
        (struct worker_host_key){.id = worker_key_id(blob),
                                 .blob = (uint8_t *)mem_strndup(blob.ptr, blob.len),
                                 .len = blob.len};
}

static char *text(const char *s)
{
    return (char *)(s ? s : "");
}

/* The last part: its message lives until it is packed. */
static enum err pack_mtls(const struct worker_mtls *mtls, Postern__WorkerConfig *m, struct buf *out)
{
    Postern__DownstreamMtls part = POSTERN__DOWNSTREAM_MTLS__INIT;
    if (!mtls->ca)
        return pack(&m->base, out);
    Postern__SanMatch *matches = mem_zalloc_array(mtls->match_count, sizeof *matches);
    Postern__SanMatch **pointers = mem_zalloc_array(mtls->match_count, sizeof(void *));
    for (size_t i = 0; i < mtls->match_count; i++) {
        postern__san_match__init(&matches[i]);
        matches[i].kind = mtls->matches[i].kind;
        matches[i].pattern = mtls->matches[i].pattern;
        pointers[i] = &matches[i];
    }
    part.ca = mtls->ca;
    part.crl = text(mtls->crl);
    part.reject_connection = mtls->reject_connection;
    part.max_verify_depth = mtls->max_verify_depth;
    part.match_subject_alt_names = pointers;
    part.n_match_subject_alt_names = mtls->match_count;
    m->downstream_mtls = &part;
    enum err e = pack(&m->base, out);
    m->downstream_mtls = NULL;
    mem_free(matches);
    mem_free(pointers);
    return e;
}

static enum err pack_config(const struct worker_config *c, Postern__WorkerConfig *m,
                            struct buf *out)
{
    m->config_hash = text(c->config_hash);
    m->log_level = (uint32_t)c->log_level;
    m->shutdown_grace_ms = c->shutdown_grace;
    m->grpc_client_timeout_ms = c->grpc_client_timeout;
    m->service_ca = text(c->service_ca);
    m->service_certificate = text(c->service_certificate);
    m->service_key = text(c->service_key);
    m->authenticate_host = text(c->authenticate_host);
    m->authenticate_target = text(c->authenticate_target);
    m->authorize_targets = c->authorize_targets.items;
    m->n_authorize_targets = c->authorize_targets.count;
    m->https_listener = c->https_listener;
    m->ssh_listener = c->ssh_listener;
    m->ssh_profile = (uint32_t)c->ssh_profile;
    m->ssh_login_grace_time_ms = c->ssh_login_grace_time;
    m->ssh_max_startups_start = c->ssh_max_startups_start;
    m->ssh_max_startups_rate = c->ssh_max_startups_rate;
    m->ssh_max_startups_full = c->ssh_max_startups_full;
    m->ssh_sign_in_timeout_ms = c->ssh_sign_in_timeout;
    m->ssh_reveal_routes = (uint32_t)c->ssh_reveal_routes;
    m->revocation_grace_ms = c->revocation_grace;
    m->authorize_max_staleness_ms = c->authorize_max_staleness;
    m->access_log_fields = c->access_log_fields.items;
    m->n_access_log_fields = c->access_log_fields.count;
    m->access_log_interval_ms = c->access_log_interval;
    m->use_proxy_protocol = c->use_proxy_protocol;
    m->ssh_use_proxy_protocol = c->ssh_use_proxy_protocol;
    m->proxy_protocol_trusted = c->proxy_protocol_trusted.items;
    m->n_proxy_protocol_trusted = c->proxy_protocol_trusted.count;
    m->cookie_name = text(c->cookie_name);
    m->insecure_server = c->insecure_server;
    m->self_signed = c->self_signed;
    m->redirect_listener = c->redirect_listener;
    m->https_port = c->https_port;
    m->timeout_read_ms = c->timeout_read;
    m->timeout_idle_ms = c->timeout_idle;
    return pack_mtls(&c->downstream_mtls, m, out);
}

enum err worker_config_write(const struct worker_config *c, struct buf *out)
{
    Postern__WorkerConfig m = POSTERN__WORKER_CONFIG__INIT;
    Postern__WorkerCertificate *certificates =
        mem_zalloc_array(c->certificate_count, sizeof *certificates);
    Postern__WorkerCertificate **pointers = mem_zalloc_array(c->certificate_count, sizeof(void *));
    ProtobufCBinaryData *keys = mem_zalloc_array(c->host_key_count, sizeof *keys);
    for (size_t i = 0; i < c->certificate_count; i++) {
        postern__worker_certificate__init(&certificates[i]);
        certificates[i].id = pack_id(&c->certificates[i].id);
        certificates[i].chain_pem = c->certificates[i].chain_pem;
        pointers[i] = &certificates[i];
    }
    for (size_t i = 0; i < c->host_key_count; i++)
        keys[i] = pack_view(view_of(c->host_keys[i].blob, c->host_keys[i].len));
    m.certificates = pointers;
    m.n_certificates = c->certificate_count;
    m.host_keys = keys;
    m.n_host_keys = c->host_key_count;
    enum err e = pack_config(c, &m, out);
    mem_free(certificates);
    mem_free(pointers);
    mem_free(keys);
    return e;
}

static void take_texts(struct worker_texts *t, char **items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        worker_texts_add(t, items[i]);
}

static void take_mtls(struct worker_config *c, const Postern__DownstreamMtls *m)
{
    struct worker_mtls *mtls = &c->downstream_mtls;
    mtls->ca = mem_strdup(m->ca);
    mtls->crl = mem_strdup(m->crl);
    mtls->reject_connection = m->reject_connection;
    mtls->max_verify_depth = m->max_verify_depth;
    for (size_t i = 0; i < m->n_match_subject_alt_names; i++)
        worker_config_add_san_match(c, m->match_subject_alt_names[i]->kind,
                                    m->match_subject_alt_names[i]->pattern);
}

static void take_config(struct worker_config *c, const Postern__WorkerConfig *m)
{
    c->config_hash = mem_strdup(m->config_hash);
    c->log_level = (int)m->log_level;
    c->shutdown_grace = m->shutdown_grace_ms;
    c->grpc_client_timeout = m->grpc_client_timeout_ms;
    c->service_ca = mem_strdup(m->service_ca);
    c->service_certificate = mem_strdup(m->service_certificate);
    c->service_key = mem_strdup(m->service_key);
    c->authenticate_host = mem_strdup(m->authenticate_host);
    c->authenticate_target = mem_strdup(m->authenticate_target);
    take_texts(&c->authorize_targets, m->authorize_targets, m->n_authorize_targets);
    c->https_listener = m->https_listener;
    c->ssh_listener = m->ssh_listener;
    for (size_t i = 0; i < m->n_certificates; i++)
        worker_config_add_certificate(c, m->certificates[i]->chain_pem);
    for (size_t i = 0; i < m->n_host_keys; i++)
        worker_config_add_host_key(c, view_data(m->host_keys[i]));
    c->ssh_profile = (int)m->ssh_profile;
    c->ssh_login_grace_time = m->ssh_login_grace_time_ms;
    c->ssh_max_startups_start = m->ssh_max_startups_start;
    c->ssh_max_startups_rate = m->ssh_max_startups_rate;
    c->ssh_max_startups_full = m->ssh_max_startups_full;
    c->ssh_sign_in_timeout = m->ssh_sign_in_timeout_ms;
    c->ssh_reveal_routes = (int)m->ssh_reveal_routes;
    c->revocation_grace = m->revocation_grace_ms;
    c->authorize_max_staleness = m->authorize_max_staleness_ms;
    take_texts(&c->access_log_fields, m->access_log_fields, m->n_access_log_fields);
    c->access_log_interval = m->access_log_interval_ms;
    c->use_proxy_protocol = m->use_proxy_protocol;
    c->ssh_use_proxy_protocol = m->ssh_use_proxy_protocol;
    take_texts(&c->proxy_protocol_trusted, m->proxy_protocol_trusted, m->n_proxy_protocol_trusted);
    c->cookie_name = mem_strdup(m->cookie_name);
    c->insecure_server = m->insecure_server;
    c->self_signed = m->self_signed;
    c->redirect_listener = m->redirect_listener;
    c->https_port = (uint16_t)m->https_port;
    c->timeout_read = m->timeout_read_ms;
    c->timeout_idle = m->timeout_idle_ms;
    if (m->downstream_mtls)
        take_mtls(c, m->downstream_mtls);
}

enum err worker_config_parse(struct view body, struct worker_config **out)
{
    Postern__WorkerConfig *m = postern__worker_config__unpack(NULL, body.len, body.ptr);
    if (!m)
        return ERR_SYNTAX;
    struct worker_config *c = worker_config_new();
    take_config(c, m);
    if (m->service_key)
        mem_wipe(m->service_key, strlen(m->service_key));
    postern__worker_config__free_unpacked(m, NULL);
    *out = c;
    return OK;
}

/* --- signatures --- */

enum err worker_sign_write(uint8_t frame_type, const struct worker_sign_request *r, struct buf *out)
{
    AUTO_FREE char *algorithm = mem_strndup(r->algorithm.ptr, r->algorithm.len);
    if (frame_type == WORKER_FRAME_SIGN_KEX) {
        Postern__SignKex m = POSTERN__SIGN_KEX__INIT;
        m.key = pack_id(&r->key);
        m.algorithm = algorithm;
        m.hash = pack_view(r->input);
        return pack(&m.base, out);
    }
    if (frame_type == WORKER_FRAME_SIGN_HOSTKEYS_PROVE) {
        Postern__SignHostkeysProve m = POSTERN__SIGN_HOSTKEYS_PROVE__INIT;
        m.key = pack_id(&r->key);
        m.algorithm = algorithm;
        m.session_id = pack_view(r->input);
        return pack(&m.base, out);
    }
    CHECK(frame_type == WORKER_FRAME_SIGN_TLS);
    Postern__SignTls m = POSTERN__SIGN_TLS__INIT;
    m.certificate = pack_id(&r->key);
    m.algorithm = r->tls_algorithm;
    m.input = pack_view(r->input);
    return pack(&m.base, out);
}

static enum err take_request(ProtobufCMessage *m, struct worker_sign_request *r)
{
    if (m->descriptor == &postern__sign_kex__descriptor) {
        const Postern__SignKex *kex = (const Postern__SignKex *)m;
        r->algorithm = view_str(kex->algorithm);
        r->input = view_data(kex->hash);
        return parse_id(kex->key, &r->key);
    }
    if (m->descriptor == &postern__sign_hostkeys_prove__descriptor) {
        const Postern__SignHostkeysProve *prove = (const Postern__SignHostkeysProve *)m;
        r->algorithm = view_str(prove->algorithm);
        r->input = view_data(prove->session_id);
        return parse_id(prove->key, &r->key);
    }
    const Postern__SignTls *tls = (const Postern__SignTls *)m;
    r->tls_algorithm = tls->algorithm;
    r->input = view_data(tls->input);
    return parse_id(tls->certificate, &r->key);
}

enum err worker_sign_parse(uint8_t frame_type, struct view body, struct worker_sign_message *out)
{
    const ProtobufCMessageDescriptor *const kinds[] = {
        [WORKER_FRAME_SIGN_KEX] = &postern__sign_kex__descriptor,
        [WORKER_FRAME_SIGN_HOSTKEYS_PROVE] = &postern__sign_hostkeys_prove__descriptor,
        [WORKER_FRAME_SIGN_TLS] = &postern__sign_tls__descriptor,
    };
    CHECK(frame_type < ARRAY_LEN(kinds) && kinds[frame_type]);
    ProtobufCMessage *m = protobuf_c_message_unpack(kinds[frame_type], NULL, body.len, body.ptr);
    if (!m)
        return ERR_SYNTAX;
    struct worker_sign_message parsed = {.message = m};
    enum err e = take_request(m, &parsed.request);
    if (e != OK) {
        protobuf_c_message_free_unpacked(m, NULL);
        return e;
    }
    *out = parsed;
    return OK;
}

void worker_sign_fini(struct worker_sign_message *m)
{
    if (m->message)
        protobuf_c_message_free_unpacked(m->message, NULL);
    *m = (struct worker_sign_message){0};
}

enum err worker_signed_write(struct view signature, const char *error, struct buf *out)
{
    Postern__Signed m = POSTERN__SIGNED__INIT;
    m.signature = pack_view(signature);
    m.error = text(error);
    return pack(&m.base, out);
}

enum err worker_signed_parse(struct view body, struct buf *out_signature)
{
    Postern__Signed *m = postern__signed__unpack(NULL, body.len, body.ptr);
    if (!m)
        return ERR_SYNTAX;
    enum err e = ERR_DENIED;
    if (m->error[0] == '\0')
        e = m->signature.len ? buf_append(out_signature, view_data(m->signature)) : ERR_SYNTAX;
    postern__signed__free_unpacked(m, NULL);
    return e;
}

/* --- status --- */

void worker_status_fini(struct worker_status *s)
{
    mem_free(s->config_hash);
    mem_free(s->error);
    for (size_t i = 0; i < s->check_count; i++) {
        mem_free(s->checks[i].name);
        mem_free(s->checks[i].error);
    }
    *s = (struct worker_status){0};
}

enum err worker_status_write(const struct worker_status *s, struct buf *out)
{
    Postern__WorkerStatus m = POSTERN__WORKER_STATUS__INIT;
    Postern__WorkerCheck checks[WORKER_CHECKS_MAX];
    Postern__WorkerCheck *pointers[WORKER_CHECKS_MAX];
    for (size_t i = 0; i < s->check_count; i++) {
        postern__worker_check__init(&checks[i]);
        checks[i].name = text(s->checks[i].name);
        checks[i].state = (uint32_t)s->checks[i].state;
        checks[i].error = text(s->checks[i].error);
        pointers[i] = &checks[i];
    }
    m.ready = s->ready;
    m.config_hash = text(s->config_hash);
    m.error = text(s->error);
    m.checks = pointers;
    m.n_checks = s->check_count;
    return pack(&m.base, out);
}

enum err worker_status_parse(struct view body, struct worker_status *out)
{
    Postern__WorkerStatus *m = postern__worker_status__unpack(NULL, body.len, body.ptr);
    if (!m)
        return ERR_SYNTAX;
    enum err e = m->n_checks > WORKER_CHECKS_MAX ? ERR_LIMIT : OK;
    if (e == OK) {
        *out = (struct worker_status){.ready = m->ready,
                                      .config_hash = mem_strdup(m->config_hash),
                                      .error = mem_strdup(m->error),
                                      .check_count = m->n_checks};
        for (size_t i = 0; i < m->n_checks; i++)
            out->checks[i] = (struct worker_check){.name = mem_strdup(m->checks[i]->name),
                                                   .state = (int)m->checks[i]->state,
                                                   .error = mem_strdup(m->checks[i]->error)};
    }
    postern__worker_status__free_unpacked(m, NULL);
    return e;
}
