/* HTML text: everything that comes from outside goes through html_text. */
#ifndef AUTHENTICATE_PAGES_HTML_H
#define AUTHENTICATE_PAGES_HTML_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

/* Sticky: after the first failure nothing is added. */
struct html {
    struct buf *out;
    enum err err;
};

struct html html_to(struct buf *out);

/* As it is: markup of ours. */
void html_raw(struct html *h, const char *markup);

/* Escaped for elements and quoted attributes; control bytes and bad UTF-8 become '?'. */
void html_text(struct html *h, struct view text);
void html_str(struct html *h, const char *text);

void html_u64(struct html *h, uint64_t number);

/* <tr><th>name</th><td>value</td></tr> */
void html_row(struct html *h, const char *name, const char *value);

/* <input type="hidden" name="…" value="…"> */
void html_hidden(struct html *h, const char *name, const char *value);

/* A time of day for people and scripts (RFC 3339), fresh memory. */
char *html_time(uint64_t unix_ms);

#endif
