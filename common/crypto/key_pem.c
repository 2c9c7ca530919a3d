/* Textual encodings of RFC 7468, with the headers of RFC 1421 §4.6 that old encrypted keys have. */
#include "common/base/check.h"
#include "common/base/text.h"
#include "common/crypto/pkey.h"

static const struct view begin = {(const uint8_t *)"-----BEGIN ", 11};
static const struct view dashes = {(const uint8_t *)"-----", 5};

/* The next line without its line end and blanks around it. */
static bool next_line(struct view *rest, struct view *out)
{
    if (!view_next(rest, '\n', out))
        return false;
    if (out->len && out->ptr[out->len - 1] == '\r')
        out->len--;
    *out = view_trim(*out);
    return true;
}

/* "-----BEGIN X-----" -> X. */
static bool is_begin(struct view line, struct view *out_label)
{
    if (line.len <= begin.len + dashes.len || !view_starts_with(line, begin) ||
        !view_ends_with(line, dashes))
        return false;
    *out_label = view_of(line.ptr + begin.len, line.len - begin.len - dashes.len);
    return true;
}

static bool is_end(struct view line, struct view label)
{
    struct view start = VIEW("-----END ");
    return line.len == start.len + label.len + dashes.len && view_starts_with(line, start) &&
           view_ends_with(line, dashes) && view_eq(view_of(line.ptr + start.len, label.len), label);
}

static bool is_private(struct view label)
{
    return view_ends_with(label, VIEW("PRIVATE KEY"));
}

enum err key_pem_read(struct view text, struct view *out_label, struct buf *out)
{
    struct view line, label;
    AUTO(buf_wipe) struct buf base64;
    buf_init(&base64, text.len);
    TRY(pkey_reserve(&base64, text.len));
    do {
        if (!next_line(&text, &line))
            return ERR_SYNTAX;
    } while (!is_begin(line, &label) || !is_private(label));
    if (view_starts_with(label, VIEW("ENCRYPTED ")))
        return ERR_ENCRYPTED;
    while (next_line(&text, &line)) {
        if (is_end(line, label)) {
            TRY(pkey_reserve(out, base64.len));
            TRY(text_unbase64(buf_view(&base64), out));
            *out_label = label;
            return OK;
        }
        if (view_starts_with(line, VIEW("Proc-Type:")) && view_ends_with(line, VIEW("ENCRYPTED")))
            return ERR_ENCRYPTED;
        TRY(buf_append(&base64, line));
    }
    return ERR_SYNTAX;
}

enum err key_pem_write(const char *label, struct view bytes, size_t width, struct buf *out)
{
    AUTO(buf_wipe) struct buf base64;
    size_t len = (bytes.len + 2) / 3 * 4;
    buf_init(&base64, len);
    TRY(pkey_reserve(&base64, len));
    TRY(text_base64(bytes, &base64));
    TRY(pkey_reserve(out, len + len / width + 2 * strlen(label) + 64));
    TRY(buf_printf(out, "-----BEGIN %s-----\n", label));
    for (struct view rest = buf_view(&base64); rest.len; rest = view_skip(rest, width)) {
        TRY(buf_append(out, view_take(rest, width)));
        TRY(buf_append_u8(out, '\n'));
    }
    return buf_printf(out, "-----END %s-----\n", label);
}
