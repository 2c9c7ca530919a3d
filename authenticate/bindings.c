/* The keys that act for a person: the list, revoke and forget. */
#include "authenticate/convert.h"
#include "authenticate/handlers.h"
#include "authenticate/login.h"
#include "authenticate/pages/html.h"
#include "authenticate/pages/pages.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"

enum { BINDINGS_MAX = 500, ID_MAX = 200 };

static const char revoke_path[] = "/.pomerium/session_binding/revoke";
static const char forget_path[] = "/.pomerium/identity_binding/revoke";
static const char bindings_path[] = "/.pomerium/session_binding_info";

/* --- the list --- */

struct listing {
    struct binding *bindings;
    size_t count;
    struct binding *remembered;
    size_t remembered_count;
};

static void listing_free(void *state)
{
    struct listing *l = state;
    for (size_t i = 0; i < l->count; i++)
        binding_fini(&l->bindings[i]);
    for (size_t i = 0; i < l->remembered_count; i++)
        binding_fini(&l->remembered[i]);
    mem_free(l->bindings);
    mem_free(l->remembered);
    mem_free(l);
}

static bool has_id(const struct binding *list, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].id, id) == 0)
            return true;
    }
    return false;
}

static void add_bindings(const struct listing *l, struct page_bindings *p, char **times)
{
    struct page_binding *rows = (struct page_binding *)p->bindings;
    for (size_t i = 0; i < l->count; i++) {
        const struct binding *b = &l->bindings[i];
        *times++ = html_time(b->issued_ms);
        *times++ = html_time(b->expires_ms);
        rows[p->count++] =
            (struct page_binding){.id = b->id,
                                  .protocol = b->protocol,
                                  .fingerprint = b->fingerprint,
                                  .initiated_from = b->initiated_from,
                                  .issued_at = times[-2],
                                  .expires_at = times[-1],
                                  .bound = true,
                                  .remembered = has_id(l->remembered, l->remembered_count, b->id)};
    }
}

/* Keys that are remembered and not bound at the moment. */
static void add_remembered(const struct listing *l, struct page_bindings *p)
{
    struct page_binding *rows = (struct page_binding *)p->bindings;
    for (size_t i = 0; i < l->remembered_count; i++) {
        const struct binding *b = &l->remembered[i];
        if (!has_id(l->bindings, l->count, b->id))
            rows[p->count++] = (struct page_binding){.id = b->id,
                                                     .protocol = b->protocol,
                                                     .fingerprint = b->fingerprint,
                                                     .expires_at = "Until revoked",
                                                     .remembered = true};
    }
}

static void show_bindings(struct exchange *x)
{
    struct listing *l = x->state;
    AUTO_FREE struct page_binding *rows =
        mem_zalloc_array(l->count + l->remembered_count, sizeof *rows);
    AUTO_FREE char **times = mem_zalloc_array(2 * l->count, sizeof *times);
    AUTO_FREE char *revoke = exchange_csrf_token(x, x->session.id, revoke_path);
    AUTO_FREE char *forget = exchange_csrf_token(x, x->session.id, forget_path);
    struct page_bindings p = {.csrf_revoke = revoke,
                              .csrf_forget = forget,
                              .revoke_action = revoke_path,
                              .forget_action = forget_path,
                              .bindings = rows};
    add_bindings(l, &p, times);
    add_remembered(l, &p);
    struct buf page;
    buf_init(&page, PAGE_MAX);
    enum err e = page_bindings(&p, &page);
    for (size_t i = 0; i < 2 * l->count; i++)
        mem_free(times[i]);
    exchange_page(x, e == OK ? 200 : 500, &page);
}

static void on_remembered(void *ctx, enum err e, const char *text, const struct record_list *list)
{
    struct exchange *x = ctx;
    struct listing *l = x->state;
    if (e != OK) {
        exchange_unavailable(x, e, text);
        return;
    }
    l->remembered = mem_zalloc_array(list->count, sizeof *l->remembered);
    for (size_t i = 0; i < list->count; i++) {
        struct binding *b = &l->remembered[l->remembered_count];
        l->remembered_count += convert_read_identity_binding(&list->items[i], b) == OK;
    }
    show_bindings(x);
}

static void search_own(struct exchange *x, const ProtobufCMessageDescriptor *type,
                       record_query_fn done)
{
    AUTO_FREE char *url = record_type(type);
    const struct record_search search = {
        .type = url, .field = "user_id", .value = x->session.user_id, .limit = BINDINGS_MAX};
    x->call = records_query(&x->broker->records, &search, done, x);
}

static void on_bindings(void *ctx, enum err e, const char *text, const struct record_list *list)
{
    struct exchange *x = ctx;
    struct listing *l = x->state;
    if (e != OK) {
        exchange_unavailable(x, e, text);
        return;
    }
    l->bindings = mem_zalloc_array(list->count, sizeof *l->bindings);
    for (size_t i = 0; i < list->count; i++) {
        struct binding *b = &l->bindings[l->count];
        if (convert_read_binding(&list->items[i], b) != OK)
            continue;
        if (b->expires_ms > loop_wall_ms() && !binding_is_device(b))
            l->count++;
        else
            binding_fini(b);
    }
    search_own(x, convert_identity_binding, on_remembered);
}

static void on_bindings_session(struct exchange *x)
{
    if (!login_has_session(x, bindings_path))
        return;
    exchange_set_state(x, mem_zalloc(sizeof(struct listing)), listing_free);
    search_own(x, convert_binding, on_bindings);
}

void handle_bindings(struct exchange *x)
{
    session_load(x, on_bindings_session);
}

/* --- revoke and forget --- */

static bool is_revoke(const struct exchange *x)
{
    return strcmp(x->path, revoke_path) == 0;
}

static const ProtobufCMessageDescriptor *type_of(const struct exchange *x)
{
    return is_revoke(x) ? convert_binding : convert_identity_binding;
}

static void on_revoked(void *ctx, enum err e, const char *text, const uint64_t *versions,
                       size_t count)
{
    (void)versions;
    (void)count;
    struct exchange *x = ctx;
    if (e == ERR_PRECONDITION) {
        /* Bound anew meanwhile, by whomever: the list shows what there is now. */
        exchange_redirect(x, bindings_path);
        return;
    }
    if (e != OK) {
        exchange_unavailable(x, e, text);
        return;
    }
    struct view id = form_get(&x->form, "sessionBindingID");
    log_info(is_revoke(x) ? "binding revoked" : "binding forgotten",
             LOG_STR("request-id", x->request_id), LOG_STR("session-id", x->session.id),
             LOG_STR("user", x->session.user_id), LOG_VIEW("binding", id),
             LOG_STR("ip", x->address));
    exchange_redirect(x, bindings_path);
}

static enum err read_own(const struct exchange *x, const struct record *found, struct binding *out)
{
    TRY(is_revoke(x) ? convert_read_binding(found, out)
                     : convert_read_identity_binding(found, out));
    return strcmp(out->user_id, x->session.user_id) == 0 ? OK : ERR_DENIED;
}

/* Only the owner may revoke, whatever id the form names. */
static void on_owner(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct exchange *x = ctx;
    AUTO(binding_fini) struct binding b = {0};
    if (e != OK && e != ERR_NOT_FOUND) {
        exchange_unavailable(x, e, text);
        return;
    }
    if (!found || read_own(x, found, &b) != OK) {
        exchange_error(x, 403, "Not yours", MESSAGE_BINDING_NOT_YOURS);
        return;
    }
    const struct record_write write = {type_of(x), b.id, NULL, found->version};
    x->call = records_put(&x->broker->records, &write, 1, on_revoked, x);
}

static void on_revoke_session(struct exchange *x)
{
    if (!login_has_session(x, bindings_path) || !exchange_check_csrf(x, x->session.id))
        return;
    struct view id = form_get(&x->form, "sessionBindingID");
    if (id.len == 0 || id.len > ID_MAX) {
        exchange_error(x, 403, "Not yours", MESSAGE_BINDING_NOT_YOURS);
        return;
    }
    AUTO_FREE char *text = mem_strndup(id.ptr, id.len);
    x->call = records_get(&x->broker->records, type_of(x), text, on_owner, x);
}

void handle_binding_revoke(struct exchange *x)
{
    session_load(x, on_revoke_session);
}

void handle_identity_revoke(struct exchange *x)
{
    session_load(x, on_revoke_session);
}
