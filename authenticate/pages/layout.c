#include "authenticate/pages/layout.h"

#include "authenticate/pages/pages.h"

void layout_begin(struct html *h, const char *heading)
{
    html_raw(h, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"robots\" content=\"noindex\">\n<title>");
    html_str(h, heading);
    html_raw(h, " – Postern</title>\n<link rel=\"stylesheet\" href=\"" PAGES_STYLE "\">\n"
                "<script src=\"" PAGES_SCRIPT "\" defer></script>\n</head>\n<body>\n<main>\n<h1>");
    html_str(h, heading);
    html_raw(h, "</h1>\n");
}

enum err layout_end(struct html *h)
{
    html_raw(h, "</main>\n</body>\n</html>\n");
    return h->err;
}

void layout_form(struct html *h, const char *action, const char *csrf_token)
{
    html_raw(h, "<form method=\"post\" action=\"");
    html_str(h, action);
    html_raw(h, "\">\n");
    html_hidden(h, "csrf_token", csrf_token);
}
