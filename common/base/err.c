#include "common/base/err.h"

#include <stddef.h>

static const struct {
    const char *name;
    enum err_class class;
    const char *text;
} rows[ERR_COUNT] = {
    [OK] = {"OK", ERR_CLASS_NONE, "ok"},
#define E(name, class, text) [ERR_##name] = {#name, ERR_CLASS_##class, text},
#include "common/base/err.def"
#undef E
};

static size_t row(enum err e)
{
    return (unsigned)e < ERR_COUNT ? (size_t)e : (size_t)ERR_INTERNAL;
}

const char *err_text(enum err e)
{
    return rows[row(e)].text;
}

const char *err_name(enum err e)
{
    return rows[row(e)].name;
}

enum err_class err_class(enum err e)
{
    return rows[row(e)].class;
}
