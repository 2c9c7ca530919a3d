#include "common/crypto/key.h"

#include "common/base/check.h"
#include "common/base/text.h"
#include "common/base/wire.h"
#include "common/crypto/pkey.h"

static const struct {
    const char *name;
    const char *label;
    size_t bits; /* 0: by the key */
} types[KEY_TYPE_COUNT] = {
    [KEY_ED25519] = {"ssh-ed25519", "ED25519", 256},
    [KEY_ECDSA_P256] = {"ecdsa-sha2-nistp256", "ECDSA", 256},
    [KEY_ECDSA_P384] = {"ecdsa-sha2-nistp384", "ECDSA", 384},
    [KEY_ECDSA_P521] = {"ecdsa-sha2-nistp521", "ECDSA", 521},
    [KEY_RSA] = {"ssh-rsa", "RSA", 0},
    [KEY_SK_ED25519] = {"sk-ssh-ed25519@openssh.com", "ED25519-SK", 256},
    [KEY_SK_ECDSA_P256] = {"sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK", 256},
};

static const struct key_alg algs[KEY_ALG_COUNT] = {
    {"ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", KEY_ED25519, DIGEST_SHA512},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com", KEY_ECDSA_P256,
     DIGEST_SHA256},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com", KEY_ECDSA_P384,
     DIGEST_SHA384},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com", KEY_ECDSA_P521,
     DIGEST_SHA512},
    {"rsa-sha2-512", "rsa-sha2-512-cert-v01@openssh.com", KEY_RSA, DIGEST_SHA512},
    {"rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com", KEY_RSA, DIGEST_SHA256},
    {"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", KEY_SK_ED25519,
     DIGEST_SHA256},
    {"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
     KEY_SK_ECDSA_P256, DIGEST_SHA256},
};

const char *key_type_name(enum key_type type)
{
    CHECK((unsigned)type < KEY_TYPE_COUNT);
    return types[type].name;
}

const char *key_type_label(enum key_type type)
{
    CHECK((unsigned)type < KEY_TYPE_COUNT);
    return types[type].label;
}

enum err key_type_find(struct view name, enum key_type *out_type)
{
    for (unsigned i = 0; i < KEY_TYPE_COUNT; i++) {
        if (view_eq_str(name, types[i].name)) {
            *out_type = (enum key_type)i;
            return OK;
        }
    }
    return ERR_UNSUPPORTED;
}

const struct key_alg *key_alg(size_t index)
{
    CHECK(index < KEY_ALG_COUNT);
    return &algs[index];
}

const struct key_alg *key_alg_find(struct view name, bool *out_is_cert)
{
    for (size_t i = 0; i < KEY_ALG_COUNT; i++) {
        bool is_cert = view_eq_str(name, algs[i].cert_name);
        if (!is_cert && !view_eq_str(name, algs[i].name))
            continue;
        if (out_is_cert)
            *out_is_cert = is_cert;
        return &algs[i];
    }
    return NULL;
}

const struct key_alg *key_alg_default(enum key_type type)
{
    for (size_t i = 0; i < KEY_ALG_COUNT; i++)
        if (algs[i].type == type)
            return &algs[i];
    check_failed("key type", __FILE__, __LINE__);
}

static void set_blob(struct public_key *k, enum key_type type, struct view blob)
{
    uint8_t *copy = mem_zalloc(blob.len);
    memcpy(copy, blob.ptr, blob.len);
    *k = (struct public_key){.type = type, .blob = copy, .blob_len = blob.len};
}

enum err public_key_parse(struct public_key *k, struct view blob)
{
    enum key_type type;
    struct view application;
    AUTO(pkey_free) EVP_PKEY *pkey = NULL;
    TRY(pkey_from_blob(blob, &type, &application, &pkey));
    set_blob(k, type, blob);
    return OK;
}

void public_key_fini(struct public_key *k)
{
    mem_free(k->blob);
    *k = (struct public_key){0};
}

void public_key_copy(struct public_key *k, const struct public_key *from)
{
    set_blob(k, from->type, public_key_blob(from));
}

struct view public_key_blob(const struct public_key *k)
{
    return view_of(k->blob, k->blob_len);
}

bool public_key_equal(const struct public_key *a, const struct public_key *b)
{
    return view_eq(public_key_blob(a), public_key_blob(b));
}

static size_t rsa_bits(const struct public_key *k)
{
    struct reader r = reader_of(public_key_blob(k));
    (void)read_string(&r);
    (void)read_mpint(&r);
    struct view n = read_mpint(&r);
    size_t bits = n.len * 8;
    for (uint8_t top = n.len ? n.ptr[0] : 0xff; !(top & 0x80); top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

size_t public_key_bits(const struct public_key *k)
{
    return types[k->type].bits ? types[k->type].bits : rsa_bits(k);
}

void key_blob_fingerprint(struct view blob, char out[KEY_FINGERPRINT_MAX])
{
    uint8_t hash[DIGEST_SHA256_LEN];
    AUTO(buf_fini) struct buf text;
    buf_init(&text, KEY_FINGERPRINT_MAX);
    digest(DIGEST_SHA256, blob, hash);
    CHECK(buf_append_str(&text, "SHA256:") == OK &&
          text_base64_raw(view_of(hash, sizeof hash), &text) == OK &&
          buf_append_u8(&text, 0) == OK && text.len == KEY_FINGERPRINT_MAX);
    memcpy(out, buf_ptr(&text), KEY_FINGERPRINT_MAX);
}

void public_key_fingerprint(const struct public_key *k, char out[KEY_FINGERPRINT_MAX])
{
    key_blob_fingerprint(public_key_blob(k), out);
}

static struct view trim_line(struct view line)
{
    line = view_trim(line);
    while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    return view_trim(line);
}

enum err public_key_parse_line(struct public_key *k, struct view line, struct view *out_comment)
{
    struct view rest = trim_line(line);
    if (rest.len > 2 * KEY_BLOB_MAX)
        return ERR_LIMIT;
    if (rest.len && memchr(rest.ptr, '\n', rest.len))
        return ERR_SYNTAX;
    struct view name = view_word(&rest);
    struct view base64 = view_word(&rest);
    enum key_type type;
    TRY(key_type_find(name, &type));
    AUTO(buf_fini) struct buf blob;
    buf_init(&blob, KEY_BLOB_MAX);
    TRY(text_unbase64(base64, &blob));
    struct public_key parsed;
    TRY(public_key_parse(&parsed, buf_view(&blob)));
    if (parsed.type != type) {
        public_key_fini(&parsed);
        return ERR_SYNTAX;
    }
    *k = parsed;
    if (out_comment)
        *out_comment = rest;
    return OK;
}

enum err public_key_write_line(const struct public_key *k, const char *comment, struct buf *out)
{
    TRY(buf_printf(out, "%s ", key_type_name(k->type)));
    TRY(text_base64(public_key_blob(k), out));
    if (comment && comment[0])
        TRY(buf_printf(out, " %s", comment));
    return OK;
}
