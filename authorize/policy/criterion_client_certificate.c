/*
 * client_certificate: the certificate shown in TLS is good by downstream_mtls and is one of these,
 * by its fingerprint, its key or its names. All parts that are given have to hold; a name holds
 * when one of the certificate's names of that kind matches.
 */
#include "authorize/policy/criterion.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { HASH_LEN = 32 };

/* Allowed hashes; none given: any. */
struct hashes {
    uint8_t (*items)[HASH_LEN];
    size_t count;
};

struct client_rule {
    struct hashes fingerprints;
    struct hashes spki_hashes;
    struct matcher email;
    struct matcher dns;
    struct matcher uri;
};

void client_rule_free(struct client_rule *r)
{
    if (!r)
        return;
    mem_free(r->fingerprints.items);
    mem_free(r->spki_hashes.items);
    matcher_fini(&r->email);
    matcher_fini(&r->dns);
    matcher_fini(&r->uri);
    mem_free(r);
}

/* 64 lower-case digits as openssl's hash tools print it, or AA:BB:… as openssl x509 does. */
static enum err parse_fingerprint(struct view text, struct buf *out)
{
    char digits[2 * HASH_LEN];
    bool colons = text.len == 3 * HASH_LEN - 1;
    if (!colons && text.len != sizeof digits)
        return ERR_SYNTAX;
    for (size_t i = 0, n = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool separator = colons && i % 3 == 2;
        bool letter = colons ? c >= 'A' && c <= 'F' : c >= 'a' && c <= 'f';
        if (separator ? c != ':' : !letter && !text_is_digit(c))
            return ERR_SYNTAX;
        if (!separator)
            digits[n++] = (char)text_lower(c);
    }
    return text_unhex(view_of(digits, sizeof digits), out);
}

static void add_hash(struct hashes *h, const struct policy_source *s, const struct node *n,
                     bool fingerprint)
{
    AUTO(buf_fini) struct buf bytes;
    buf_init(&bytes, HASH_LEN);
    enum err e = ERR_SYNTAX;
    if (n->type == NODE_SCALAR)
        e = fingerprint ? parse_fingerprint(node_view(n), &bytes)
                        : text_unbase64(node_view(n), &bytes);
    if (e != OK || bytes.len != HASH_LEN) {
        policy_error(s, n,
                     fingerprint ? "expected the SHA-256 of a certificate: 64 lower-case hex "
                                   "digits, or AA:BB:… in upper case"
                                 : "expected the SHA-256 of a public key in base64");
        return;
    }
    h->items = mem_realloc(h->items, (h->count + 1) * sizeof *h->items);
    memcpy(h->items[h->count++], buf_ptr(&bytes), HASH_LEN);
}

static void parse_hashes(struct hashes *h, const struct policy_source *s, const struct node *n,
                         bool fingerprint)
{
    if (n->type != NODE_LIST) {
        add_hash(h, s, n, fingerprint);
        return;
    }
    if (n->count == 0)
        policy_error(s, n, "an empty list would match every certificate");
    for (size_t i = 0; i < n->count; i++)
        add_hash(h, s, n->items[i], fingerprint);
}

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    static const char keys[] = "fingerprint, spki_hash, san_email, san_dns, san_uri";
    struct client_rule *r = c->client = mem_zalloc(sizeof *r);
    if (data->type != NODE_MAP || data->count == 0) {
        policy_error(s, data, "expected a map with some of %s", keys);
        return;
    }
    for (size_t i = 0; i < data->count; i++) {
        struct view key = view_str(data->keys[i]);
        const struct node *n = data->items[i];
        if (view_eq_str(key, "fingerprint"))
            parse_hashes(&r->fingerprints, s, n, true);
        else if (view_eq_str(key, "spki_hash"))
            parse_hashes(&r->spki_hashes, s, n, false);
        else if (view_eq_str(key, "san_email"))
            matcher_parse_string(&r->email, s, n);
        else if (view_eq_str(key, "san_dns"))
            matcher_parse_string(&r->dns, s, n);
        else if (view_eq_str(key, "san_uri"))
            matcher_parse_string(&r->uri, s, n);
        else
            policy_error(s, n, "unknown part \"%s\" of client_certificate; known are %s",
                         data->keys[i], keys);
    }
}

static bool has_hash(const struct hashes *h, struct view hash)
{
    for (size_t i = 0; i < h->count; i++) {
        if (view_eq(view_of(h->items[i], HASH_LEN), hash))
            return true;
    }
    return h->count == 0;
}

static bool has_name(const struct matcher *m, const struct facts_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (matcher_string(m, view_str(names->items[i])))
            return true;
    }
    return m->count == 0;
}

static bool match(const struct criterion *c, const struct facts *f)
{
    const struct client_rule *r = c->client;
    const struct facts_client *shown = f->client;
    return shown && shown->presented && shown->valid &&
           has_hash(&r->fingerprints, shown->fingerprint) &&
           has_hash(&r->spki_hashes, shown->spki_hash) && has_name(&r->email, &shown->emails) &&
           has_name(&r->dns, &shown->dns) && has_name(&r->uri, &shown->uris);
}

const struct criterion_type criterion_client_certificate = {
    .name = "client_certificate",
    .about = CRITERION_ABOUT_REQUEST,
    .only = CRITERION_HTTP,
    .ok = REASON_CLIENT_CERTIFICATE_OK,
    .not_ok = REASON_CLIENT_CERTIFICATE_UNAUTHORIZED,
    .parse = parse,
    .match = match,
};
