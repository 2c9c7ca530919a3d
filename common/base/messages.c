#include "common/base/messages.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

enum { MESSAGE_MAX = 64 << 10 };

static const struct {
    const char *name;
    const char *text;
    const char *cause;
    const char *remedy;
} rows[MESSAGE_COUNT] = {
#define M(name, text, cause, remedy) [MESSAGE_##name] = {#name, text, cause, remedy},
#include "common/base/messages.def"
#undef M
};

const char *message_name(enum message m)
{
    return rows[m].name;
}

const char *message_text(enum message m)
{
    return rows[m].text;
}

const char *message_cause(enum message m)
{
    return rows[m].cause;
}

const char *message_remedy(enum message m)
{
    return rows[m].remedy;
}

char *message_format(enum message m, ...)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, MESSAGE_MAX);
    struct view rest = view_str(rows[m].text);
    va_list args;
    va_start(args, m);
    bool more = true;
    ptrdiff_t at;
    while ((at = view_search(rest, VIEW("%s"))) >= 0) {
        const char *arg = more ? va_arg(args, const char *) : NULL;
        more = more && arg;
        IGNORE(buf_append(&out, view_take(rest, (size_t)at)), "cut at MESSAGE_MAX");
        IGNORE(buf_append_str(&out, arg ? arg : ""), "cut at MESSAGE_MAX");
        rest = view_skip(rest, (size_t)at + 2);
    }
    va_end(args);
    IGNORE(buf_append(&out, rest), "cut at MESSAGE_MAX");
    return buf_to_str(&out);
}
