#include "authorize/host_key.h"

#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"
#include "common/crypto/cert.h"

enum { NAMES_MAX = 200 }; /* bytes of a certificate's names in a sentence */

char *host_key_record_id(const struct route *route)
{
    return mem_printf("%s %s", route->name, route->to.address);
}

void host_key_judgement_fini(struct host_key_judgement *j)
{
    mem_free(j->sentence);
    public_key_fini(&j->key);
    *j = (struct host_key_judgement){0};
}

/* What is shown, taken apart. */
struct shown {
    const struct snapshot *s;
    const struct snapshot_route *route;
    struct public_key key; /* the plain key, also of a certificate */
    char fingerprint[KEY_FINGERPRINT_MAX];
    bool is_certificate;
    struct cert cert;
};

static enum err shown_parse(struct shown *shown, struct view blob)
{
    enum err e = public_key_parse(&shown->key, blob);
    if (e != OK) {
        TRY(cert_parse(&shown->cert, blob));
        shown->is_certificate = true;
        public_key_copy(&shown->key, &shown->cert.key);
    }
    public_key_fingerprint(&shown->key, shown->fingerprint);
    return OK;
}

static void shown_fini(struct shown *shown)
{
    if (shown->is_certificate)
        cert_fini(&shown->cert);
    public_key_fini(&shown->key);
}

static void refuse(struct host_key_judgement *out, const char *reason, char *sentence)
{
    out->verdict = HOST_KEY_REFUSE;
    out->reason = reason;
    out->sentence = sentence;
}

static bool has_cas(const struct snapshot *s, const struct snapshot_route *route)
{
    const struct route_target *to = &route->route->to;
    return route->host_cas.count || known_hosts_has_ca(&s->known_hosts, to->host, to->port);
}

static char *names_of(const struct cert *c)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, NAMES_MAX);
    for (size_t i = 0; i < c->principals_len; i++) {
        if ((i && buf_append_str(&out, ",") != OK) || text_printable(c->principals[i], &out) != OK)
            break;
    }
    return out.len ? buf_to_str(&out) : mem_strdup("no host");
}

/* Why a host certificate is not good for this target, for logs; NULL when it is. */
static const char *certificate_fault(const struct shown *shown, uint64_t now_ms, char **out_text)
{
    const struct route_target *to = &shown->route->route->to;
    const struct known_hosts *known = &shown->s->known_hosts;
    const struct cert *c = &shown->cert;
    char ca[KEY_FINGERPRINT_MAX];
    public_key_fingerprint(&c->ca, ca);
    *out_text = NULL;
    if (c->kind != CERT_HOST) {
        *out_text = mem_strdup("it is a user's certificate");
        return "host-certificate-kind";
    }
    if (known_hosts_has(known, KNOWN_HOSTS_REVOKED, to->host, to->port, &c->ca)) {
        *out_text = mem_printf("its authority %s is revoked", ca);
        return "host-certificate-revoked";
    }
    if (!snapshot_keys_has(&shown->route->host_cas, &c->ca) &&
        !known_hosts_has(known, KNOWN_HOSTS_CA, to->host, to->port, &c->ca)) {
        *out_text = mem_printf("its authority %s is none that the configuration names", ca);
        return "host-certificate-authority";
    }
    if (cert_verify(c) != OK) {
        *out_text = mem_strdup("its signature is wrong, or made with SHA-1");
        return "host-certificate-signature";
    }
    AUTO_FREE char *host = mem_strdup(to->host);
    text_lower_str(host);
    enum err e = cert_check(c, CERT_HOST, view_str(host), now_ms / 1000, NULL);
    if (e == ERR_MISMATCH) {
        AUTO_FREE char *names = names_of(c);
        *out_text = mem_printf("it is for %s, not for %s", names, host);
        return "host-certificate-name";
    }
    if (e == ERR_EXPIRED) {
        *out_text =
            mem_strdup(now_ms / 1000 < c->valid_after ? "it is not valid yet" : "it has expired");
        return "host-certificate-time";
    }
    if (e != OK) {
        *out_text = mem_strdup("it has a critical option, which host certificates have not");
        return "host-certificate-option";
    }
    return NULL;
}

static bool is_pinned(const struct shown *shown)
{
    const struct route_target *to = &shown->route->route->to;
    return snapshot_keys_has(&shown->route->host_keys, &shown->key) ||
           known_hosts_has(&shown->s->known_hosts, KNOWN_HOSTS_KEY, to->host, to->port,
                           &shown->key);
}

/* Where the configuration names keys for a target, nothing else will do. */
static bool has_pins(const struct shown *shown)
{
    const struct route_target *to = &shown->route->route->to;
    return shown->route->host_keys.count || has_cas(shown->s, shown->route) ||
           known_hosts_types(&shown->s->known_hosts, to->host, to->port);
}

static void refuse_unpinned(const struct shown *shown, const char *fault, const char *fault_text,
                            struct host_key_judgement *out)
{
    const struct route *route = shown->route->route;
    if (fault)
        refuse(out, fault,
               message_format(MESSAGE_HOST_CERTIFICATE_REFUSED, route->name, route->to.address,
                              fault_text, NULL));
    else
        refuse(out, "host-key-not-pinned",
               message_format(has_cas(shown->s, shown->route) ? MESSAGE_HOST_KEY_NOT_CERTIFIED
                                                              : MESSAGE_HOST_KEY_NOT_PINNED,
                              route->name, route->to.address, shown->fingerprint, NULL));
}

static void judge_by_record(const struct shown *shown, const struct host_keys *record,
                            struct host_key_judgement *out)
{
    const struct route *route = shown->route->route;
    const char *type = key_type_name(shown->key.type);
    const struct host_key *same_type = NULL;
    public_key_copy(&out->key, &shown->key);
    if (!record || record->accepted_count == 0) {
        out->verdict = HOST_KEY_RECORD;
        return;
    }
    for (size_t i = 0; i < record->accepted_count; i++) {
        const struct host_key *row = &record->accepted[i];
        if (view_eq(view_of(row->key, row->key_len), public_key_blob(&shown->key))) {
            out->verdict = HOST_KEY_ACCEPT;
            return;
        }
        if (strcmp(row->type, type) == 0)
            same_type = row;
    }
    out->pending = true;
    if (same_type) {
        refuse(out, "host-key-changed",
               message_format(MESSAGE_HOST_KEY_CHANGED, route->name, route->to.address,
                              same_type->fingerprint, shown->fingerprint, route->name, NULL));
        return;
    }
    refuse(out, "host-key-new-type",
           message_format(MESSAGE_HOST_KEY_NEW_TYPE, route->name, route->to.address,
                          record->accepted[0].fingerprint, shown->fingerprint, route->name, NULL));
}

static void judge_shown(const struct shown *shown, const struct host_keys *record, uint64_t now_ms,
                        struct host_key_judgement *out)
{
    const struct route *route = shown->route->route;
    const struct known_hosts *known = &shown->s->known_hosts;
    if (known_hosts_has(known, KNOWN_HOSTS_REVOKED, route->to.host, route->to.port, &shown->key)) {
        refuse(out, "host-key-revoked",
               message_format(MESSAGE_HOST_KEY_REVOKED, route->name, route->to.address,
                              shown->fingerprint, NULL));
        return;
    }
    if (route->ssh_host_key_policy == HOST_KEY_POLICY_INSECURE || is_pinned(shown)) {
        out->verdict = HOST_KEY_ACCEPT;
        return;
    }
    AUTO_FREE char *text = NULL;
    const char *fault = shown->is_certificate ? certificate_fault(shown, now_ms, &text) : NULL;
    if (shown->is_certificate && !fault) {
        out->verdict = HOST_KEY_ACCEPT;
        return;
    }
    if (route->ssh_host_key_policy == HOST_KEY_POLICY_STRICT || has_pins(shown)) {
        refuse_unpinned(shown, fault, text, out);
        return;
    }
    judge_by_record(shown, record, out);
}

void host_key_judge(const struct snapshot *s, const struct snapshot_route *route,
                    const struct host_keys *record, struct view host_key, uint64_t now_ms,
                    struct host_key_judgement *out)
{
    struct shown shown = {.s = s, .route = route};
    *out = (struct host_key_judgement){0};
    if (shown_parse(&shown, host_key) == OK)
        judge_shown(&shown, record, now_ms, out);
    else
        refuse(out, "host-key-unreadable",
               message_format(MESSAGE_HOST_KEY_UNREADABLE, route->route->name,
                              route->route->to.address, NULL));
    shown_fini(&shown);
}

size_t host_key_types(const struct snapshot *s, const struct snapshot_route *route,
                      const struct host_keys *record, const char *out[KEY_TYPE_COUNT])
{
    const struct route_target *to = &route->route->to;
    unsigned types = known_hosts_types(&s->known_hosts, to->host, to->port);
    size_t n = 0;
    for (size_t i = 0; i < route->host_keys.count; i++)
        types |= 1U << route->host_keys.items[i].type;
    /* Pins decide alone where there are any. */
    for (size_t i = 0; !types && record && i < record->accepted_count; i++) {
        enum key_type type;
        if (key_type_find(view_str(record->accepted[i].type), &type) == OK)
            types |= 1U << type;
    }
    for (unsigned type = 0; type < KEY_TYPE_COUNT; type++) {
        if (types >> type & 1)
            out[n++] = key_type_name((enum key_type)type);
    }
    return n;
}

size_t host_key_certificate_types(const struct snapshot *s, const struct snapshot_route *route,
                                  const char *out[KEY_TYPE_COUNT])
{
    size_t n = 0;
    if (!has_cas(s, route))
        return 0;
    for (unsigned type = 0; type < KEY_TYPE_COUNT; type++)
        out[n++] = cert_type_name((enum key_type)type);
    return n;
}

/* --- records --- */

static struct host_key *copy_rows(const struct host_key *rows, size_t count, const char *without,
                                  size_t *out_count)
{
    struct host_key *out = mem_zalloc_array(count + 1, sizeof *out);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (without && strcmp(rows[i].type, without) == 0)
            continue;
        out[n++] = (struct host_key){
            .type = mem_strdup(rows[i].type),
            .key = (uint8_t *)mem_strndup(rows[i].key, rows[i].key_len),
            .key_len = rows[i].key_len,
            .fingerprint = mem_strdup(rows[i].fingerprint),
            .seen_ms = rows[i].seen_ms,
            .accepted_by = mem_strdup(rows[i].accepted_by),
        };
    }
    *out_count = n;
    return out;
}

static void add_row(struct host_key *rows, size_t *count, const struct public_key *key,
                    const char *accepted_by, uint64_t now_ms)
{
    char fingerprint[KEY_FINGERPRINT_MAX];
    struct view blob = public_key_blob(key);
    public_key_fingerprint(key, fingerprint);
    rows[(*count)++] = (struct host_key){
        .type = mem_strdup(key_type_name(key->type)),
        .key = (uint8_t *)mem_strndup(blob.ptr, blob.len),
        .key_len = blob.len,
        .fingerprint = mem_strdup(fingerprint),
        .seen_ms = now_ms,
        .accepted_by = mem_strdup(accepted_by),
    };
}

struct host_keys *host_key_with(const struct host_keys *record, const char *id,
                                const struct public_key *key, bool pending, uint64_t now_ms)
{
    static const struct host_keys nothing;
    const struct host_keys *from = record ? record : &nothing;
    const char *type = key_type_name(key->type);
    struct host_keys *h = mem_zalloc(sizeof *h);
    h->id = mem_strdup(id);
    h->version = from->version;
    h->accepted =
        copy_rows(from->accepted, from->accepted_count, pending ? NULL : type, &h->accepted_count);
    h->pending =
        copy_rows(from->pending, from->pending_count, pending ? type : NULL, &h->pending_count);
    if (pending)
        add_row(h->pending, &h->pending_count, key, "", now_ms);
    else
        add_row(h->accepted, &h->accepted_count, key, "first use", now_ms);
    return h;
}

bool host_key_is_pending(const struct host_keys *record, const struct public_key *key)
{
    for (size_t i = 0; record && i < record->pending_count; i++) {
        if (view_eq(view_of(record->pending[i].key, record->pending[i].key_len),
                    public_key_blob(key)))
            return true;
    }
    return false;
}
