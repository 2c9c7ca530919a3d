#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "proxy/convert.h"
#include "proxy/decide_internal.h"

enum {
    DECIDE_KEY_MAX = 64 * 1024,
    DECIDE_TEXT_MAX = 1024, /* of what authorize takes */
};

void decide_link_open(struct decide *d, struct decide_link *l, const char *id,
                      const struct decide_events *events, void *ctx)
{
    *l = (struct decide_link){.decide = d, .events = events, .ctx = ctx, .next = d->first};
    CHECK(strlen(id) == DECIDE_ID_LEN);
    memcpy(l->id, id, DECIDE_ID_LEN + 1);
    l->answer_at = TIMER_NEVER;
    l->certify_at = TIMER_NEVER;
    l->shell_at = TIMER_NEVER;
    buf_init(&l->key, DECIDE_KEY_MAX);
    buf_init(&l->public_key, DECIDE_KEY_MAX);
    buf_init(&l->host_key, DECIDE_KEY_MAX);
    if (d->first)
        d->first->prev = l;
    d->first = l;
    CHECK(!map_put(&d->links, view_str(l->id), l));
}

static size_t text_len(const char *s)
{
    return s ? strlen(s) : 0;
}

size_t decide_link_size(const struct decide_link *l)
{
    enum { IDS = 512 };
    const struct decide_facts *f = l->facts;
    if (!f)
        return IDS + l->key.len + text_len(l->login) + text_len(l->route) +
               text_len(l->client_version);
    return IDS + f->token.len + f->leaf.len + text_len(f->authority) + text_len(f->path) +
           text_len(f->user_agent) + text_len(f->request_id) + text_len(f->certificate_error);
}

static void remove_link(struct decide_link *l)
{
    struct decide *d = l->decide;
    if (d->cursor == l)
        d->cursor = l->next;
    if (l->next)
        l->next->prev = l->prev;
    if (l->prev)
        l->prev->next = l->next;
    else
        d->first = l->next;
    (void)map_remove(&d->links, view_str(l->id));
}

static void free_facts(struct decide_facts *f)
{
    if (!f)
        return;
    buf_wipe(&f->token);
    buf_fini(&f->leaf);
    mem_free(f->authority);
    mem_free(f->method);
    mem_free(f->path);
    mem_free(f->user_agent);
    mem_free(f->request_id);
    mem_free(f->certificate_error);
    mem_free(f);
}

static void free_link(struct decide_link *l)
{
    free_facts(l->facts);
    char *texts[] = {
        l->source,      l->login,      l->route,   l->key_type, l->client_version,   l->code,
        l->binding_key, l->session_id, l->user_id, l->upstream, l->state.config_hash};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        mem_free(texts[i]);
    buf_fini(&l->key);
    buf_fini(&l->public_key);
    buf_fini(&l->host_key);
    l->decide = NULL;
}

void decide_link_close(struct decide_link *l, uint64_t bytes_in, uint64_t bytes_out,
                       const char *reason)
{
    struct decide *d = l->decide;
    if (!d)
        return;
    decide_withdraw(l);
    remove_link(l);
    if (d->phase == DECIDE_UP && l->phase == DECIDE_LINK_LIVE) {
        AUTO_FREE char *short_reason = mem_strndup(reason, strnlen(reason, DECIDE_TEXT_MAX));
        if (!l->is_cut || decide_sent(d, convert_send_cut_done(d->stream, l->id)))
            (void)decide_sent(d,
                              convert_send_closed(d->stream, l, bytes_in, bytes_out, short_reason));
    }
    free_link(l);
}

/* What authorize takes: UTF-8 and not longer than DECIDE_TEXT_MAX. */
static void set_text(char **p, struct view text)
{
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, DECIDE_TEXT_MAX);
    IGNORE(text_printable(view_take(text, DECIDE_TEXT_MAX), &clean), "cut to what fits");
    mem_free(*p);
    *p = buf_to_str(&clean);
}

static void set_bytes(struct buf *b, struct view bytes)
{
    buf_clear(b);
    IGNORE(buf_append(b, view_take(bytes, b->max)), "longer keys were refused before");
}

static struct decide_facts *make_facts(const struct decide_tunnel *t)
{
    struct decide_facts *f = mem_zalloc(sizeof *f);
    set_text(&f->authority, t->authority);
    set_text(&f->method, t->method);
    set_text(&f->path, t->path);
    set_text(&f->user_agent, t->user_agent);
    set_text(&f->request_id, view_str(t->request_id));
    buf_init(&f->token, DECIDE_TOKEN_MAX);
    /* One that is too long is none that we made: its beginning is as invalid. */
    set_bytes(&f->token, t->token);
    f->token_place = t->token_place;
    f->certificate_presented = t->certificate.presented;
    f->certificate_valid = t->certificate.valid && t->certificate.leaf.len <= DECIDE_LEAF_MAX;
    set_text(&f->certificate_error, view_str(t->certificate.error));
    buf_init(&f->leaf, DECIDE_LEAF_MAX);
    if (t->certificate.leaf.len <= DECIDE_LEAF_MAX)
        set_bytes(&f->leaf, t->certificate.leaf);
    return f;
}

void decide_ask(struct decide_link *l, const struct decide_check *check)
{
    struct decide *d = l->decide;
    CHECK(l->phase != DECIDE_LINK_LIVE);
    CHECK((check->protocol == DECIDE_SSH) == !check->tunnel);
    l->protocol = check->protocol;
    free_facts(l->facts);
    l->facts = check->tunnel ? make_facts(check->tunnel) : NULL;
    mem_set_str(&l->source, check->source);
    set_text(&l->login, check->login);
    set_text(&l->route, check->route);
    set_text(&l->key_type, check->key_type);
    set_text(&l->client_version, check->client_version);
    set_bytes(&l->key, check->key);
    l->attempt++;
    l->phase = DECIDE_LINK_CHECKING;
    l->is_sent = false;
    l->answer_at = decide_now(d) + d->config->grpc_client_timeout;
    if (d->phase == DECIDE_UP && convert_send_check(d->stream, l) == OK)
        l->is_sent = true;
}

void decide_withdraw(struct decide_link *l)
{
    struct decide *d = l->decide;
    bool known =
        (l->phase == DECIDE_LINK_CHECKING && l->is_sent) || l->phase == DECIDE_LINK_WAITING;
    if (l->phase == DECIDE_LINK_LIVE)
        return;
    l->phase = DECIDE_LINK_IDLE;
    l->answer_at = TIMER_NEVER;
    if (known && d->phase == DECIDE_UP)
        (void)decide_sent(d, convert_send_cancel(d->stream, l));
}

void decide_certify(struct decide_link *l, struct view public_key, struct view host_key,
                    const char *upstream)
{
    struct decide *d = l->decide;
    set_bytes(&l->public_key, public_key);
    set_bytes(&l->host_key, host_key);
    mem_set_str(&l->upstream, upstream);
    l->request++;
    l->is_certifying = true;
    l->certify_sent = false;
    l->certify_at = decide_now(d) + d->config->grpc_client_timeout;
    if (d->phase == DECIDE_UP && convert_send_certify(d->stream, l) == OK)
        l->certify_sent = true;
}

void decide_shell(struct decide_link *l, enum decide_shell_verb verb)
{
    struct decide *d = l->decide;
    CHECK(!l->is_in_shell);
    l->shell_verb = verb;
    l->shell_request++;
    l->is_in_shell = true;
    l->shell_sent = false;
    l->shell_at = decide_now(d) + d->config->grpc_client_timeout;
    if (d->phase == DECIDE_UP && convert_send_shell_command(d->stream, l) == OK)
        l->shell_sent = true;
}
