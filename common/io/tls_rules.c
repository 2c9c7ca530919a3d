#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <regex.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/address.h"
#include "common/io/tls_parts.h"

enum { NAME_MAX_LEN = 256, MATCHES_MAX = 256, CRLS_MAX = 1000 };

/* A Windows account, in an otherName: id-ms-san-upn. */
static const char upn_oid[] = "1.3.6.1.4.1.311.20.2.3";

struct match {
    int type; /* GEN_DNS … */
    regex_t regex;
};

struct tls_rules {
    bool required;
    unsigned max_depth;
    ASN1_OBJECT *upn;
    struct match *matches;
    size_t match_count;
};

static enum err bad(char **out_why, const char *why)
{
    *out_why = mem_strdup(why);
    return ERR_CONFIG;
}

static int type_of(const char *kind)
{
    static const struct {
        const char *kind;
        int type;
    } rows[] = {{"dns", GEN_DNS},
                {"email", GEN_EMAIL},
                {"ip_address", GEN_IPADD},
                {"uri", GEN_URI},
                {"user_principal_name", GEN_OTHERNAME}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].kind, kind) == 0)
            return rows[i].type;
    }
    return -1;
}

static enum err add_match(struct tls_rules *r, const struct tls_san_match *spec, char **out_why)
{
    struct match *m = &r->matches[r->match_count];
    m->type = type_of(spec->kind);
    if (m->type < 0)
        return bad(out_why, "a name to match is of an unknown kind");
    /* By itself first: "a)|(b" would be well-formed between parentheses. */
    bool ok = regcomp(&m->regex, spec->pattern, REG_EXTENDED | REG_NOSUB) == 0;
    if (ok) {
        regfree(&m->regex);
        AUTO_FREE char *whole = mem_printf("^(%s)$", spec->pattern);
        ok = regcomp(&m->regex, whole, REG_EXTENDED | REG_NOSUB) == 0;
    }
    if (!ok)
        return bad(out_why, "a name to match is no regular expression");
    r->match_count++;
    return OK;
}

static enum err add_crls(X509_STORE *store, const char *pem)
{
    size_t len = strnlen(pem, TLS_PEM_MAX + 1);
    BIO *bio = len == 0 || len > TLS_PEM_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
    size_t count = 0;
    bool ok = bio != NULL;
    X509_CRL *crl;
    while (ok && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
        ok = ++count <= CRLS_MAX && X509_STORE_add_crl(store, crl);
        X509_CRL_free(crl);
    }
    uint32_t why = ERR_peek_last_error();
    bool at_end = ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    ERR_clear_error();
    return ok && at_end && count > 0 ? OK : ERR_CONFIG;
}

static enum err fill(struct tls_rules *r, SSL_CTX *ctx, const struct tls_client_rules *spec,
                     char **out_why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    if (tls_store_fill(store, spec->ca_pem, ctx) != OK)
        return bad(out_why, "the certificate authority of clients is no PEM certificate");
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
    if (spec->crl_pem) {
        if (add_crls(store, spec->crl_pem) != OK)
            return bad(out_why, "the revocation list is no PEM list");
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    }
    CHECK(X509_STORE_set_flags(store, flags));
    if (spec->match_count > MATCHES_MAX)
        return bad(out_why, "there are too many names to match");
    for (size_t i = 0; i < spec->match_count; i++)
        TRY(add_match(r, &spec->matches[i], out_why));
    return OK;
}

enum err tls_rules_new(SSL_CTX *ctx, const struct tls_client_rules *spec, struct tls_rules **out,
                       char **out_why)
{
    struct tls_rules *r = mem_zalloc(sizeof *r);
    r->required = spec->required;
    r->max_depth = spec->max_depth;
    r->upn = OBJ_txt2obj(upn_oid, 1);
    r->matches = mem_zalloc_array(spec->match_count + 1, sizeof *r->matches);
    CHECK(r->upn);
    enum err e = fill(r, ctx, spec, out_why);
    if (e != OK) {
        tls_rules_free(r);
        return e;
    }
    SSL_CTX_set_verify(
        ctx, SSL_VERIFY_PEER | (spec->required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    *out = r;
    return OK;
}

void tls_rules_free(struct tls_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->match_count; i++)
        regfree(&r->matches[i].regex);
    mem_free(r->matches);
    ASN1_OBJECT_free(r->upn);
    mem_free(r);
}

static struct view string_of(const ASN1_STRING *s)
{
    return view_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static bool copy_name(struct view name, char out[NAME_MAX_LEN + 1])
{
    if (name.len > NAME_MAX_LEN || view_find(name, 0) >= 0)
        return false;
    memcpy(out, name.ptr, name.len);
    out[name.len] = '\0';
    return true;
}

static bool ip_text(struct view ip, char out[NAME_MAX_LEN + 1])
{
    struct address a = {.family = ip.len == 4 ? ADDRESS_V4 : ADDRESS_V6};
    if (ip.len != 4 && ip.len != sizeof a.ip)
        return false;
    memcpy(a.ip, ip.ptr, ip.len);
    address_ip_text(&a, out);
    return true;
}

/* The name as text; false when it is of no kind that is matched, or malformed. */
static bool name_text(const struct tls_rules *r, const GENERAL_NAME *n, char out[NAME_MAX_LEN + 1])
{
    switch (n->type) {
    case GEN_DNS:
    case GEN_EMAIL:
    case GEN_URI:
        return copy_name(string_of(n->d.ia5), out);
    case GEN_IPADD:
        return ip_text(string_of(n->d.iPAddress), out);
    case GEN_OTHERNAME:
        return OBJ_cmp(n->d.otherName->type_id, r->upn) == 0 &&
               n->d.otherName->value->type == V_ASN1_UTF8STRING &&
               copy_name(string_of(n->d.otherName->value->value.utf8string), out);
    default:
        return false;
    }
}

static bool name_matches(const struct tls_rules *r, const GENERAL_NAME *n)
{
    char text[NAME_MAX_LEN + 1];
    if (!name_text(r, n, text))
        return false;
    for (size_t i = 0; i < r->match_count; i++) {
        if (r->matches[i].type == n->type && regexec(&r->matches[i].regex, text, 0, NULL, 0) == 0)
            return true;
    }
    return false;
}

static bool has_a_match(const struct tls_rules *r, X509 *leaf)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = r->match_count == 0;
    for (size_t i = 0; names && !found && i < sk_GENERAL_NAME_num(names); i++)
        found = name_matches(r, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    return found;
}

/* A CA above the leaf's issuer need not have a list. */
static int on_verify_step(int ok, X509_STORE_CTX *store)
{
    return ok || (X509_STORE_CTX_get_error(store) == X509_V_ERR_UNABLE_TO_GET_CRL &&
                  X509_STORE_CTX_get_error_depth(store) > 0);
}

/* NULL when it is good. Static. */
static const char *judge(const struct tls_rules *r, X509_STORE_CTX *store)
{
    X509_STORE_CTX_set_verify_cb(store, on_verify_step);
    if (X509_verify_cert(store) != 1)
        return X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
    size_t above = sk_X509_num(X509_STORE_CTX_get0_chain(store)) - 1;
    if (r->max_depth > 0 && above > r->max_depth)
        return "certificate chain too long";
    return has_a_match(r, X509_STORE_CTX_get0_cert(store)) ? NULL : "no name of it is allowed";
}

static void keep_leaf(struct tls_session *t, X509 *leaf)
{
    uint8_t *der = NULL;
    int len = i2d_X509(leaf, &der);
    mem_free(t->leaf);
    t->leaf = NULL;
    t->leaf_len = 0;
    if (len <= 0)
        return;
    t->leaf = mem_zalloc((size_t)len);
    t->leaf_len = (size_t)len;
    memcpy(t->leaf, der, t->leaf_len);
    OPENSSL_free(der);
}

int tls_rules_verify(const struct tls_rules *r, struct tls_session *t, X509_STORE_CTX *store)
{
    const char *error = judge(r, store);
    ERR_clear_error();
    t->presented = true;
    t->valid = !error;
    mem_free(t->invalid);
    t->invalid = error ? mem_strdup(error) : NULL;
    keep_leaf(t, X509_STORE_CTX_get0_cert(store));
    if (!error || !r->required)
        return 1;
    t->refused = true;
    tls_session_say(t, "the peer's certificate", error);
    if (X509_STORE_CTX_get_error(store) == X509_V_OK)
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}
