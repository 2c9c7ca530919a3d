#include "authenticate/provider.h"

#include "common/base/check.h"
#include "common/base/mem.h"

static const struct idp *find(const char *name)
{
    static const struct idp *const idps[] = {&idp_local, &idp_oidc};
    for (size_t i = 0; i < ARRAY_LEN(idps); i++) {
        if (strcmp(idps[i]->name, name) == 0)
            return idps[i];
    }
    return NULL;
}

struct provider *provider_new(const struct config *config, struct diag *diag)
{
    const struct idp *idp = find(config->idp_provider);
    if (!idp) {
        diag_error(diag, (struct diag_place){.file = config->file}, "idp_provider",
                   "this release has the providers oidc and local, not %s",
                   *config->idp_provider ? config->idp_provider : "none");
        return NULL;
    }
    struct provider *p = mem_zalloc(sizeof *p);
    *p = (struct provider){.idp = idp, .refs = 1};
    if (idp->init && idp->init(p, config, diag) != OK) {
        provider_unref(p);
        return NULL;
    }
    return p;
}

struct provider *provider_ref(struct provider *p)
{
    p->refs++;
    return p;
}

void provider_unref(struct provider *p)
{
    if (!p || --p->refs > 0)
        return;
    if (p->has_oidc)
        oidc_provider_fini(&p->oidc);
    mem_free(p->ca_file);
    mem_free(p);
}
