/*
 * Every page of the browser's side as a function from what it shows to HTML: plain forms that work
 * without JavaScript and on a phone, one style sheet, one small script, nothing from elsewhere.
 * Strings may be NULL (shown as nothing); all of them are escaped. Appends to `out`; ERR_LIMIT when
 * it is full.
 */
#ifndef AUTHENTICATE_PAGES_PAGES_H
#define AUTHENTICATE_PAGES_PAGES_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/err.h"

enum { PAGE_MAX = 512 << 10 };

/* Paths, as the pages link them. */
#define PAGES_STYLE "/.pomerium/style.css"
#define PAGES_SCRIPT "/.pomerium/app.js"

/* The Content-Security-Policy of every page. */
extern const char pages_csp[];
extern const char pages_style[];
extern const char pages_script[];

/* The login form of the local provider. */
struct page_login {
    const char *action;
    const char *csrf_token;
    const char *username; /* to fill in again */
    const char *problem;  /* a sentence, or NULL */
};
enum err page_login(const struct page_login *p, struct buf *out);

struct page_waiting {
    const char *address;
    const char *target; /* login@route */
    const char *client; /* "SSH-2.0-OpenSSH_9.2" */
    bool elsewhere;     /* the address is not the browser's */
};

/* Verify Sign In. */
struct page_verify {
    const char *action;
    const char *csrf_token;
    const char *protocol;
    const char *issued_at;
    const char *expires_at;
    const char *expires_in; /* "14:59", for browsers without JavaScript */
    unsigned seconds_left;  /* the same for the countdown, whatever the browser's clock says */
    const char *key_type;
    const char *fingerprint;
    const char *match_code;
    const char *browser_address;
    const char *who;
    const struct page_waiting *waiting;
    size_t waiting_count;
    bool remembered;  /* this person approved this key before: one preselected Authorize */
    bool for_program; /* the session goes to a program: there is no key */
};
enum err page_verify(const struct page_verify *p, struct buf *out);

/* Sign in successful. */
struct page_success {
    const char *name;
    const char *email;
    const char *protocol;
    const char *expires_at;
    bool remembered;
};
enum err page_success(const struct page_success *p, struct buf *out);

/* A heading, a sentence and (may be NULL) where to go on: errors, "denied", "signed out". */
struct page_message {
    const char *heading;
    const char *sentence;
    const char *link;
    const char *link_text;
    const char *request_id; /* shown small, to find the log line */
};
enum err page_message(const struct page_message *p, struct buf *out);

struct page_claim {
    const char *name;
    const char *value;
};

/* The person's own page. */
struct page_account {
    const char *email;
    const char *name;
    const char *user_id;
    const char *session_id;
    const char *expires_at;
    const struct page_claim *claims;
    size_t claim_count;
};
enum err page_account(const struct page_account *p, struct buf *out);

struct page_binding {
    const char *id;
    const char *protocol;
    const char *fingerprint;
    const char *initiated_from;
    const char *issued_at;
    const char *expires_at;
    bool bound;
    bool remembered;
};

/* The person's keys, each with a form to revoke its binding and one to forget the key. */
struct page_bindings {
    const char *csrf_revoke; /* tokens for the two forms' paths */
    const char *csrf_forget;
    const char *revoke_action;
    const char *forget_action;
    const struct page_binding *bindings;
    size_t count;
};
enum err page_bindings(const struct page_bindings *p, struct buf *out);

/* Asks before signing out. */
struct page_sign_out {
    const char *action;
    const char *csrf_token;
    const char *who;
};
enum err page_sign_out(const struct page_sign_out *p, struct buf *out);

#endif
