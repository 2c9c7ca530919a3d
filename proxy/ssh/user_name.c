#include "proxy/ssh/user_name.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static struct view without_port(struct view route)
{
    ptrdiff_t colon = view_rfind(route, ':');
    if (colon < 0 || (size_t)colon + 1 == route.len)
        return route;
    for (size_t i = (size_t)colon + 1; i < route.len; i++) {
        if (!text_is_digit(route.ptr[i]))
            return route;
    }
    return view_take(route, (size_t)colon);
}

enum err user_name_split(struct view text, struct user_name *out)
{
    /* RFC 4252 §5: the name is UTF-8. It goes into logs, certificates and JSON. */
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, text.len);
    TRY(text_printable(text, &clean));
    if (!view_eq(buf_view(&clean), text))
        return ERR_SYNTAX;
    ptrdiff_t at = view_rfind(text, '@');
    if (at < 0)
        *out = (struct user_name){.login = text, .route = VIEW("")};
    else
        *out = (struct user_name){.login = view_take(text, (size_t)at),
                                  .route = without_port(view_skip(text, (size_t)at + 1))};
    return OK;
}
