#include "proxy/front/local_reply.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/json/json.h"

/* The hash is that of `style`: a test computes it. */
static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;margin:12vh auto;max-width:34rem;padding:0 1rem;"
    "color:#1c2430;background:#fff}h1{font-size:1.4rem}small{color:#667}"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#14181f}small{color:#99a}}";
static const char csp[] =
    "default-src 'none'; style-src "
    "'sha256-bwBoVcq/A1iUvsQ1WjZ31Drzxewunq5Mub7XvhFp64s='; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

static enum err html_text(const char *text, struct buf *out)
{
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, LOCAL_REPLY_MAX);
    TRY(text_printable(view_str(text), &clean));
    struct view rest = buf_view(&clean);
    for (size_t i = 0; i < rest.len; i++) {
        uint8_t c = rest.ptr[i];
        const char *entity = c == '<'    ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '&'  ? "&amp;"
                             : c == '"'  ? "&quot;"
                             : c == '\'' ? "&#39;"
                                         : NULL;
        TRY(entity ? buf_append_str(out, entity) : buf_append_u8(out, c));
    }
    return OK;
}

static enum err write_html(const struct local_reply *r, struct buf *out)
{
    TRY(buf_printf(out,
                   "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width\">"
                   "<title>%u %s</title><style>%s</style></head><body><h1>%u %s</h1><p>",
                   (unsigned)r->status, r->reason, style, (unsigned)r->status, r->reason));
    TRY(html_text(r->sentence, out));
    TRY(buf_append_str(out, "</p><p><small>Request "));
    TRY(html_text(r->request_id, out));
    return buf_append_str(out, "</small></p></body></html>\n");
}

static enum err write_json(const struct local_reply *r, struct buf *out)
{
    AUTO(json_free_ptr) struct json *v = json_new_object();
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, LOCAL_REPLY_MAX);
    TRY(text_printable(view_str(r->sentence), &clean));
    TRY(json_set_str(v, "requestId", view_str(r->request_id)));
    TRY(json_set_i64(v, "status", r->status));
    TRY(json_set_str(v, "statusText", view_str(r->reason)));
    TRY(json_set_str(v, "message", buf_view(&clean)));
    TRY(json_write(v, JSON_ORDER_INSERTED, out));
    return buf_append_u8(out, '\n');
}

static bool is_html(const struct local_reply *r)
{
    return r->status >= 300 && (r->accept == ACCEPT_HTML || r->accept == ACCEPT_NONE);
}

static bool is_json(const struct local_reply *r)
{
    return r->status >= 300 && r->accept == ACCEPT_JSON;
}

enum err local_reply_body(const struct local_reply *r, struct buf *out)
{
    if (is_html(r))
        return write_html(r, out);
    if (is_json(r))
        return write_json(r, out);
    TRY(buf_append_str(out, r->sentence));
    return buf_append_u8(out, '\n');
}

enum err local_reply_fields(const struct local_reply *r, struct fields *out)
{
    bool is_redirect = r->location && r->location[0];
    if (is_redirect)
        TRY(fields_add_str(out, "Location", r->location));
    if (is_html(r))
        TRY(fields_add_str(out, "Content-Security-Policy", csp));
    /* RFC 9110 §11.6.1: a 401 says how. */
    if (r->status == 401)
        TRY(fields_add_str(out, "WWW-Authenticate", "Pomerium"));
    if (r->status >= 400 || r->status == 302)
        TRY(fields_add_str(out, "X-Pomerium-Intercepted-Response", "true"));
    return fields_add_str(out, "Content-Type",
                          is_html(r)   ? "text/html; charset=utf-8"
                          : is_json(r) ? "application/json"
                                       : "text/plain; charset=utf-8");
}

enum err local_reply_common(const char *request_id, bool is_hsts, struct fields *out)
{
    TRY(fields_add_str(out, "X-Request-Id", request_id));
    TRY(fields_add_str(out, "Cache-Control", "no-store"));
    TRY(fields_add_str(out, "X-Content-Type-Options", "nosniff"));
    TRY(fields_add_str(out, "X-Frame-Options", "SAMEORIGIN"));
    TRY(fields_add_str(out, "X-XSS-Protection", "1; mode=block"));
    if (is_hsts)
        TRY(fields_add_str(out, "Strict-Transport-Security",
                           "max-age=31536000; includeSubDomains; preload"));
    return OK;
}
