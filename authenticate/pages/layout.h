/* What all pages have around them. */
#ifndef AUTHENTICATE_PAGES_LAYOUT_H
#define AUTHENTICATE_PAGES_LAYOUT_H

#include "authenticate/pages/html.h"

/* Head and <h1>; `heading` is the title too. */
void layout_begin(struct html *h, const char *heading);
enum err layout_end(struct html *h);

/* <form method="post" …> with the token; layout_form_end closes it. */
void layout_form(struct html *h, const char *action, const char *csrf_token);

#endif
