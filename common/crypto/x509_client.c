#include "common/crypto/x509_client.h"

#include <openssl/mem.h>
#include <openssl/x509v3.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/pkey.h"

/* A NUL or a control byte within a name would make the rest disappear from the C string. */
static bool is_plain(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < ' ' || v.ptr[i] == 0x7f)
            return false;
    }
    return v.len > 0;
}

static void add_name(struct x509_names *names, const ASN1_STRING *s)
{
    struct view v = view_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    if (!is_plain(v))
        return;
    names->items = mem_realloc(names->items, (names->count + 1) * sizeof(char *));
    names->items[names->count++] = mem_strndup(v.ptr, v.len);
}

static enum err read_names(X509 *cert, struct x509_client *c)
{
    int critical = -1;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    /* -1: there is none. Otherwise it is malformed or there are two. */
    if (!names)
        return pkey_failed(critical == -1 ? OK : ERR_SYNTAX);
    size_t count = sk_GENERAL_NAME_num(names);
    for (size_t i = 0; i < count && count <= X509_CLIENT_NAMES_MAX; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_EMAIL)
            add_name(&c->emails, name->d.rfc822Name);
        else if (name->type == GEN_DNS)
            add_name(&c->dns, name->d.dNSName);
        else if (name->type == GEN_URI)
            add_name(&c->uris, name->d.uniformResourceIdentifier);
    }
    GENERAL_NAMES_free(names);
    return count > X509_CLIENT_NAMES_MAX ? ERR_LIMIT : OK;
}

static enum err read_key(X509 *cert, struct x509_client *c)
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    if (len <= 0)
        return pkey_failed(ERR_SYNTAX);
    digest(DIGEST_SHA256, view_of(der, (size_t)len), c->spki_hash);
    OPENSSL_free(der);
    return OK;
}

enum err x509_client_parse(struct x509_client *c, struct view der)
{
    if (der.len > X509_CLIENT_DER_MAX)
        return ERR_LIMIT;
    const uint8_t *at = der.ptr;
    X509 *cert = der.len ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    if (!cert)
        return pkey_failed(ERR_SYNTAX);
    struct x509_client fresh = {0};
    enum err e = at == der.ptr + der.len ? OK : ERR_SYNTAX;
    digest(DIGEST_SHA256, der, fresh.fingerprint);
    if (e == OK)
        e = read_key(cert, &fresh);
    if (e == OK)
        e = read_names(cert, &fresh);
    X509_free(cert);
    if (e != OK) {
        x509_client_fini(&fresh);
        return pkey_failed(e);
    }
    *c = fresh;
    return pkey_failed(OK);
}

static void names_fini(struct x509_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->items[i]);
    mem_free(names->items);
}

void x509_client_fini(struct x509_client *c)
{
    names_fini(&c->emails);
    names_fini(&c->dns);
    names_fini(&c->uris);
    *c = (struct x509_client){0};
}
