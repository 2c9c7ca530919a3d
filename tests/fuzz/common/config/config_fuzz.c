/*
 * A configuration file of any bytes, for each service. The first byte chooses the service and
 * whether files are there; a named file holds the input too, so users' lists and keys are parsed.
 */
#include "common/config/config.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct files {
    struct view text;
};

static enum err on_read(void *ctx, const char *path, bool tight, struct secret *out,
                        const char **out_reason)
{
    const struct files *f = ctx;
    (void)tight;
    *out_reason = "not there";
    if (strlen(path) > 20)
        return ERR_NOT_FOUND;
    secret_set(out, f->text);
    return OK;
}

static const char *on_env(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "ADDRESS") == 0 ? ":443" : NULL;
}

/* Whoever uses a tunnel's route relies on these. */
static void check_tunnel(const struct route_tunnel *t)
{
    CHECK(t->match_count > 0 && t->endpoint_count > 0 && t->connect_timeout > 0);
    CHECK(t->proxy_port > 0 && *t->proxy_host);
    for (size_t i = 0; i < t->match_count; i++)
        CHECK(*t->matches[i].host &&
              t->matches[i].is_pattern == (strchr(t->matches[i].host, '*') != NULL));
    for (size_t i = 0; i < t->endpoint_count; i++)
        CHECK(t->endpoints[i].weight > 0 && t->endpoints[i].target.port > 0);
    for (size_t i = 0; i < t->health_check_count; i++)
        CHECK(t->health_checks[i].interval > 0 && t->health_checks[i].timeout > 0);
}

static void check_config(const struct config *c)
{
    AUTO(buf_fini) struct buf url;
    buf_init(&url, 4096);
    IGNORE(config_callback_url(c, &url), "there may be none");
    CHECK(c->authorize_service_urls.count > 0);
    CHECK(c->ssh_max_startups.start > 0);
    for (size_t i = 0; i < c->routes.count; i++) {
        const struct route *r = &c->routes.items[i];
        CHECK(strlen(r->id) == 16);
        CHECK((r->tunnel != NULL) == (r->kind == ROUTE_TCP || r->kind == ROUTE_UDP));
        if (r->tunnel)
            check_tunnel(r->tunnel);
        CHECK(r->kind != ROUTE_SSH || routes_find(&c->routes, view_str(r->name)) == r);
    }
    CHECK(config_canonical(c).len > 0);
    config_unref(config_ref(c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum config_service services[] = {CONFIG_AUTHENTICATE, CONFIG_AUTHORIZE,
                                                   CONFIG_PROXY, CONFIG_DATABROKER, CONFIG_CLI};
    if (size < 1 || size > 1 << 16)
        return 0;
    struct view yaml = view_of(data + 1, size - 1);
    struct files files = {yaml};
    const struct config_source source = {.file = "f.yaml",
                                         .yaml = yaml,
                                         .service = services[data[0] % ARRAY_LEN(services)],
                                         .ctx = &files,
                                         .env = on_env,
                                         .read = data[0] & 0x80 ? NULL : on_read};
    struct diag d = {0};
    struct config *c = NULL;
    enum err e = config_parse(&source, &d, &c);
    CHECK((e == OK) == (d.errors == 0));
    if (e == OK)
        check_config(c);
    config_unref(c);
    diag_fini(&d);
    return 0;
}
