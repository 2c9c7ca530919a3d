/* A configuration's world for tests: its files and environment as tables. */
#ifndef TESTS_UNIT_COMMON_CONFIG_WORLD_H
#define TESTS_UNIT_COMMON_CONFIG_WORLD_H

#include "common/config/config.h"
#include "tests/support/test.h"

/* base64 of 32 times 'a' and 'b'. */
#define KEY_A "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
#define KEY_B "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI="

/* Files and environment as the test wants them. */
struct pairs {
    const char *name;
    const char *value;
};

struct world {
    const struct pairs *files;
    const struct pairs *env;
    struct buf opened; /* "path\n" each */
    struct diag d;
    struct config *c;
};

static const char *look(const struct pairs *p, const char *name)
{
    for (; p && p->name; p++) {
        if (strcmp(p->name, name) == 0)
            return p->value;
    }
    return NULL;
}

static const char *on_env(void *ctx, const char *name)
{
    return look(((struct world *)ctx)->env, name);
}

static inline enum err on_read(void *ctx, const char *path, bool tight, struct secret *out,
                               const char **out_reason)
{
    struct world *w = ctx;
    const char *text = look(w->files, path);
    CHECK_OK(buf_printf(&w->opened, "%s%s\n", path, tight ? " tight" : ""));
    if (!text) {
        *out_reason = "No such file or directory";
        return ERR_NOT_FOUND;
    }
    if (tight && strstr(path, "open"))
        return ERR_PERMISSION;
    secret_set(out, view_str(text));
    return OK;
}

static inline enum err load(struct world *w, enum config_service service, const char *yaml)
{
    const struct config_source source = {.file = "p.yaml",
                                         .yaml = view_str(yaml),
                                         .service = service,
                                         .ctx = w,
                                         .env = on_env,
                                         .read = on_read};
    buf_init(&w->opened, 10000);
    return config_parse(&source, &w->d, &w->c);
}

static inline void world_fini(struct world *w)
{
    buf_fini(&w->opened);
    diag_fini(&w->d);
    config_unref(w->c);
    *w = (struct world){.files = w->files, .env = w->env};
}

static inline void print(const struct diag *d)
{
    for (size_t i = 0; i < d->count; i++)
        print_error("%s%s\n", d->items[i].text, d->items[i].warning ? " (warning)" : "");
}

static inline void must_load(struct world *w, enum config_service service, const char *yaml)
{
    if (load(w, service, yaml) != OK) {
        print(&w->d);
        fail_msg("refused");
    }
}

/* Refused, and one of the errors is exactly that. */
static inline void refused(struct world *w, enum config_service service, const char *yaml,
                           const char *error)
{
    bool found = false;
    CHECK_ERR(load(w, service, yaml), ERR_CONFIG);
    for (size_t i = 0; i < w->d.count; i++)
        found |= !w->d.items[i].warning && strcmp(w->d.items[i].text, error) == 0;
    if (!found) {
        print(&w->d);
        fail_msg("wanted: %s", error);
    }
    world_fini(w);
}

static inline void warned(struct world *w, enum config_service service, const char *yaml,
                          const char *warning)
{
    bool found = false;
    must_load(w, service, yaml);
    for (size_t i = 0; i < w->d.count; i++)
        found |= w->d.items[i].warning && strcmp(w->d.items[i].text, warning) == 0;
    if (!found) {
        print(&w->d);
        fail_msg("wanted: %s", warning);
    }
    world_fini(w);
}

/* What every service starts with. */
#define MINIMAL                                                                                    \
    "shared_secret: " KEY_A "\ncookie_secret: " KEY_B "\n"                                         \
    "authenticate_service_url: https://a.test\nidp_provider: oidc\n"                               \
    "idp_provider_url: https://i.test\nidp_client_id: c\nroutes: []\n"

#endif
