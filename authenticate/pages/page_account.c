/* Messages, the person's own page, bindings, sign-out. */
#include "authenticate/pages/layout.h"
#include "authenticate/pages/pages.h"

enum err page_message(const struct page_message *p, struct buf *out)
{
    struct html h = html_to(out);
    layout_begin(&h, p->heading);
    html_raw(&h, "<p>");
    html_str(&h, p->sentence);
    html_raw(&h, "</p>\n");
    if (p->link) {
        html_raw(&h, "<p><a href=\"");
        html_str(&h, p->link);
        html_raw(&h, "\">");
        html_str(&h, p->link_text);
        html_raw(&h, "</a></p>\n");
    }
    if (p->request_id) {
        html_raw(&h, "<p class=\"small\">Request ");
        html_str(&h, p->request_id);
        html_raw(&h, "</p>\n");
    }
    return layout_end(&h);
}

enum err page_account(const struct page_account *p, struct buf *out)
{
    struct html h = html_to(out);
    layout_begin(&h, "Your account");
    html_raw(&h, "<table>\n");
    html_row(&h, "Name", p->name);
    html_row(&h, "Email", p->email);
    html_row(&h, "User id", p->user_id);
    html_row(&h, "Session", p->session_id);
    html_row(&h, "Expires at", p->expires_at);
    html_raw(&h, "</table>\n<details>\n<summary>Claims</summary>\n<table>\n");
    for (size_t i = 0; i < p->claim_count; i++)
        html_row(&h, p->claims[i].name, p->claims[i].value);
    html_raw(&h,
             "</table>\n</details>\n<p><a href=\"/.pomerium/session_binding_info\">Manage client "
             "bindings</a> · <a href=\"/.pomerium/sign_out\">Sign out</a></p>\n");
    return layout_end(&h);
}

static void one_button(struct html *h, const char *action, const char *token, const char *id,
                       const char *label)
{
    layout_form(h, action, token);
    html_hidden(h, "sessionBindingID", id);
    html_raw(h, "<button type=\"submit\">");
    html_str(h, label);
    html_raw(h, "</button>\n</form>\n");
}

enum err page_bindings(const struct page_bindings *p, struct buf *out)
{
    struct html h = html_to(out);
    layout_begin(&h, "Client bindings");
    html_raw(&h, p->count
                     ? "<p>These keys act for you. Revoking one ends its connections. A key that "
                       "is remembered needs one press to be bound again.</p>\n"
                     : "<p>No key is bound to you.</p>\n");
    for (size_t i = 0; i < p->count; i++) {
        const struct page_binding *b = &p->bindings[i];
        html_raw(&h, "<h2><code>");
        html_str(&h, b->fingerprint);
        html_raw(&h, "</code></h2>\n<table>\n");
        html_row(&h, "Protocol", b->protocol);
        if (b->bound) {
            html_row(&h, "Initiated from", b->initiated_from);
            html_row(&h, "Issued at", b->issued_at);
        }
        html_row(&h, "Expires at", b->expires_at);
        html_row(&h, "Remembered", b->remembered ? "yes" : "no");
        html_raw(&h, "</table>\n<div class=\"buttons\">\n");
        if (b->bound)
            one_button(&h, p->revoke_action, p->csrf_revoke, b->id, "Revoke");
        if (b->remembered)
            one_button(&h, p->forget_action, p->csrf_forget, b->id, "Forget me");
        html_raw(&h, "</div>\n");
    }
    html_raw(&h, "<p><a href=\"/.pomerium/\">Your account</a></p>\n");
    return layout_end(&h);
}

enum err page_sign_out(const struct page_sign_out *p, struct buf *out)
{
    struct html h = html_to(out);
    layout_begin(&h, "Sign out");
    html_raw(&h, "<p>You are signed in as <strong>");
    html_str(&h, p->who);
    html_raw(&h, "</strong>. Signing out ends the connections that depend on this session.</p>\n");
    layout_form(&h, p->action, p->csrf_token);
    html_raw(&h, "<div class=\"buttons\"><button class=\"primary\" type=\"submit\">Sign out"
                 "</button></div>\n</form>\n");
    return layout_end(&h);
}
