#include "common/daemon/json_text.h"

#include "common/base/text.h"

static enum err escape(uint8_t c, struct buf *out)
{
    static const char names[] = "\"\"\\\\\nn\rr\tt";
    for (size_t i = 0; names[i]; i += 2) {
        if (names[i] == (char)c)
            return buf_printf(out, "\\%c", names[i + 1]);
    }
    return buf_printf(out, "\\u%04x", c);
}

/* How many bytes from the start are ASCII that stands for itself. */
static size_t plain_len(struct view text)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] >= 0x20 && text.ptr[n] < 0x7f && text.ptr[n] != '"' &&
           text.ptr[n] != '\\')
        n++;
    return n;
}

enum err json_text_write(struct view text, struct buf *out)
{
    TRY(buf_append_u8(out, '"'));
    while (text.len) {
        size_t plain = plain_len(text);
        TRY(buf_append(out, view_take(text, plain)));
        text = view_skip(text, plain);
        if (text.len == 0)
            break;
        uint8_t c = text.ptr[0];
        size_t n = text_utf8_len(text);
        bool c1 = n == 2 && c == 0xc2 && text.ptr[1] < 0xa0;
        if (n == 0)
            TRY(buf_append_str(out, "\xef\xbf\xbd"));
        else if (c1)
            TRY(escape(text.ptr[1], out));
        else if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
            TRY(escape(c, out));
        else
            TRY(buf_append(out, view_take(text, n)));
        text = view_skip(text, n ? n : 1);
    }
    return buf_append_u8(out, '"');
}
