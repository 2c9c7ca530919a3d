#include "authorize/state.h"

#include "common/base/check.h"
#include "common/base/mem.h"

static void free_strings(const char *const *strings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free((void *)(uintptr_t)strings[i]);
    mem_free((void *)(uintptr_t)strings);
}

void claims_free(struct claims *c)
{
    struct claim *items = (struct claim *)(uintptr_t)c->items;
    for (size_t i = 0; i < c->count; i++) {
        mem_free((void *)(uintptr_t)items[i].name);
        free_strings(items[i].values, items[i].count);
    }
    mem_free(items);
    *c = (struct claims){0};
}

void session_free(struct session *s)
{
    mem_free(s->id);
    mem_free(s->user_id);
    claims_free(&s->claims);
    mem_free(s);
}

void user_free(struct user *u)
{
    mem_free(u->id);
    mem_free(u->email);
    mem_free(u->name);
    claims_free(&u->claims);
    mem_free(u);
}

void directory_user_free(struct directory_user *u)
{
    mem_free(u->id);
    mem_free(u->email);
    free_strings(u->groups, u->group_count);
    mem_free(u);
}

void binding_free(struct binding *b)
{
    mem_free(b->id);
    mem_free(b->protocol);
    mem_free(b->session_id);
    mem_free(b->user_id);
    mem_free(b);
}

void service_account_free(struct service_account *a)
{
    mem_free(a->id);
    mem_free(a->user_id);
    mem_free(a->description);
    mem_free(a);
}

static void free_rows(struct host_key *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(rows[i].type);
        mem_free(rows[i].key);
        mem_free(rows[i].fingerprint);
        mem_free(rows[i].accepted_by);
    }
    mem_free(rows);
}

void host_keys_free(struct host_keys *h)
{
    mem_free(h->id);
    free_rows(h->accepted, h->accepted_count);
    free_rows(h->pending, h->pending_count);
    mem_free(h);
}

static void free_entry(enum state_kind kind, void *entry)
{
    switch (kind) {
    case STATE_SESSION:
        session_free(entry);
        break;
    case STATE_USER:
        user_free(entry);
        break;
    case STATE_DIRECTORY:
        directory_user_free(entry);
        break;
    case STATE_BINDING:
        binding_free(entry);
        break;
    case STATE_SERVICE_ACCOUNT:
        service_account_free(entry);
        break;
    case STATE_HOST_KEYS:
        host_keys_free(entry);
        break;
    case STATE_KINDS:
        CHECK(kind < STATE_KINDS);
        break;
    }
}

static void tables_fini(struct state_tables *t)
{
    for (unsigned kind = 0; kind < STATE_KINDS; kind++) {
        for (struct map_iter i = map_iter(&t->kind[kind]); map_next(&i);)
            free_entry((enum state_kind)kind, i.value);
        map_fini(&t->kind[kind]);
    }
    *t = (struct state_tables){0};
}

void state_fini(struct state *s)
{
    tables_fini(&s->now);
    tables_fini(&s->next);
    state_changes_fini(&s->changes);
}

void state_clear(struct state *s)
{
    tables_fini(&s->next);
    s->renewing = true;
}

void state_put(struct state *s, enum state_kind kind, const char *id, void *entry)
{
    struct state_tables *t = s->renewing ? &s->next : &s->now;
    struct view key = view_str(id);
    void *old = entry ? map_put(&t->kind[kind], key, entry) : map_remove(&t->kind[kind], key);
    if (old)
        free_entry(kind, old);
    if (!s->renewing)
        map_put(&s->changes.kind[kind], key, s);
}

void state_complete(struct state *s)
{
    if (!s->renewing)
        return;
    tables_fini(&s->now);
    s->now = s->next;
    s->next = (struct state_tables){0};
    s->renewing = false;
    s->changes.all = true;
}

struct state_changes state_take_changes(struct state *s)
{
    struct state_changes taken = s->changes;
    s->changes = (struct state_changes){0};
    return taken;
}

void state_changes_fini(struct state_changes *c)
{
    for (unsigned kind = 0; kind < STATE_KINDS; kind++)
        map_fini(&c->kind[kind]);
    *c = (struct state_changes){0};
}

bool state_changes_any(const struct state_changes *c)
{
    for (unsigned kind = 0; kind < STATE_KINDS; kind++) {
        if (map_count(&c->kind[kind]))
            return true;
    }
    return c->all;
}

static const void *find(const struct state *s, enum state_kind kind, const char *id)
{
    return map_get(&s->now.kind[kind], view_str(id));
}

const struct session *state_session(const struct state *s, const char *id)
{
    return find(s, STATE_SESSION, id);
}

const struct user *state_user(const struct state *s, const char *id)
{
    return find(s, STATE_USER, id);
}

const struct directory_user *state_directory(const struct state *s, const char *id)
{
    return find(s, STATE_DIRECTORY, id);
}

const struct binding *state_binding(const struct state *s, const char *id)
{
    return find(s, STATE_BINDING, id);
}

const struct service_account *state_service_account(const struct state *s, const char *id)
{
    return find(s, STATE_SERVICE_ACCOUNT, id);
}

const struct host_keys *state_host_keys(const struct state *s, const char *id)
{
    return find(s, STATE_HOST_KEYS, id);
}
