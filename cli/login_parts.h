/* Private to login*.c. */
#ifndef CLI_LOGIN_PARTS_H
#define CLI_LOGIN_PARTS_H

#include "cli/login.h"
#include "common/io/httpd.h"
#include "common/io/timer.h"

enum { LOGIN_RANDOM_LEN = 32, LOGIN_PAGE_MS = 2000 };

struct login_waiter {
    login_fn fn;
    void *ctx;
};

struct login {
    struct gateway *gateway;
    char *refused;
    bool fresh; /* a token in the cache is not looked at */
    bool done;
    bool told_waiting;
    int lock;
    struct timer step;
    struct timer deadline;
    struct ask *ask;
    struct login_waiter *waiters;
    size_t waiter_count;
    /* by a browser */
    struct httpd *httpd;
    char *path; /* "/RANDOM", where the token has to come to */
    /* headless */
    char *verifier;
    char *code;
    uint64_t interval_ms;
};

void login_browser(struct login *n);
void login_headless(struct login *n);

/* 43 letters that nobody guesses. Fresh. */
char *login_random(void);

/* Each of them ends it. */
void login_take(struct login *n, const char *token);
void login_fail(struct login *n, const char *why);
void login_finish(struct login *n, bool ok);
void login_free(void *ctx);

#endif
