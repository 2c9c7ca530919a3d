#include "common/http/chunk.h"

#include "common/base/text.h"
#include "common/http/fields.h"

/* The line without its CRLF; a LF that no CR precedes is refused (RFC 9112 §2.2, §7.1). */
static enum err take_line(struct view in, size_t max, size_t *out_used, struct view *out_line)
{
    ptrdiff_t lf = view_find(view_take(in, max + 2), '\n');
    if (lf < 0)
        return in.len > max + 1 ? ERR_LIMIT : ERR_MORE;
    if (lf == 0 || in.ptr[lf - 1] != '\r')
        return ERR_SYNTAX;
    *out_used = (size_t)lf + 1;
    *out_line = view_take(in, (size_t)lf - 1);
    return OK;
}

static int hex_value(uint8_t c)
{
    if (text_is_digit(c))
        return c - '0';
    c = text_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 9112 §7.1: 1*HEXDIG [";" extension]; at most 15 digits, so it fits. */
static enum err parse_size(struct view line, uint64_t *out_size)
{
    uint64_t size = 0;
    size_t n = 0;
    while (n < line.len && hex_value(line.ptr[n]) >= 0) {
        if (n == 15)
            return ERR_SYNTAX;
        size = size << 4 | (uint64_t)hex_value(line.ptr[n++]);
    }
    struct view rest = view_trim(view_skip(line, n));
    if (n == 0 || (rest.len && rest.ptr[0] != ';') || !is_field_value(rest))
        return ERR_SYNTAX;
    /* Blanks are BWS only in front of an extension. */
    if (rest.len == 0 && n != line.len)
        return ERR_SYNTAX;
    *out_size = size;
    return OK;
}

static enum err decode_size(struct chunk_decoder *d, struct view in, size_t *out_used)
{
    struct view line;
    uint64_t size;
    size_t used;
    TRY(take_line(in, CHUNK_LINE_MAX, &used, &line));
    TRY(parse_size(line, &size));
    *out_used = used;
    d->left = size;
    d->state = size ? CHUNK_DATA : CHUNK_TRAILER;
    return OK;
}

static enum err decode_data_end(struct chunk_decoder *d, struct view in, size_t *out_used)
{
    if (in.ptr[0] != '\r' || (in.len > 1 && in.ptr[1] != '\n'))
        return ERR_SYNTAX;
    if (in.len < 2)
        return ERR_MORE;
    *out_used = 2;
    d->state = CHUNK_SIZE;
    return OK;
}

static enum err decode_trailer(struct chunk_decoder *d, struct view in, size_t *out_used)
{
    struct view line;
    size_t used;
    TRY(take_line(in, CHUNK_TRAILER_MAX - d->trailer_size, &used, &line));
    if (line.len) {
        ptrdiff_t colon = view_find(line, ':');
        if (colon < 0 || !is_token(view_take(line, (size_t)colon)) || !is_field_value(line))
            return ERR_SYNTAX;
        if (used > CHUNK_TRAILER_MAX - d->trailer_size)
            return ERR_LIMIT;
        d->trailer_size += used;
    } else {
        d->state = CHUNK_DONE;
    }
    *out_used = used;
    return OK;
}

enum err chunk_decode(struct chunk_decoder *d, struct view in, size_t *out_used,
                      struct view *out_data)
{
    *out_used = 0;
    *out_data = (struct view){0};
    if (d->state == CHUNK_DONE)
        return OK;
    if (!in.len)
        return ERR_MORE;
    switch (d->state) {
    case CHUNK_SIZE:
        return decode_size(d, in, out_used);
    case CHUNK_DATA:
        *out_data = view_take(in, d->left > SIZE_MAX ? SIZE_MAX : (size_t)d->left);
        *out_used = out_data->len;
        d->left -= out_data->len;
        if (!d->left)
            d->state = CHUNK_DATA_END;
        return OK;
    case CHUNK_DATA_END:
        return decode_data_end(d, in, out_used);
    case CHUNK_TRAILER:
        return decode_trailer(d, in, out_used);
    case CHUNK_DONE:
        break;
    }
    return OK;
}

enum err chunk_write(struct view data, struct buf *out)
{
    if (buf_room(out) < data.len + CHUNK_OVERHEAD)
        return ERR_LIMIT;
    TRY(buf_printf(out, "%zx\r\n", data.len));
    TRY(buf_append(out, data));
    return buf_append(out, VIEW("\r\n"));
}

enum err chunk_write_end(struct buf *out)
{
    return buf_append(out, VIEW("0\r\n\r\n"));
}
