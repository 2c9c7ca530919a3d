/*
 * HTTP(S) requests to other people's servers (identity providers), by libcurl on the loop. The
 * server's certificate and name are always checked; `http` is spoken only to a URL that says so.
 * Proxies come from the environment as libcurl reads it.
 */
#ifndef COMMON_IO_FETCH_H
#define COMMON_IO_FETCH_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/loop.h"

enum {
    FETCH_TIMEOUT_MS = 10000,
    FETCH_BODY_MAX = 1 << 20,
    FETCH_HEADERS_MAX = 64 * 1024,
};

struct fetcher;
struct fetch;

struct fetcher *fetcher_new(struct loop *l);

/* Cancels what runs. NULL is fine. */
void fetcher_free(struct fetcher *f);

struct fetch_request {
    const char *method;         /* "GET", "POST" */
    const char *url;            /* http:// or https:// */
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    struct view body;
    const char *ca_file; /* PEM bundle instead of the system's store, or NULL */
    uint32_t timeout_ms; /* whole request; 0: FETCH_TIMEOUT_MS */
    size_t body_max;     /* 0: FETCH_BODY_MAX */
    unsigned redirects;  /* how many to follow, GET only; 0: none, a 3xx is the result */
};

/* All of it lives until the callback returns. */
struct fetch_result {
    /* OK: an HTTP response came, whatever its status. ERR_SYNTAX (URL), ERR_NOT_FOUND (name),
       ERR_UNAVAILABLE, ERR_VERIFY (certificate), ERR_TIMEOUT, ERR_LIMIT (size), ERR_PROTOCOL */
    enum err err;
    const char *why; /* a sentence for a log or an operator, "" when OK; holds no query string */
    unsigned status;
    struct view body;
    struct view headers; /* lines "name: value\n", names in lower case, of the last response */
};
typedef void (*fetch_fn)(void *ctx, const struct fetch_result *result);

/* Copies all it needs of `request`. Never calls back inside; the callback consumes the fetch. */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *request, fetch_fn on_done,
                          void *ctx);

/* Before the callback only: no callback any more. NULL is fine. */
void fetch_cancel(struct fetch *f);

/* The first header of that name (lower case), false when absent. */
bool fetch_header(const struct fetch_result *result, const char *name, struct view *out);

#endif
