#include "common/io/fetch.h"

#include <curl/curl.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/timer.h"

struct fetcher {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;
    struct fetch *first;
};

/* A socket that curl wants to be told about. */
struct fetch_socket {
    uv_poll_t poll;
    struct fetcher *fetcher;
    curl_socket_t fd;
};

struct fetch {
    struct fetcher *fetcher;
    struct fetch *next;
    struct fetch *previous;
    CURL *easy;
    struct curl_slist *lines;
    struct buf body;
    struct buf headers;
    bool too_large;
    fetch_fn on_done;
    void *ctx;
    char error[CURL_ERROR_SIZE];
};

static const struct {
    CURLcode code;
    enum err err;
} errors[] = {
    {CURLE_URL_MALFORMAT, ERR_SYNTAX},           {CURLE_UNSUPPORTED_PROTOCOL, ERR_SYNTAX},
    {CURLE_COULDNT_RESOLVE_HOST, ERR_NOT_FOUND}, {CURLE_COULDNT_RESOLVE_PROXY, ERR_NOT_FOUND},
    {CURLE_COULDNT_CONNECT, ERR_UNAVAILABLE},    {CURLE_SEND_ERROR, ERR_UNAVAILABLE},
    {CURLE_RECV_ERROR, ERR_UNAVAILABLE},         {CURLE_GOT_NOTHING, ERR_UNAVAILABLE},
    {CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT},     {CURLE_PEER_FAILED_VERIFICATION, ERR_VERIFY},
    {CURLE_SSL_CACERT_BADFILE, ERR_VERIFY},      {CURLE_SSL_CONNECT_ERROR, ERR_VERIFY},
    {CURLE_SSL_ISSUER_ERROR, ERR_VERIFY},        {CURLE_FILESIZE_EXCEEDED, ERR_LIMIT},
    {CURLE_TOO_MANY_REDIRECTS, ERR_LIMIT},
};

static enum err err_of(CURLcode code)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        if (errors[i].code == code)
            return errors[i].err;
    }
    return ERR_PROTOCOL;
}

static void free_fetch(struct fetch *f)
{
    struct fetcher *fetcher = f->fetcher;
    if (f->previous)
        f->previous->next = f->next;
    else
        fetcher->first = f->next;
    if (f->next)
        f->next->previous = f->previous;
    (void)curl_multi_remove_handle(fetcher->multi, f->easy);
    curl_easy_cleanup(f->easy);
    curl_slist_free_all(f->lines);
    buf_wipe(&f->body);
    buf_wipe(&f->headers);
    mem_free(f);
}

static void finish(struct fetch *f, CURLcode code)
{
    long status = 0;
    (void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    struct fetch_result r = {.err = OK, .why = ""};
    if (f->too_large) {
        r.err = ERR_LIMIT;
        r.why = "the response is too large";
    } else if (code != CURLE_OK) {
        r.err = err_of(code);
        r.why = f->error[0] ? f->error : curl_easy_strerror(code);
    } else {
        r.status = (unsigned)status;
        r.body = buf_view(&f->body);
        r.headers = buf_view(&f->headers);
    }
    f->on_done(f->ctx, &r);
    free_fetch(f);
}

/* --- curl's side --- */

static void check_done(struct fetcher *fetcher)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(fetcher->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        struct fetch *f = NULL;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        finish(f, code);
    }
}

static void on_timer(void *ctx)
{
    struct fetcher *fetcher = ctx;
    int running;
    (void)curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    check_done(fetcher);
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct fetcher *fetcher = ctx;
    if (timeout_ms < 0)
        timer_clear(&fetcher->timer);
    else
        timer_after(&fetcher->timer, (uint64_t)timeout_ms);
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct fetch_socket *s = poll->data;
    struct fetcher *fetcher = s->fetcher;
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) | (status < 0 ? CURL_CSELECT_ERR : 0);
    int running;
    (void)curl_multi_socket_action(fetcher->multi, s->fd, flags, &running);
    check_done(fetcher);
}

static void on_socket_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    (void)easy;
    struct fetcher *fetcher = ctx;
    struct fetch_socket *s = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            (void)uv_poll_stop(&s->poll);
            uv_close((uv_handle_t *)&s->poll, on_socket_closed);
            (void)curl_multi_assign(fetcher->multi, fd, NULL);
        }
        return 0;
    }
    if (!s) {
        s = mem_zalloc(sizeof *s);
        s->fetcher = fetcher;
        s->fd = fd;
        CHECK(uv_poll_init_socket(&fetcher->loop->uv, &s->poll, fd) == 0);
        s->poll.data = s;
        (void)curl_multi_assign(fetcher->multi, fd, s);
    }
    int events =
        (what != CURL_POLL_OUT ? UV_READABLE : 0) | (what != CURL_POLL_IN ? UV_WRITABLE : 0);
    CHECK(uv_poll_start(&s->poll, events, on_socket) == 0);
    return 0;
}

static size_t take_body(char *ptr, size_t size, size_t count, void *ctx)
{
    struct fetch *f = ctx;
    if (buf_append(&f->body, view_of(ptr, size * count)) == OK)
        return size * count;
    f->too_large = true;
    return 0;
}

static enum err add_header(struct fetch *f, struct view line)
{
    ptrdiff_t colon = view_find(line, ':');
    if (colon < 0)
        return OK;
    for (size_t i = 0; i < (size_t)colon; i++)
        TRY(buf_append_u8(&f->headers, text_lower(line.ptr[i])));
    TRY(buf_append_str(&f->headers, ": "));
    TRY(buf_append(&f->headers, view_trim(view_skip(line, (size_t)colon + 1))));
    return buf_append_u8(&f->headers, '\n');
}

static size_t take_header(char *ptr, size_t size, size_t count, void *ctx)
{
    struct fetch *f = ctx;
    struct view line = view_of(ptr, size * count);
    while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    /* A status line: of a redirect's target, or the answer after a 1xx. */
    if (view_starts_with(line, VIEW("HTTP/"))) {
        buf_clear(&f->headers);
        buf_clear(&f->body);
        return size * count;
    }
    if (add_header(f, line) == OK)
        return size * count;
    f->too_large = true;
    return 0;
}

/* --- the owner's side --- */

static void init_curl(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

struct fetcher *fetcher_new(struct loop *l)
{
    static uv_once_t once = UV_ONCE_INIT;
    uv_once(&once, init_curl);
    struct fetcher *f = mem_zalloc(sizeof *f);
    f->loop = l;
    f->multi = curl_multi_init();
    CHECK(f->multi);
    timer_init(&f->timer, l, on_timer, f);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, set_socket) == CURLM_OK);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f) == CURLM_OK);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f) == CURLM_OK);
    return f;
}

void fetcher_free(struct fetcher *f)
{
    if (!f)
        return;
    while (f->first)
        free_fetch(f->first);
    (void)curl_multi_cleanup(f->multi);
    timer_fini(&f->timer);
    mem_free(f);
}

static void set_method(struct fetch *f, const struct fetch_request *r)
{
    bool get = strcmp(r->method, "GET") == 0;
    if (get) {
        (void)curl_easy_setopt(f->easy, CURLOPT_HTTPGET, 1L);
        return;
    }
    (void)curl_easy_setopt(f->easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
    (void)curl_easy_setopt(f->easy, CURLOPT_COPYPOSTFIELDS,
                           r->body.len ? (const char *)r->body.ptr : "");
    if (strcmp(r->method, "POST") != 0)
        (void)curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, r->method);
}

static void set_headers(struct fetch *f, const struct fetch_request *r)
{
    f->lines = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; i < r->header_count; i++)
        f->lines = curl_slist_append(f->lines, r->headers[i]);
    CHECK(f->lines);
    (void)curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->lines);
}

static void set_options(struct fetch *f, const struct fetch_request *r)
{
    CURL *e = f->easy;
    uint32_t timeout = r->timeout_ms ? r->timeout_ms : FETCH_TIMEOUT_MS;
    (void)curl_easy_setopt(e, CURLOPT_PRIVATE, f);
    (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, f->error);
    (void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(e, CURLOPT_URL, r->url);
    (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    /* Never from https down to http. */
    bool plain = view_starts_with(view_str(r->url), VIEW("http:"));
    (void)curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, plain ? "http,https" : "https");
    bool follow = r->redirects > 0 && strcmp(r->method, "GET") == 0;
    (void)curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, follow ? 1L : 0L);
    (void)curl_easy_setopt(e, CURLOPT_MAXREDIRS, (long)r->redirects);
    (void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)timeout);
    (void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout);
    (void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(e, CURLOPT_USERAGENT, "postern");
    if (r->ca_file) {
        (void)curl_easy_setopt(e, CURLOPT_CAINFO, r->ca_file);
        (void)curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    }
    (void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
    (void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(e, CURLOPT_HEADERDATA, f);
}

struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_request *request,
                          fetch_fn on_done, void *ctx)
{
    struct fetch *f = mem_zalloc(sizeof *f);
    f->fetcher = fetcher;
    f->on_done = on_done;
    f->ctx = ctx;
    f->next = fetcher->first;
    if (f->next)
        f->next->previous = f;
    fetcher->first = f;
    buf_init(&f->body, request->body_max ? request->body_max : FETCH_BODY_MAX);
    buf_init(&f->headers, FETCH_HEADERS_MAX);
    f->easy = curl_easy_init();
    CHECK(f->easy);
    set_options(f, request);
    set_method(f, request);
    set_headers(f, request);
    /* curl asks for a timer at once, so that everything happens on a later turn. */
    CHECK(curl_multi_add_handle(fetcher->multi, f->easy) == CURLM_OK);
    return f;
}

void fetch_cancel(struct fetch *f)
{
    if (f)
        free_fetch(f);
}

bool fetch_header(const struct fetch_result *result, const char *name, struct view *out)
{
    struct view rest = result->headers;
    struct view line;
    size_t len = strlen(name);
    while (view_next(&rest, '\n', &line)) {
        if (line.len > len + 1 && line.ptr[len] == ':' && memcmp(line.ptr, name, len) == 0) {
            *out = view_trim(view_skip(line, len + 1));
            return true;
        }
    }
    return false;
}
