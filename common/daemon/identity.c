#include "common/daemon/identity.h"

#include "common/base/mem.h"
#include "common/crypto/x509.h"

enum { WARN_DAYS = 14, DERIVED_DAYS = 3650 };

static const uint64_t day_ms = 86400000;

static void append_ca(struct config *c, const struct secret *secret, struct x509_pair *out_ca,
                      struct diag *d)
{
    if (x509_derive_ca(secret_view(secret), out_ca) != OK) {
        diag_error(d, (struct diag_place){.file = c->file}, "shared_secret",
                   "no identity can be derived from it");
        return;
    }
    struct config_blob *blob = &c->service_certificate_authority;
    AUTO_FREE char *all =
        mem_printf("%.*s%s", VIEW_FMT(secret_view(&blob->text)), out_ca->cert_pem);
    config_blob_set(blob, view_str(all));
}

/*
 * All daemons derive the same CA and each makes its own leaf, with a fresh key. The CA of the
 * previous secret is trusted too, so that daemons may be restarted one by one.
 */
static void derive(struct config *c, uint64_t now_ms, struct diag *d)
{
    AUTO(x509_pair_fini) struct x509_pair ca = {0}, previous = {0}, leaf = {0};
    append_ca(c, &c->shared_secret, &ca, d);
    if (c->shared_secret_previous.len)
        append_ca(c, &c->shared_secret_previous, &previous, d);
    c->identity_derived = true;
    if (!ca.cert_pem || c->service == CONFIG_CLI)
        return;
    const char *name = config_service_name(c->service);
    const struct x509_leaf extra = {.not_before_at = now_ms - day_ms,
                                    .not_after_at = now_ms + DERIVED_DAYS * day_ms};
    if (x509_make_service(&ca, name, &extra, &leaf) != OK) {
        diag_error(d, (struct diag_place){.file = c->file}, "shared_secret",
                   "no certificate can be made from it");
        return;
    }
    config_blob_set(&c->service_certificate, view_str(leaf.cert_pem));
    config_blob_set(&c->service_certificate_key, view_str(leaf.key_pem));
    diag_warn(d, (struct diag_place){.file = c->file}, "service_certificate_file",
              "missing: this service's identity is derived from shared_secret, so whoever holds "
              "that can be any service; 'postern keygen services' makes certificates of their own");
    /* It was read for this alone. */
    if (!(c->service & (CONFIG_AUTHENTICATE | CONFIG_AUTHORIZE))) {
        secret_fini(&c->shared_secret);
        secret_fini(&c->shared_secret_previous);
    }
}

static void check_name(const struct config *c, const struct x509_info *info, struct diag *d)
{
    const struct config_blob *cert = &c->service_certificate;
    AUTO_FREE char *wanted = mem_printf("postern://service/%s", config_service_name(c->service));
    if (info->uris_len != 1 || strcmp(info->uris[0], wanted) != 0)
        diag_error(d, cert->at, cert->key,
                   "%s is no certificate of this service: expected the one URI %s, got %s",
                   cert->file, wanted, info->uris_len ? info->uris[0] : "none");
}

static void check_certificate(const struct config *c, uint64_t now_ms, struct diag *d)
{
    const struct config_blob *cert = &c->service_certificate;
    const struct config_blob *ca = &c->service_certificate_authority;
    AUTO(x509_info_fini) struct x509_info info = {0};
    if (x509_info_parse(&info, secret_view(&cert->text)) != OK) {
        diag_error(d, cert->at, cert->key, "%s is no PEM certificate", cert->file);
        return;
    }
    check_name(c, &info, d);
    enum err e =
        x509_check_pair(secret_view(&cert->text), secret_view(&c->service_certificate_key.text));
    if (e != OK)
        diag_error(d, c->service_certificate_key.at, c->service_certificate_key.key,
                   e == ERR_MISMATCH ? "%s is the key of another certificate"
                                     : "%s is no PEM private key, or is encrypted",
                   c->service_certificate_key.file);
    e = x509_verify(secret_view(&cert->text), secret_view(&ca->text), now_ms);
    if (e == ERR_EXPIRED)
        diag_error(d, cert->at, cert->key,
                   "%s is expired or not valid yet; 'postern keygen services' makes a new one",
                   cert->file);
    else if (e != OK)
        diag_error(d, cert->at, cert->key, "%s is not signed by the CA in %s", cert->file,
                   ca->file);
    else if (info.not_after_at < now_ms + WARN_DAYS * day_ms)
        diag_warn(d, cert->at, cert->key,
                  "%s expires within %d days; 'postern keygen services' makes a new one",
                  cert->file, WARN_DAYS);
}

void identity_complete(struct config *c, uint64_t now_ms, struct diag *d)
{
    bool files = c->service_certificate_authority.text.len > 0;
    size_t count;
    if (!files && c->shared_secret.len)
        derive(c, now_ms, d);
    if (!files)
        return;
    if (x509_count(secret_view(&c->service_certificate_authority.text), &count) != OK)
        diag_error(d, c->service_certificate_authority.at, c->service_certificate_authority.key,
                   "%s holds no PEM certificate", c->service_certificate_authority.file);
    else if (c->service != CONFIG_CLI)
        check_certificate(c, now_ms, d);
}
