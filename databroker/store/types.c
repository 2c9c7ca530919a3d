#include "databroker/store/types.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/text.h"
#include "databroker/store/record.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND };

/*
 * Memory-only are the types in which losing everything at a restart is right; their owners write
 * them again. Capacities keep a stranger's sign-ins from filling the memory.
 */
static const struct type_row rows[] = {
    {TYPE_URL "session.SessionBindingRequest", true, 50000, 15 * MINUTE, "key"},
    {TYPE_URL "postern.Connection", true, 200000, 3 * MINUTE, "session_id\nuser_id\nroute"},
    {TYPE_URL "postern.CutRequest", true, 10000, MINUTE, NULL},
    {TYPE_URL "postern.Instance", true, 10000, 90 * SECOND, NULL},
    {TYPE_URL "postern.ProbeRequest", true, 1000, 5 * MINUTE, NULL},
    {TYPE_URL "session.SessionBinding", false, 0, 0, "session_id\nuser_id"},
    {TYPE_URL "session.IdentityBinding", false, 0, 0, "user_id"},
    {TYPE_URL "session.Session", false, 0, 0, "user_id"},
};

const struct type_row *type_find(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].type, type) == 0)
            return &rows[i];
    return NULL;
}

const struct type_row *type_at(size_t index)
{
    return index < ARRAY_LEN(rows) ? &rows[index] : NULL;
}

bool type_is_valid(const char *type)
{
    struct view v = view_str(type);
    struct view prefix = VIEW(TYPE_URL);
    if (v.len > RECORD_TYPE_MAX || !view_starts_with(v, prefix) || v.len == prefix.len)
        return false;
    v = view_skip(v, prefix.len);
    for (size_t i = 0; i < v.len; i++)
        if (!text_is_alpha(v.ptr[i]) && !text_is_digit(v.ptr[i]) && v.ptr[i] != '.' &&
            v.ptr[i] != '_')
            return false;
    return true;
}
