/*
 * One request and its answer. A handler answers now, or starts something whose callback answers;
 * the exchange lives until it is answered. The client may be gone by then, which nobody notices.
 * What is under way for it ends with it: the one call to the databroker, and what `state` holds.
 */
#ifndef AUTHENTICATE_EXCHANGE_H
#define AUTHENTICATE_EXCHANGE_H

#include "authenticate/server.h"
#include "authenticate/session.h"
#include "common/base/messages.h"
#include "common/http/cookie.h"
#include "common/http/fields.h"
#include "common/http/form.h"
#include "common/http/http1.h"
#include "common/json/json.h"

struct exchange {
    struct server *server;
    struct broker *broker; /* all calls of this exchange go there */
    uint64_t call;         /* the last one; may be over */
    struct httpd_reply *reply;
    const struct httpd_request *request; /* lives as long as the reply */
    char *path;
    struct form query;
    struct form form;  /* of a POST */
    char *request_id;  /* as the proxy made it */
    char *address;     /* of the browser, as the proxy saw it */
    struct fields out; /* of the answer */
    struct session session;
    struct buf token;                 /* of session_grant, */
    const char *audience;             /* for this host; lives as long as `state` */
    void (*then)(struct exchange *x); /* after a step that calls back */
    void *state;                      /* of the handler */
    void (*free_state)(void *state);
    struct exchange *prev, *next; /* in server->exchanges */
};

/* The answer to `request`; dispatches to the handler. */
void exchange_begin(struct server *s, const struct httpd_request *request,
                    struct httpd_reply *reply);

/* `state` is freed with the exchange by `free_state`. */
void exchange_set_state(struct exchange *x, void *state, void (*free_state)(void *state));

/* `state` is somebody else's, or gone, from now on. */
void exchange_forget_state(struct exchange *x);

/* --- answers; each consumes the exchange --- */

/* A page as common pages make it; `page` is consumed. */
void exchange_page(struct exchange *x, unsigned status, struct buf *page);

/* The same with another Content-Type. */
void exchange_asset(struct exchange *x, const char *type, struct buf *body);

/* JSON; `value` is consumed. */
void exchange_json(struct exchange *x, unsigned status, struct json *value);

/* 302 (303 after a POST) to a path of ours or an absolute URL of our making. */
void exchange_redirect(struct exchange *x, const char *location);

/* A page with a heading and a sentence of messages.def. */
void exchange_error(struct exchange *x, unsigned status, const char *heading, enum message m);

/* The same with a link to go on by. */
struct exchange_link {
    const char *href;
    const char *text;
};
void exchange_message(struct exchange *x, unsigned status, const char *heading,
                      const char *sentence, struct exchange_link link);

/* The databroker failed: 503 in words, and a log line. */
void exchange_unavailable(struct exchange *x, enum err e, const char *text);

/* --- help --- */

/* Adds a Set-Cookie; max_age as in struct cookie. */
void exchange_set_cookie(struct exchange *x, const char *name, const char *value, int64_t max_age);

/* The same for the host of this request alone, whatever cookie_domain says. */
void exchange_set_host_cookie(struct exchange *x, const char *name, const char *value,
                              int64_t max_age);

bool exchange_is_post(const struct exchange *x);

/* The Host of the request, "" when there is none. Lives as long as the exchange. */
const char *exchange_host(const struct exchange *x);

/* Is this request for the host of authenticate_service_url? */
bool exchange_is_own_host(const struct exchange *x);

/* csrf_token for a form of this server. Fresh memory. */
char *exchange_csrf_token(const struct exchange *x, const char *bound_to, const char *path);

/* Is this POST from our own page (csrf.h)? Answers with 403 when it is not. */
bool exchange_check_csrf(struct exchange *x, const char *bound_to);

#endif
