/* /.pomerium/sign_in?user_code=…: Verify Sign In and what its buttons do. */
#include "authenticate/code.h"
#include "authenticate/convert.h"
#include "authenticate/handlers.h"
#include "authenticate/login.h"
#include "authenticate/pages/html.h"
#include "authenticate/pages/pages.h"
#include "common/base/mem.h"
#include "common/crypto/match_code.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum { TRIES_MAX = 5 };

static const char sign_in_path[] = "/.pomerium/sign_in";

struct signing {
    char *code;
    struct request request;
    bool remembered; /* this person chose it before for this key */
    bool confirm;
    bool remember;
    int tries;
};

static void signing_free(void *state)
{
    struct signing *g = state;
    request_fini(&g->request);
    mem_free(g->code);
    mem_free(g);
}

/* --- the page --- */

static void fill_waiting(const struct exchange *x, const struct request *r,
                         struct page_waiting *out, char **targets)
{
    for (size_t i = 0; i < r->waiting_count; i++) {
        const struct request_waiting *w = &r->waiting[i];
        targets[i] = request_is_device(r) ? mem_printf("postern login on %s", w->route)
                     : *w->route          ? mem_printf("%s@%s", w->login, w->route)
                                          : mem_printf("%s (management shell)", w->login);
        out[i] = (struct page_waiting){.address = w->address,
                                       .target = targets[i],
                                       .client = w->client_version,
                                       .elsewhere = strcmp(w->address, x->address) != 0};
    }
}

static void show_verify(struct exchange *x)
{
    struct signing *g = x->state;
    struct request *r = &g->request;
    uint64_t now = loop_wall_ms();
    unsigned left = (unsigned)((r->expires_ms - now) / 1000);
    char match[MATCH_CODE_SIZE];
    match_code(view_str(g->code), match);
    AUTO_FREE char *action = mem_printf("%s?user_code=%s", sign_in_path, g->code);
    AUTO_FREE char *token = exchange_csrf_token(x, x->session.id, sign_in_path);
    AUTO_FREE char *issued = html_time(r->created_ms);
    AUTO_FREE char *expires = html_time(r->expires_ms);
    AUTO_FREE char *expires_in = mem_printf("%02u:%02u", left / 60, left % 60);
    struct page_waiting *waiting = mem_zalloc_array(r->waiting_count, sizeof *waiting);
    char **targets = mem_zalloc_array(r->waiting_count, sizeof *targets);
    fill_waiting(x, r, waiting, targets);
    struct buf page;
    buf_init(&page, PAGE_MAX);
    const struct page_verify p = {.action = action,
                                  .csrf_token = token,
                                  .protocol = r->protocol,
                                  .issued_at = issued,
                                  .expires_at = expires,
                                  .expires_in = expires_in,
                                  .seconds_left = left,
                                  .key_type = r->key_type,
                                  .fingerprint = r->fingerprint,
                                  .match_code = match,
                                  .browser_address = x->address,
                                  .who = session_label(&x->session),
                                  .waiting = waiting,
                                  .waiting_count = r->waiting_count,
                                  .remembered = g->remembered,
                                  .for_program = request_is_device(r)};
    enum err e = page_verify(&p, &page);
    for (size_t i = 0; i < r->waiting_count; i++)
        mem_free(targets[i]);
    mem_free(targets);
    mem_free(waiting);
    if (e != OK)
        buf_fini(&page);
    exchange_page(x, e == OK ? 200 : 500, &page);
}

/* --- codes that cannot be answered --- */

static void refuse(struct exchange *x, const char *result, enum message m)
{
    bool processed = m == MESSAGE_SIGN_IN_CODE_PROCESSED;
    metrics_add(METRIC_APPROVALS, 1, result);
    exchange_error(x, processed ? 409 : 400,
                   processed                           ? "Already answered"
                   : m == MESSAGE_SIGN_IN_CODE_EXPIRED ? "Expired"
                                                       : "Code invalid",
                   m);
}

/* --- the answer --- */

static void load_request(struct exchange *x);

static void show_done(struct exchange *x)
{
    struct signing *g = x->state;
    metrics_add(METRIC_APPROVALS, 1, g->confirm ? "authorized" : "denied");
    log_info(g->confirm ? "sign-in authorized" : "sign-in denied",
             LOG_STR("request-id", x->request_id), LOG_STR("session-id", x->session.id),
             LOG_STR("user", x->session.user_id), LOG_STR("email", x->session.email),
             LOG_STR("publickey-fingerprint", g->request.fingerprint), LOG_STR("ip", x->address),
             LOG_BOOL("allow", g->confirm));
    if (!g->confirm) {
        exchange_message(x, 200, "Request denied", message_text(MESSAGE_SIGN_IN_DENIED_PAGE),
                         (struct exchange_link){0});
        return;
    }
    AUTO_FREE char *expires = html_time(x->session.expires_ms);
    struct buf page;
    buf_init(&page, PAGE_MAX);
    const struct page_success p = {.name = x->session.name,
                                   .email = x->session.email,
                                   .protocol = g->request.protocol,
                                   .expires_at = expires,
                                   .remembered = g->remembered || g->remember};
    IGNORE(page_success(&p, &page), "small");
    exchange_page(x, 200, &page);
}

static void on_written(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    (void)versions;
    (void)count;
    struct exchange *x = ctx;
    struct signing *g = x->state;
    if (e == ERR_PRECONDITION && ++g->tries < TRIES_MAX) {
        /* A connection came or went meanwhile, or somebody else answered: look again. */
        load_request(x);
    } else if (e == ERR_PRECONDITION) {
        refuse(x, "processed", MESSAGE_SIGN_IN_CODE_PROCESSED);
    } else if (e != OK) {
        exchange_unavailable(x, e, text);
    } else {
        show_done(x);
    }
}

/* The binding first, then Accepted, all or none; only the one who finds it in flight wins. */
static void write_answer(struct exchange *x)
{
    struct signing *g = x->state;
    struct request *r = &g->request;
    struct record_write writes[3];
    ProtobufCMessage *binding = NULL, *identity = NULL;
    size_t count = 0;
    if (g->confirm) {
        binding = convert_make_binding(r, &x->session, loop_wall_ms());
        writes[count++] = (struct record_write){convert_binding, r->key, binding, RECORDS_ANY};
    }
    if (g->confirm && g->remember && !request_is_device(r)) {
        identity = convert_make_identity_binding(r, &x->session);
        writes[count++] =
            (struct record_write){convert_identity_binding, r->key, identity, RECORDS_ANY};
    }
    const ProtobufCMessage *answered =
        convert_request_with_state(r, g->confirm ? REQUEST_ACCEPTED : REQUEST_REVOKED);
    writes[count++] = (struct record_write){convert_request, g->code, answered, r->version};
    x->call = records_put(&x->broker->records, writes, count, on_written, x);
    protobuf_c_message_free_unpacked(binding, NULL);
    protobuf_c_message_free_unpacked(identity, NULL);
}

/* --- in between --- */

static void on_identity(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct exchange *x = ctx;
    struct signing *g = x->state;
    AUTO(binding_fini) struct binding b = {0};
    if (e != OK && e != ERR_NOT_FOUND) {
        exchange_unavailable(x, e, text);
        return;
    }
    if (found && convert_read_identity_binding(found, &b) == OK)
        g->remembered = strcmp(b.user_id, x->session.user_id) == 0 &&
                        strcmp(b.idp_id, x->session.idp_id) == 0 &&
                        strcmp(b.protocol, g->request.protocol) == 0;
    show_verify(x);
}

static void on_request(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct exchange *x = ctx;
    struct signing *g = x->state;
    request_fini(&g->request);
    if (e == OK)
        e = convert_read_request(found, &g->request);
    if (e == ERR_NOT_FOUND) {
        refuse(x, "invalid", MESSAGE_SIGN_IN_CODE_INVALID);
    } else if (e != OK) {
        exchange_unavailable(x, e, text);
    } else if (*g->request.idp_id && strcmp(g->request.idp_id, x->session.idp_id) != 0) {
        /* Asked for by an authorize whose idp_provider is another one than ours. */
        refuse(x, "invalid", MESSAGE_SIGN_IN_CODE_INVALID);
    } else if (g->request.state != REQUEST_IN_FLIGHT) {
        refuse(x, "processed", MESSAGE_SIGN_IN_CODE_PROCESSED);
    } else if (g->request.expires_ms <= loop_wall_ms()) {
        refuse(x, "expired", MESSAGE_SIGN_IN_CODE_EXPIRED);
    } else if (exchange_is_post(x)) {
        write_answer(x);
    } else if (request_is_device(&g->request)) {
        show_verify(x);
    } else {
        x->call = records_get(&x->broker->records, convert_identity_binding, g->request.key,
                              on_identity, x);
    }
}

static void load_request(struct exchange *x)
{
    struct signing *g = x->state;
    x->call = records_get(&x->broker->records, convert_request, g->code, on_request, x);
}

static void on_session(struct exchange *x)
{
    struct signing *g = x->state;
    AUTO_FREE char *return_to = mem_printf("%s?user_code=%s", sign_in_path, g->code);
    if (!login_has_session(x, return_to))
        return;
    if (exchange_is_post(x) && !exchange_check_csrf(x, x->session.id))
        return;
    load_request(x);
}

void handle_sign_in(struct exchange *x)
{
    struct view code = form_get(&x->query, "user_code");
    if (!code.ptr && !exchange_is_post(x) && form_get(&x->query, "pomerium_redirect_uri").ptr) {
        handle_sign_in_redirect(x);
        return;
    }
    if (!code_is_valid(code)) {
        refuse(x, "invalid", MESSAGE_SIGN_IN_CODE_INVALID);
        return;
    }
    struct signing *g = mem_zalloc(sizeof *g);
    g->code = mem_strndup(code.ptr, code.len);
    g->confirm = view_eq_str(form_get(&x->form, "confirm"), "true");
    g->remember = view_eq_str(form_get(&x->form, "create_id_binding"), "true");
    exchange_set_state(x, g, signing_free);
    session_load(x, on_session);
}
