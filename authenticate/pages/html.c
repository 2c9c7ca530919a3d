#include "authenticate/pages/html.h"

#include "common/base/mem.h"
#include "common/base/text.h"

enum { TEXT_MAX = 64 << 10, TIME_MAX = 64 };

struct html html_to(struct buf *out)
{
    return (struct html){.out = out};
}

void html_raw(struct html *h, const char *markup)
{
    if (h->err == OK)
        h->err = buf_append_str(h->out, markup);
}

static const char *entity(uint8_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_text(struct html *h, struct view text)
{
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, TEXT_MAX);
    if (h->err == OK)
        h->err = text_printable(text, &clean);
    struct view v = buf_view(&clean);
    for (size_t i = 0; i < v.len && h->err == OK; i++) {
        const char *e = entity(v.ptr[i]);
        h->err = e ? buf_append_str(h->out, e) : buf_append_u8(h->out, v.ptr[i]);
    }
}

void html_str(struct html *h, const char *text)
{
    html_text(h, view_str(text));
}

void html_u64(struct html *h, uint64_t number)
{
    if (h->err == OK)
        h->err = buf_printf(h->out, "%llu", (unsigned long long)number);
}

void html_row(struct html *h, const char *name, const char *value)
{
    html_raw(h, "<tr><th>");
    html_str(h, name);
    html_raw(h, "</th><td>");
    html_str(h, value);
    html_raw(h, "</td></tr>\n");
}

void html_hidden(struct html *h, const char *name, const char *value)
{
    html_raw(h, "<input type=\"hidden\" name=\"");
    html_str(h, name);
    html_raw(h, "\" value=\"");
    html_str(h, value);
    html_raw(h, "\">\n");
}

char *html_time(uint64_t unix_ms)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, TIME_MAX);
    IGNORE(text_rfc3339(unix_ms, &b), "an empty text for a time out of range");
    return buf_to_str(&b);
}
