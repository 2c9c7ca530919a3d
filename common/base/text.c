#include "common/base/text.h"

#include <time.h>

void text_lower_str(char *s)
{
    for (; *s; s++)
        *s = (char)text_lower((uint8_t)*s);
}

enum err text_hex(struct view bytes, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *p;
    TRY(buf_reserve(out, bytes.len * 2, &p));
    for (size_t i = 0; i < bytes.len; i++) {
        p[2 * i] = (uint8_t)digits[bytes.ptr[i] >> 4];
        p[2 * i + 1] = (uint8_t)digits[bytes.ptr[i] & 15];
    }
    buf_commit(out, bytes.len * 2);
    return OK;
}

static int hex_value(uint8_t c)
{
    if (text_is_digit(c))
        return c - '0';
    c = text_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err text_unhex(struct view text, struct buf *out)
{
    uint8_t *p;
    if (text.len % 2)
        return ERR_SYNTAX;
    TRY(buf_reserve(out, text.len / 2, &p));
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.ptr[i]), low = hex_value(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return ERR_SYNTAX;
        p[i / 2] = (uint8_t)(high << 4 | low);
    }
    buf_commit(out, text.len / 2);
    return OK;
}

static const char alphabet_std[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static enum err encode(struct view in, const char *alphabet, bool pad, struct buf *out)
{
    size_t tail = in.len % 3;
    size_t len = in.len / 3 * 4 + (tail ? (pad ? 4 : tail + 1) : 0);
    uint8_t *p;
    TRY(buf_reserve(out, len, &p));
    for (size_t i = 0; i < in.len; i += 3) {
        size_t n = in.len - i < 3 ? in.len - i : 3;
        uint32_t v = (uint32_t)in.ptr[i] << 16;
        v |= n > 1 ? (uint32_t)in.ptr[i + 1] << 8 : 0;
        v |= n > 2 ? in.ptr[i + 2] : 0;
        for (size_t k = 0; k < n + 1; k++)
            *p++ = (uint8_t)alphabet[v >> (18 - 6 * k) & 63];
        for (size_t k = n + 1; pad && k < 4; k++)
            *p++ = '=';
    }
    buf_commit(out, len);
    return OK;
}

enum err text_base64(struct view bytes, struct buf *out)
{
    return encode(bytes, alphabet_std, true, out);
}

enum err text_base64_raw(struct view bytes, struct buf *out)
{
    return encode(bytes, alphabet_std, false, out);
}

enum err text_base64url(struct view bytes, struct buf *out)
{
    return encode(bytes, alphabet_url, false, out);
}

static int digit_value(uint8_t c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (text_is_digit(c))
        return c - '0' + 52;
    if (c == (uint8_t)alphabet[62])
        return 62;
    return c == (uint8_t)alphabet[63] ? 63 : -1;
}

static enum err decode(struct view text, const char *alphabet, struct buf *out)
{
    uint8_t *p;
    size_t tail = text.len % 4;
    if (tail == 1)
        return ERR_SYNTAX;
    size_t len = text.len / 4 * 3 + (tail ? tail - 1 : 0);
    TRY(buf_reserve(out, len, &p));
    uint32_t v = 0;
    size_t done = 0;
    for (size_t i = 0; i < text.len; i++) {
        int d = digit_value(text.ptr[i], alphabet);
        if (d < 0)
            return ERR_SYNTAX;
        v = v << 6 | (uint32_t)d;
        if (i % 4)
            p[done++] = (uint8_t)(v >> (6 - 2 * (i % 4)));
    }
    /* RFC 4648 §3.5: bits that are in no byte must be zero. */
    if ((tail == 2 && v & 15) || (tail == 3 && v & 3))
        return ERR_SYNTAX;
    buf_commit(out, len);
    return OK;
}

enum err text_unbase64(struct view text, struct buf *out)
{
    if (text.len % 4)
        return ERR_SYNTAX;
    for (int i = 0; i < 2 && text.len && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    return decode(text, alphabet_std, out);
}

enum err text_unbase64url(struct view text, struct buf *out)
{
    return decode(text, alphabet_url, out);
}

enum err text_u64(struct view text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (text.len == 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < text.len; i++) {
        if (!text_is_digit(text.ptr[i]))
            return ERR_SYNTAX;
        uint64_t d = text.ptr[i] - '0';
        if (v > (max - (d > max ? max : d)) / 10 || d > max)
            return ERR_RANGE;
        v = v * 10 + d;
        if (v > max)
            return ERR_RANGE;
    }
    *out = v;
    return OK;
}

static const struct {
    const char *name;
    double ms;
} units[] = {{"ns", 1e-6}, {"us", 1e-3}, {"\xc2\xb5s", 1e-3}, {"ms", 1},
             {"s", 1e3},   {"m", 6e4},   {"h", 36e5}};

/* One "1.5h" off the front of *rest. */
static enum err duration_part(struct view *rest, double *out_ms)
{
    double value = 0, scale = 1;
    size_t i = 0;
    bool digits = false, fraction = false;
    for (; i < rest->len && (text_is_digit(rest->ptr[i]) || (rest->ptr[i] == '.' && !fraction));
         i++) {
        if (rest->ptr[i] == '.') {
            fraction = true;
            continue;
        }
        digits = true;
        value = value * 10 + (rest->ptr[i] - '0');
        scale = fraction ? scale * 10 : scale;
    }
    *rest = view_skip(*rest, i);
    size_t n = 0;
    while (n < rest->len && !text_is_digit(rest->ptr[n]) && rest->ptr[n] != '.')
        n++;
    struct view name = view_take(*rest, n);
    *rest = view_skip(*rest, n);
    for (size_t u = 0; digits && u < sizeof units / sizeof units[0]; u++) {
        if (view_eq_str(name, units[u].name)) {
            *out_ms = value / scale * units[u].ms;
            return OK;
        }
    }
    return ERR_SYNTAX;
}

enum err text_duration_ms(struct view text, uint64_t *out_ms)
{
    static const double century_ms = 100.0 * 365.25 * 86400e3;
    if (view_eq_str(text, "0")) {
        *out_ms = 0;
        return OK;
    }
    if (text.len == 0)
        return ERR_SYNTAX;
    if (text.ptr[0] == '-')
        return ERR_RANGE;
    double total = 0;
    while (text.len) {
        double part;
        TRY(duration_part(&text, &part));
        total += part;
        if (total > century_ms)
            return ERR_RANGE;
    }
    /* The nudge keeps 0.3s at 300 ms, not 299. */
    *out_ms = (uint64_t)(total + 1e-6);
    return OK;
}

enum err text_rfc3339(uint64_t unix_ms, struct buf *out)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm))
        return ERR_RANGE;
    return buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1,
                      tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(unix_ms % 1000));
}

size_t text_utf8_len(struct view v)
{
    uint8_t c = v.len ? v.ptr[0] : 0, second = v.len > 1 ? v.ptr[1] : 0;
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : (c & 0xf0) == 0xe0    ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    if (n == 0 || n > v.len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((v.ptr[i] & 0xc0) != 0x80)
            return 0;
    }
    /* RFC 3629 §3: no overlong forms, no surrogates, nothing above U+10FFFF. */
    bool bad = (c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
               (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f);
    return bad ? 0 : n;
}

/* C0, DEL, and the C1 controls, which move terminals too. */
static bool is_control(struct view v)
{
    uint8_t c = v.ptr[0];
    return c < 0x20 || c == 0x7f || (c == 0xc2 && v.len > 1 && v.ptr[1] < 0xa0);
}

enum err text_printable(struct view text, struct buf *out)
{
    while (text.len) {
        size_t n = is_control(text) ? 0 : text_utf8_len(text);
        TRY(n ? buf_append(out, view_take(text, n)) : buf_append_u8(out, '?'));
        text = view_skip(text, n ? n : 1);
    }
    return OK;
}
