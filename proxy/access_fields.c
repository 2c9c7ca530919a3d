#include "proxy/access_fields.h"

#include "common/base/check.h"

static bool is_wanted(const struct worker_texts *list, const char *name)
{
    if (!list->count)
        return true;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], name) == 0)
            return true;
    }
    return false;
}

void access_fields_add(struct access_fields *f, struct log_field field)
{
    CHECK(f->count < ACCESS_FIELDS_MAX - 1);
    if (is_wanted(f->wanted, field.name))
        f->items[f->count++] = field;
}

void access_fields_write(struct access_fields *f, const char *message)
{
    f->items[f->count].type = LOG_TYPE_END;
    log_write(CONFIG_LOG_INFO, message, f->items);
}
