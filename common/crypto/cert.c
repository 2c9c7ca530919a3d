#include "common/crypto/cert.h"

#include "common/base/check.h"
#include "common/base/text.h"
#include "common/base/wire.h"
#include "common/crypto/pkey.h"

enum { NONCE_MAX = 256, OPTION_NAME_MAX = 256 };

/* The type name in a blob, and how many strings the key itself is. */
static const struct {
    const char *name;
    unsigned fields;
} types[KEY_TYPE_COUNT] = {
    [KEY_ED25519] = {"ssh-ed25519-cert-v01@openssh.com", 1},
    [KEY_ECDSA_P256] = {"ecdsa-sha2-nistp256-cert-v01@openssh.com", 2},
    [KEY_ECDSA_P384] = {"ecdsa-sha2-nistp384-cert-v01@openssh.com", 2},
    [KEY_ECDSA_P521] = {"ecdsa-sha2-nistp521-cert-v01@openssh.com", 2},
    [KEY_RSA] = {"ssh-rsa-cert-v01@openssh.com", 2},
    [KEY_SK_ED25519] = {"sk-ssh-ed25519-cert-v01@openssh.com", 2},
    [KEY_SK_ECDSA_P256] = {"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", 3},
};

const char *cert_type_name(enum key_type type)
{
    CHECK((unsigned)type < KEY_TYPE_COUNT);
    return types[type].name;
}

enum err cert_type_find(struct view name, enum key_type *out_type)
{
    for (unsigned i = 0; i < KEY_TYPE_COUNT; i++) {
        if (view_eq_str(name, types[i].name)) {
            *out_type = (enum key_type)i;
            return OK;
        }
    }
    return ERR_UNSUPPORTED;
}

/* Puts the certified key together as a plain blob, which the one parser for keys judges. */
static enum err read_certified_key(struct reader *r, enum key_type type, struct public_key *out)
{
    AUTO(buf_fini) struct buf blob;
    buf_init(&blob, KEY_BLOB_MAX);
    struct writer w = writer_to(&blob);
    write_cstring(&w, key_type_name(type));
    for (unsigned i = 0; i < types[type].fields; i++) {
        struct view field = read_string_max(r, KEY_BLOB_MAX);
        TRY(reader_ok(r));
        write_string(&w, field);
    }
    TRY(writer_done(&w));
    return public_key_parse(out, buf_view(&blob));
}

static enum err read_principals(struct view packed, struct cert *c)
{
    size_t count = 0;
    struct reader r = reader_of(packed);
    for (; reader_left(&r); count++) {
        if (count == CERT_PRINCIPALS_MAX)
            return ERR_RANGE;
        (void)read_string(&r);
    }
    TRY(reader_done(&r));
    c->principals = mem_zalloc_array(count, sizeof *c->principals);
    c->principals_len = count;
    r = reader_of(packed);
    for (size_t i = 0; i < count; i++)
        c->principals[i] = read_string(&r);
    return reader_done(&r);
}

/* PROTOCOL.certkeys: names ascend and occur once, or one could hide behind another. */
static enum err read_options(struct view packed, struct cert_option **out, size_t *out_len)
{
    size_t count = 0;
    struct view last = {0};
    struct reader r = reader_of(packed);
    for (; reader_left(&r); count++) {
        struct view name = read_string_max(&r, OPTION_NAME_MAX);
        (void)read_string(&r);
        TRY(reader_ok(&r));
        if (count == CERT_OPTIONS_MAX)
            return ERR_RANGE;
        if (name.len == 0 || (count && view_cmp(last, name) >= 0))
            return ERR_SYNTAX;
        last = name;
    }
    TRY(reader_done(&r));
    struct cert_option *options = mem_zalloc_array(count, sizeof *options);
    r = reader_of(packed);
    for (size_t i = 0; i < count; i++) {
        options[i].name = read_string(&r);
        options[i].data = read_string(&r);
    }
    *out = options;
    *out_len = count;
    return OK;
}

static enum err read_kind(struct reader *r, enum cert_kind *out)
{
    uint32_t kind = read_u32(r);
    TRY(reader_ok(r));
    if (kind != CERT_USER && kind != CERT_HOST)
        return ERR_SYNTAX;
    *out = (enum cert_kind)kind;
    return OK;
}

static enum err read_common(struct reader *r, struct cert *c)
{
    c->serial = read_u64(r);
    TRY(read_kind(r, &c->kind));
    c->key_id = read_string_max(r, CERT_KEY_ID_MAX);
    struct view principals = read_string(r);
    c->valid_after = read_u64(r);
    c->valid_before = read_u64(r);
    struct view critical = read_string(r);
    struct view extensions = read_string(r);
    (void)read_string(r); /* reserved */
    struct view ca = read_string(r);
    c->signed_part = view_of(c->blob, (size_t)(r->pos - c->blob));
    c->signature = read_string_max(r, KEY_BLOB_MAX);
    TRY(reader_done(r));
    TRY(read_principals(principals, c));
    TRY(read_options(critical, &c->critical, &c->critical_len));
    TRY(read_options(extensions, &c->extensions, &c->extensions_len));
    /* A CA key that is itself a certificate is not a plain key type: ERR_UNSUPPORTED. */
    return public_key_parse(&c->ca, ca);
}

static enum err parse_owned(struct cert *c)
{
    enum key_type type;
    struct reader r = reader_of(view_of(c->blob, c->blob_len));
    struct view name = read_string(&r);
    TRY(reader_ok(&r));
    TRY(cert_type_find(name, &type));
    (void)read_string_max(&r, NONCE_MAX);
    TRY(read_certified_key(&r, type, &c->key));
    return read_common(&r, c);
}

enum err cert_parse(struct cert *c, struct view blob)
{
    if (blob.len > CERT_BLOB_MAX)
        return ERR_LIMIT;
    struct cert fresh = {.blob = mem_zalloc(blob.len), .blob_len = blob.len};
    if (blob.len)
        memcpy(fresh.blob, blob.ptr, blob.len);
    enum err e = parse_owned(&fresh);
    if (e == OK)
        *c = fresh;
    else
        cert_fini(&fresh);
    return e;
}

void cert_fini(struct cert *c)
{
    public_key_fini(&c->key);
    public_key_fini(&c->ca);
    mem_free(c->principals);
    mem_free(c->critical);
    mem_free(c->extensions);
    mem_free(c->blob);
    *c = (struct cert){0};
}

enum err cert_verify(const struct cert *c)
{
    bool is_cert = false;
    struct reader r = reader_of(c->signature);
    struct view name = read_string(&r);
    TRY(reader_ok(&r));
    /* Any algorithm of the CA's key; "ssh-rsa" (SHA-1) is none. */
    const struct key_alg *alg = key_alg_find(name, &is_cert);
    if (!alg || is_cert)
        return ERR_UNSUPPORTED;
    return public_key_verify(&c->ca, name, c->signed_part, c->signature);
}

static bool is_known(struct view name, const char *const *known)
{
    for (; known && *known; known++)
        if (view_eq_str(name, *known))
            return true;
    return false;
}

enum err cert_check(const struct cert *c, enum cert_kind kind, struct view principal,
                    uint64_t now_s, const char *const *known)
{
    bool matches = false;
    for (size_t i = 0; i < c->principals_len; i++)
        matches = matches || view_eq(c->principals[i], principal);
    if (c->kind != kind || !matches)
        return ERR_MISMATCH;
    if (now_s < c->valid_after || now_s >= c->valid_before)
        return ERR_EXPIRED;
    for (size_t i = 0; i < c->critical_len; i++)
        if (!is_known(c->critical[i].name, known))
            return ERR_UNSUPPORTED;
    return OK;
}

enum err cert_option_text(const struct cert_option *o, struct view *out)
{
    struct reader r = reader_of(o->data);
    struct view text = read_string(&r);
    TRY(reader_done(&r));
    *out = text;
    return OK;
}

static const struct cert_option *find(const struct cert_option *options, size_t len,
                                      const char *name)
{
    for (size_t i = 0; i < len; i++)
        if (view_eq_str(options[i].name, name))
            return &options[i];
    return NULL;
}

const struct cert_option *cert_find_critical(const struct cert *c, const char *name)
{
    return find(c->critical, c->critical_len, name);
}

const struct cert_option *cert_find_extension(const struct cert *c, const char *name)
{
    return find(c->extensions, c->extensions_len, name);
}

enum err cert_write_line(struct view blob, const char *comment, struct buf *out)
{
    enum key_type type;
    struct reader r = reader_of(blob);
    struct view name = read_string(&r);
    TRY(reader_ok(&r));
    TRY(cert_type_find(name, &type));
    TRY(buf_printf(out, "%s ", types[type].name));
    TRY(text_base64(blob, out));
    if (comment && comment[0])
        TRY(buf_printf(out, " %s", comment));
    return OK;
}
