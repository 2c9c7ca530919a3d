#include "proxy/supervisor/keyring.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/key.h"
#include "common/crypto/x509.h"
#include "common/io/address.h"
#include "common/io/loop.h"
#include "common/io/tls.h"

struct host_key {
    struct worker_key_id id;
    struct private_key key;
    bool retired;
};

struct tls_pair {
    struct worker_key_id id;
    char *chain_pem;
    struct tls_key *key;
    unsigned age; /* reloads since it was in a configuration */
};

struct keyring {
    struct host_key **host_keys; /* in order of the configuration, then the retired */
    size_t host_key_count;
    struct tls_pair **pairs;
    size_t pair_count;
    struct x509_pair own; /* self-signed, made at most once */
    bool uses_own;
    uint64_t tokens_at; /* when the bucket was filled last, ms */
    uint64_t tokens;    /* thousandths of a signature */
};

static void free_host_key(struct host_key *h)
{
    private_key_fini(&h->key);
    mem_free(h);
}

static void free_pair(struct tls_pair *p)
{
    tls_key_free(p->key);
    mem_free(p->chain_pem);
    mem_free(p);
}

static void clear(struct keyring *k)
{
    for (size_t i = 0; i < k->host_key_count; i++)
        free_host_key(k->host_keys[i]);
    for (size_t i = 0; i < k->pair_count; i++)
        free_pair(k->pairs[i]);
    mem_free(k->host_keys);
    mem_free(k->pairs);
    k->host_keys = NULL;
    k->pairs = NULL;
    k->host_key_count = k->pair_count = 0;
}

struct keyring *keyring_new(void)
{
    struct keyring *k = mem_zalloc(sizeof *k);
    k->tokens = (uint64_t)KEYRING_RATE * 1000;
    return k;
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    clear(k);
    x509_pair_fini(&k->own);
    mem_free(k);
}

static void add_host_key(struct keyring *k, struct host_key *h)
{
    k->host_keys = mem_realloc(k->host_keys, (k->host_key_count + 1) * sizeof(void *));
    k->host_keys[k->host_key_count++] = h;
}

static void add_pair(struct keyring *k, struct tls_pair *p)
{
    k->pairs = mem_realloc(k->pairs, (k->pair_count + 1) * sizeof(void *));
    k->pairs[k->pair_count++] = p;
}

/* --- loading --- */

static const char *name_of(const struct config_blob *b)
{
    return b->file ? b->file : "the inline key";
}

static bool has_type(const struct keyring *k, enum key_type type)
{
    for (size_t i = 0; i < k->host_key_count; i++) {
        if (k->host_keys[i]->key.public.type == type)
            return true;
    }
    return false;
}

static void load_host_key(struct keyring *k, const struct config_blob *b, struct diag *d)
{
    struct private_key key = {0};
    enum err e = private_key_parse(&key, secret_view(&b->text));
    if (e != OK) {
        diag_error(d, b->at, b->key, "%s: not a usable SSH host key: %s", name_of(b), err_text(e));
        return;
    }
    if (has_type(k, key.public.type)) {
        diag_error(d, b->at, b->key, "%s: a second host key of type %s; one per type is used",
                   name_of(b), key_type_name(key.public.type));
        private_key_fini(&key);
        return;
    }
    struct host_key *h = mem_zalloc(sizeof *h);
    h->key = key;
    h->id = worker_key_id(public_key_blob(&key.public));
    add_host_key(k, h);
}

static enum err make_pair(const char *chain_pem, const char *key_pem, struct tls_pair **out)
{
    struct tls_key *key;
    TRY(tls_key_parse(key_pem, &key));
    enum err e = tls_key_fits(key, chain_pem);
    if (e != OK) {
        tls_key_free(key);
        return e;
    }
    struct tls_pair *p = mem_zalloc(sizeof *p);
    p->id = worker_key_id(view_str(chain_pem));
    p->chain_pem = mem_strdup(chain_pem);
    p->key = key;
    *out = p;
    return OK;
}

static void load_certificate(struct keyring *k, const struct config_certificate *c, struct diag *d)
{
    struct tls_pair *p;
    struct tls_key *key;
    const char *chain_pem = (const char *)c->chain.text.data;
    const char *key_pem = (const char *)c->key.text.data;
    enum err e = make_pair(chain_pem, key_pem, &p);
    if (e == OK) {
        add_pair(k, p);
        return;
    }
    if (e == ERR_MISMATCH) {
        diag_error(d, c->key.at, c->key.key, "%s: not the private key of %s", name_of(&c->key),
                   name_of(&c->chain));
        return;
    }
    /* Which of the two is it? */
    if (tls_key_parse(key_pem, &key) == OK) {
        tls_key_free(key);
        diag_error(d, c->chain.at, c->chain.key, "%s: not a chain of PEM certificates",
                   name_of(&c->chain));
    } else {
        diag_error(d, c->key.at, c->key.key, "%s: not an unencrypted PEM private key",
                   name_of(&c->key));
    }
}

static enum err load_own(struct keyring *k, struct x509_pair *own, const struct config *config)
{
    if (!own->cert_pem) {
        const char *host = config->authenticate_service_url.host;
        struct address ip;
        bool is_ip = address_parse_ip(view_str(host), &ip) == OK;
        const char *const dns[] = {"localhost", is_ip ? NULL : host, NULL};
        const char *const ips[] = {"127.0.0.1", "::1", is_ip ? host : NULL, NULL};
        uint64_t now = loop_wall_ms();
        enum { HOUR_MS = 3600000 };
        const struct x509_leaf leaf = {.common_name = "Postern",
                                       .dns = dns,
                                       .ips = ips,
                                       .not_before_at = now - HOUR_MS,
                                       .not_after_at = now + (uint64_t)HOUR_MS * 24 * 365,
                                       .server_auth = true};
        TRY(x509_make_self_signed(&leaf, own));
    }
    struct tls_pair *p;
    TRY(make_pair(own->cert_pem, own->key_pem, &p));
    add_pair(k, p);
    k->uses_own = true;
    return OK;
}

static void load_all(struct keyring *fresh, struct x509_pair *own, const struct config *config,
                     struct diag *d)
{
    for (size_t i = 0; i < config->ssh_host_keys.count; i++)
        load_host_key(fresh, &config->ssh_host_keys.items[i], d);
    if (*config->ssh_address && config->ssh_host_keys.count == 0)
        diag_error(d, (struct diag_place){.file = config->file}, "ssh_host_key_files",
                   "ssh_address needs SSH host keys; make them with: postern keygen host-keys");
    for (size_t i = 0; i < config->certificate_count; i++)
        load_certificate(fresh, &config->certificates[i], d);
    if (config->certificate_count == 0 && !config->insecure_server &&
        load_own(fresh, own, config) != OK)
        diag_error(d, (struct diag_place){.file = config->file}, "certificate_file",
                   "no certificate is configured and none could be made");
}

static bool has_key(const struct keyring *k, const struct worker_key_id *id)
{
    for (size_t i = 0; i < k->host_key_count; i++) {
        if (memcmp(k->host_keys[i]->id.bytes, id->bytes, WORKER_KEY_ID) == 0)
            return true;
    }
    for (size_t i = 0; i < k->pair_count; i++) {
        if (memcmp(k->pairs[i]->id.bytes, id->bytes, WORKER_KEY_ID) == 0)
            return true;
    }
    return false;
}

/* What live connections and handshakes may still need goes over. */
static void keep_old(struct keyring *k, struct keyring *fresh)
{
    size_t current = fresh->host_key_count;
    for (size_t i = 0; i < k->host_key_count; i++) {
        struct host_key *h = k->host_keys[i];
        bool keep =
            !has_key(fresh, &h->id) && fresh->host_key_count - current < KEYRING_RETIRED_MAX;
        h->retired = true;
        if (keep)
            add_host_key(fresh, h);
        else
            free_host_key(h);
    }
    for (size_t i = 0; i < k->pair_count; i++) {
        struct tls_pair *p = k->pairs[i];
        if (++p->age == 1 && !has_key(fresh, &p->id))
            add_pair(fresh, p);
        else
            free_pair(p);
    }
    k->host_key_count = k->pair_count = 0;
}

enum err keyring_load(struct keyring *k, const struct config *config, struct diag *d)
{
    struct keyring fresh = {0};
    size_t errors = d->errors;
    load_all(&fresh, &k->own, config, d);
    if (d->errors > errors) {
        clear(&fresh);
        return ERR_CONFIG;
    }
    keep_old(k, &fresh);
    clear(k);
    k->host_keys = fresh.host_keys;
    k->host_key_count = fresh.host_key_count;
    k->pairs = fresh.pairs;
    k->pair_count = fresh.pair_count;
    k->uses_own = fresh.uses_own;
    return OK;
}

void keyring_check(const struct config *config, struct diag *d)
{
    struct keyring *k = keyring_new();
    IGNORE(keyring_load(k, config, d), "what is wrong is in the diag");
    keyring_free(k);
}

bool keyring_is_self_signed(const struct keyring *k)
{
    return k->uses_own;
}

void keyring_describe(const struct keyring *k, struct worker_config *c)
{
    c->self_signed = k->uses_own;
    for (size_t i = 0; i < k->host_key_count; i++) {
        if (!k->host_keys[i]->retired)
            worker_config_add_host_key(c, public_key_blob(&k->host_keys[i]->key.public));
    }
    for (size_t i = 0; i < k->pair_count; i++) {
        if (k->pairs[i]->age == 0)
            worker_config_add_certificate(c, k->pairs[i]->chain_pem);
    }
}

/* --- signing --- */

static bool take_token(struct keyring *k, uint64_t now_ms)
{
    uint64_t full = (uint64_t)KEYRING_RATE * 1000;
    uint64_t passed = now_ms > k->tokens_at ? now_ms - k->tokens_at : 0;
    k->tokens_at = now_ms;
    /* One thousandth of a signature per RATE-th of a millisecond. */
    k->tokens = passed > 1000 ? full : k->tokens + passed * KEYRING_RATE;
    if (k->tokens > full)
        k->tokens = full;
    if (k->tokens < 1000)
        return false;
    k->tokens -= 1000;
    return true;
}

static struct host_key *find_host_key(const struct keyring *k, const struct worker_key_id *id)
{
    for (size_t i = 0; i < k->host_key_count; i++) {
        if (memcmp(k->host_keys[i]->id.bytes, id->bytes, WORKER_KEY_ID) == 0)
            return k->host_keys[i];
    }
    return NULL;
}

static enum err sign_kex(const struct host_key *h, const struct worker_sign_request *r,
                         struct buf *out)
{
    /* RFC 4253 §8: the exchange hash is a SHA-2 digest; nothing else is signed as it comes. */
    if (r->input.len != 32 && r->input.len != 48 && r->input.len != 64)
        return ERR_DENIED;
    return private_key_sign(&h->key, r->algorithm, r->input, out);
}

/* OpenSSH PROTOCOL §2.5. */
static enum err sign_prove(const struct host_key *h, const struct worker_sign_request *r,
                           struct buf *out)
{
    if (r->input.len == 0 || r->input.len > 64)
        return ERR_DENIED;
    AUTO(buf_fini) struct buf data;
    buf_init(&data, KEYRING_SIGNATURE_MAX + 256);
    struct writer w = writer_to(&data);
    write_cstring(&w, "hostkeys-prove-00@openssh.com");
    write_string(&w, r->input);
    write_string(&w, public_key_blob(&h->key.public));
    TRY(writer_done(&w));
    struct view algorithm = r->algorithm;
    if (algorithm.len == 0)
        algorithm = view_str(key_alg_default(h->key.public.type)->name);
    return private_key_sign(&h->key, algorithm, buf_view(&data), out);
}

static enum err sign_tls(const struct keyring *k, const struct worker_sign_request *r,
                         struct buf *out)
{
    if (r->tls_algorithm > UINT16_MAX)
        return ERR_UNSUPPORTED;
    uint16_t algorithm = (uint16_t)r->tls_algorithm;
    bool tls13 = tls_input_is_tls13(r->input);
    if (!tls13 && !tls_input_is_tls12(r->input))
        return ERR_DENIED;
    if (tls13 && !tls_algorithm_is_tls13(algorithm))
        return ERR_UNSUPPORTED;
    for (size_t i = 0; i < k->pair_count; i++) {
        if (memcmp(k->pairs[i]->id.bytes, r->key.bytes, WORKER_KEY_ID) == 0)
            return tls_key_sign(k->pairs[i]->key, algorithm, r->input, out);
    }
    return ERR_NOT_FOUND;
}

enum err keyring_sign(struct keyring *k, enum worker_frame_type type,
                      const struct worker_sign_request *r, uint64_t now_ms, struct buf *out)
{
    if (!take_token(k, now_ms))
        return ERR_BUSY;
    if (type == WORKER_FRAME_SIGN_TLS)
        return sign_tls(k, r, out);
    const struct host_key *h = find_host_key(k, &r->key);
    if (!h)
        return ERR_NOT_FOUND;
    return type == WORKER_FRAME_SIGN_KEX ? sign_kex(h, r, out) : sign_prove(h, r, out);
}
