/* The pages of a sign-in: login form, Verify Sign In, Sign in successful. */
#include "authenticate/pages/layout.h"
#include "authenticate/pages/pages.h"

enum err page_login(const struct page_login *p, struct buf *out)
{
    struct html h = html_to(out);
    layout_begin(&h, "Sign in");
    if (p->problem) {
        html_raw(&h, "<p class=\"problem\" role=\"alert\">");
        html_str(&h, p->problem);
        html_raw(&h, "</p>\n");
    }
    layout_form(&h, p->action, p->csrf_token);
    html_raw(&h, "<label for=\"username\">Email</label>\n"
                 "<input id=\"username\" name=\"username\" type=\"email\" required autofocus "
                 "autocomplete=\"username\" maxlength=\"254\" value=\"");
    html_str(&h, p->username);
    html_raw(&h, "\">\n<label for=\"password\">Password</label>\n"
                 "<input id=\"password\" name=\"password\" type=\"password\" required "
                 "autocomplete=\"current-password\" maxlength=\"1024\">\n"
                 "<div class=\"buttons\"><button class=\"primary\" type=\"submit\">Sign in"
                 "</button></div>\n</form>\n");
    return layout_end(&h);
}

static void waiting_rows(struct html *h, const struct page_verify *p)
{
    html_raw(h, "<h2>Waiting for this sign-in</h2>\n<table>\n"
                "<tr><th>Initiated from</th><th>");
    html_str(h, p->for_program ? "What" : "Login");
    html_raw(h, "</th><th>Client</th></tr>\n");
    for (size_t i = 0; i < p->waiting_count; i++) {
        html_raw(h, "<tr><td>");
        html_str(h, p->waiting[i].address);
        html_raw(h, "</td><td>");
        html_str(h, p->waiting[i].target);
        html_raw(h, "</td><td>");
        html_str(h, p->waiting[i].client);
        html_raw(h, "</td></tr>\n");
    }
    html_raw(h, "</table>\n");
}

static void warnings(struct html *h, const struct page_verify *p)
{
    bool elsewhere = false;
    for (size_t i = 0; i < p->waiting_count; i++)
        elsewhere = elsewhere || p->waiting[i].elsewhere;
    if (elsewhere) {
        html_raw(h, "<p class=\"warning\" role=\"alert\">The connection comes from another address "
                    "than this browser (");
        html_str(h, p->browser_address);
        html_raw(h, "). Authorize it only if you started it yourself.</p>\n");
    }
    if (p->for_program)
        html_raw(h, "<p class=\"warning\" role=\"alert\">A program asks to act for you, with all "
                    "that you may reach, until your session ends. Authorize it only if you started "
                    "it yourself, a moment ago.</p>\n");
    if (p->waiting_count == 0)
        html_raw(h, "<p class=\"warning\" role=\"alert\">No connection is waiting for this sign-in "
                    "any more.</p>\n");
}

static void verify_form(struct html *h, const struct page_verify *p)
{
    layout_form(h, p->action, p->csrf_token);
    if (!p->remembered && !p->for_program)
        html_raw(h, "<label><input type=\"checkbox\" name=\"create_id_binding\" value=\"true\"> "
                    "Remember me: next time one press is enough for this key</label>\n");
    html_raw(h, "<div class=\"buttons\">\n"
                "<button type=\"submit\" name=\"confirm\" value=\"false\">Deny</button>\n"
                "<button class=\"primary\" type=\"submit\" name=\"confirm\" value=\"true\"");
    html_raw(h, p->remembered ? " autofocus>Authorize</button>\n" : ">Authorize</button>\n");
    html_raw(h, "</div>\n</form>\n");
}

enum err page_verify(const struct page_verify *p, struct buf *out)
{
    struct html h = html_to(out);
    layout_begin(&h, "Verify Sign In");
    html_raw(&h, "<p>You are signed in as <strong>");
    html_str(&h, p->who);
    html_raw(&h, "</strong>. <span class=\"badge\" data-expires=\"");
    html_str(&h, p->expires_at);
    html_raw(&h, "\" data-left=\"");
    html_u64(&h, p->seconds_left);
    html_raw(&h, "\">Expires in ");
    html_str(&h, p->expires_in);
    html_raw(&h, "</span></p>\n");
    if (p->remembered)
        html_raw(&h, "<p>You chose to be remembered for this key.</p>\n");
    html_raw(&h, "<p>Match code<br><span class=\"code\">");
    html_str(&h, p->match_code);
    html_raw(&h, "</span></p>\n<p>Authorize only if your terminal shows the same code.</p>\n");
    warnings(&h, p);
    html_raw(&h, "<table>\n");
    html_row(&h, "Protocol", p->protocol);
    html_row(&h, "Issued at", p->issued_at);
    if (!p->for_program) {
        html_row(&h, "Key", p->key_type);
        html_row(&h, "Fingerprint", p->fingerprint);
    }
    html_raw(&h, "</table>\n");
    if (p->waiting_count)
        waiting_rows(&h, p);
    verify_form(&h, p);
    return layout_end(&h);
}

enum err page_success(const struct page_success *p, struct buf *out)
{
    struct html h = html_to(out);
    layout_begin(&h, "Sign in successful");
    html_raw(&h, "<p>Your terminal goes on. You may now close this page.</p>\n"
                 "<details>\n<summary>Session details</summary>\n<table>\n");
    html_row(&h, "Name", p->name);
    html_row(&h, "Email", p->email);
    html_row(&h, "Protocol", p->protocol);
    html_row(&h, "Expiry date", p->expires_at);
    html_row(&h, "Remembered", p->remembered ? "yes" : "no");
    html_raw(&h,
             "</table>\n</details>\n<p><a href=\"/.pomerium/session_binding_info\">Manage client "
             "bindings</a> · <a href=\"/.pomerium/sign_out\">Need to change users?</a></p>\n");
    return layout_end(&h);
}
