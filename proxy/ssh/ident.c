#include "proxy/ssh/ident.h"

static const struct view prefix = {(const uint8_t *)"SSH-", 4};

enum err ident_check(bool is_client, struct view line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < ' ' || line.ptr[i] > '~')
            return ERR_PROTOCOL;
    }
    bool is_2 = view_starts_with(line, VIEW("SSH-2.0-"));
    if (!is_2 && !(is_client && view_starts_with(line, VIEW("SSH-1.99-"))))
        return ERR_UNSUPPORTED;
    return ident_software(line).len ? OK : ERR_PROTOCOL;
}

/* What can be said of a line that has not ended yet. */
static enum err check_part(struct ident *s, bool is_client, struct view part)
{
    struct view head = view_take(part, prefix.len);
    bool may_be = view_starts_with(prefix, head);
    s->is_ssh = s->is_ssh || (may_be && head.len == prefix.len);
    if (!may_be && !is_client)
        return ERR_PROTOCOL;
    size_t max = may_be ? IDENT_MAX : IDENT_BANNER_LINE;
    return part.len >= max ? ERR_PROTOCOL : ERR_MORE;
}

enum err ident_take(struct ident *s, bool is_client, struct view in, size_t *out_used,
                    struct view *out_line)
{
    *out_used = 0;
    for (;;) {
        ptrdiff_t end = view_find(view_skip(in, s->scanned), '\n');
        if (end < 0) {
            s->scanned = in.len;
            return check_part(s, is_client, in);
        }
        size_t len = s->scanned + (size_t)end;
        struct view line = view_take(in, len);
        enum err part = check_part(s, is_client, line);
        if (part != ERR_MORE)
            return part;
        s->scanned = 0;
        *out_used += len + 1;
        in = view_skip(in, len + 1);
        if (view_starts_with(line, prefix)) {
            /* RFC 4253 §4.2 wants CR LF; §5.1 lets old peers send LF alone. */
            if (view_ends_with(line, VIEW("\r")))
                line.len--;
            TRY(ident_check(is_client, line));
            *out_line = line;
            return OK;
        }
        if (!is_client || ++s->lines > IDENT_BANNER_LINES)
            return ERR_PROTOCOL;
    }
}

struct view ident_software(struct view line)
{
    ptrdiff_t first = view_find(line, '-');
    struct view rest = first < 0 ? view_take(line, 0) : view_skip(line, (size_t)first + 1);
    ptrdiff_t second = view_find(rest, '-');
    rest = second < 0 ? view_take(rest, 0) : view_skip(rest, (size_t)second + 1);
    ptrdiff_t blank = view_find(rest, ' ');
    return blank < 0 ? rest : view_take(rest, (size_t)blank);
}
