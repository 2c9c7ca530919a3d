/* Reading the configuration, at the start and again. */
#include "common/base/mem.h"
#include "common/daemon/daemon_state.h"
#include "common/daemon/log.h"
#include "common/daemon/notify.h"

enum err daemon_load(struct daemon *d, struct diag *diag, struct config_reading *out_reading,
                     const struct config **out)
{
    struct config *c;
    TRY(config_file_read(d->path, d->spec->service, diag, out_reading, &c));
    if (d->spec->validate)
        d->spec->validate(d->spec->ctx, c, diag);
    if (diag->errors) {
        config_unref(c);
        return ERR_CONFIG;
    }
    *out = c;
    return OK;
}

void daemon_log_diag(const struct diag *diag)
{
    for (size_t i = 0; i < diag->count; i++) {
        const struct diag_item *item = &diag->items[i];
        log_at(item->warning ? CONFIG_LOG_WARN : CONFIG_LOG_ERROR,
               item->warning ? "configuration warning" : "configuration error",
               LOG_STR("key", *item->key ? item->key : NULL), LOG_STR("reason", item->text));
    }
}

void daemon_show_config(struct daemon *d, const char *error)
{
    log_set_level((enum config_log_level)d->config->log_level);
    metrics_set(METRIC_CONFIG_SUCCESS, error == NULL);
    if (!error)
        metrics_set(METRIC_CONFIG_SUCCESS_AT, (int64_t)loop_wall_ms());
    health_set(d->health, "config", HEALTH_RUNNING, error);
    health_attribute(d->health, "config", "file", d->path);
    health_attribute(d->health, "config", "hash", d->config->hash);
    health_attribute(d->health, "config", "version", daemon_version());
}

static const char *first_error(const struct diag *diag)
{
    for (size_t i = 0; i < diag->count; i++) {
        if (!diag->items[i].warning)
            return diag->items[i].text;
    }
    return "it was refused";
}

/* The old stays in force. One line holds all errors. */
static void refuse(struct daemon *d, const struct diag *diag)
{
    AUTO_FREE const char **texts = mem_zalloc_array(diag->count, sizeof *texts);
    size_t count = 0;
    for (size_t i = 0; i < diag->count; i++) {
        if (!diag->items[i].warning)
            texts[count++] = diag->items[i].text;
    }
    log_error("configuration not reloaded, the old one stays",
              LOG_STR("config-hash", d->config->hash), LOG_STR("reason", first_error(diag)),
              LOG_STRS("errors", texts, count));
    metrics_add(METRIC_CONFIG_RELOADS, 1, "refused");
    daemon_show_config(d, first_error(diag));
}

static void warn_restart(const struct daemon *d, const struct config *c, struct diag *diag)
{
    if (strcmp(c->health_check_addr, d->config->health_check_addr) != 0)
        diag_warn(diag, (struct diag_place){.file = c->file}, "health_check_addr",
                  "takes effect after a restart");
    if (strcmp(c->metrics_address, d->config->metrics_address) != 0)
        diag_warn(diag, c->metrics_address_at, "metrics_address", "takes effect after a restart");
}

static void take_over(struct daemon *d, const struct config *c, struct diag *diag)
{
    warn_restart(d, c, diag);
    enum err e = d->spec->reload ? d->spec->reload(d->spec->ctx, c, diag) : OK;
    if (e != OK || diag->errors) {
        refuse(d, diag);
        config_unref(c);
        return;
    }
    const struct config *old = d->config;
    d->config = c;
    daemon_log_diag(diag);
    metrics_add(METRIC_CONFIG_RELOADS, 1, "taken");
    log_info("configuration reloaded", LOG_STR("config-hash", c->hash));
    daemon_show_config(d, NULL);
    config_unref(old);
}

void daemon_reread(struct daemon *d, bool forced)
{
    AUTO(diag_fini) struct diag diag = {0};
    AUTO(config_reading_fini) struct config_reading reading = {0};
    const struct config *c = NULL;
    enum err e = daemon_load(d, &diag, &reading, &c);
    if (d->watch)
        watch_set(d->watch, reading.paths, reading.count);
    bool same = memcmp(reading.hash, d->seen, sizeof d->seen) == 0;
    memcpy(d->seen, reading.hash, sizeof d->seen);
    if (same && !forced) {
        config_unref(c);
        return;
    }
    IGNORE(notify_reloading(), "READY=1 follows, and says when nobody listens");
    if (e == OK)
        take_over(d, c, &diag);
    else
        refuse(d, &diag);
    daemon_notify(
        e == OK && !diag.errors
            ? "READY=1\nSTATUS=running"
            : "READY=1\nSTATUS=running on the configuration before: the new one is invalid");
}
