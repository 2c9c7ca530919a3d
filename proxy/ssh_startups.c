#include "proxy/ssh_startups.h"

#include "common/base/mem.h"

struct ssh_source {
    char *key;
    size_t key_len;
    size_t total;
    size_t unproved;
    size_t waiting;
    struct ssh_startup *oldest;
    struct ssh_startup *newest;
};

void ssh_startups_fini(struct ssh_startups *s)
{
    for (struct map_iter i = map_iter(&s->sources); map_next(&i);) {
        struct ssh_source *source = i.value;
        mem_free(source->key);
        mem_free(source);
    }
    map_fini(&s->sources);
}

static struct ssh_source *heaviest(const struct ssh_startups *s)
{
    struct ssh_source *most = NULL;
    for (struct map_iter i = map_iter(&s->sources); map_next(&i);) {
        struct ssh_source *source = i.value;
        if (source->unproved && (!most || source->unproved > most->unproved))
            most = source;
    }
    return most;
}

struct ssh_startup *ssh_startups_oldest(const struct ssh_startups *s)
{
    const struct ssh_source *most = heaviest(s);
    return most ? most->oldest : NULL;
}

/* As OpenSSH: rate % at start, growing in a line to 100 % at full. */
static uint64_t refusal_percent(const struct ssh_startups_limits *l, size_t count)
{
    if (l->full <= l->start)
        return 100;
    return l->rate + (uint64_t)(100 - l->rate) * (count - l->start) / (l->full - l->start);
}

bool ssh_startups_admit(const struct ssh_startups *s, const struct ssh_startups_limits *limits,
                        struct view source, uint32_t random, struct ssh_startup **out_shed)
{
    *out_shed = NULL;
    if (s->unproved < limits->start)
        return true;
    const struct ssh_source *most = heaviest(s);
    const struct ssh_source *his = map_get(&s->sources, source);
    if (!most)
        return limits->full > 0;
    size_t after = (his ? his->unproved : 0) + 1;
    if (s->unproved >= limits->full) {
        *out_shed = most->oldest;
        return true;
    }
    return after < most->unproved || random % 100 >= refusal_percent(limits, s->unproved);
}

void ssh_startups_add(struct ssh_startups *s, struct ssh_startup *e, struct view source,
                      void *owner)
{
    struct ssh_source *his = map_get(&s->sources, source);
    if (!his) {
        his = mem_zalloc(sizeof *his);
        his->key = mem_strndup(source.ptr, source.len);
        his->key_len = source.len;
        (void)map_put(&s->sources, source, his);
    }
    *e = (struct ssh_startup){
        .source = his, .prev = his->newest, .owner = owner, .is_unproved = true};
    if (his->newest)
        his->newest->next = e;
    else
        his->oldest = e;
    his->newest = e;
    his->total++;
    his->unproved++;
    s->unproved++;
}

void ssh_startups_proved(struct ssh_startups *s, struct ssh_startup *e)
{
    struct ssh_source *his = e->source;
    if (!his || !e->is_unproved)
        return;
    e->is_unproved = false;
    if (e->prev)
        e->prev->next = e->next;
    else
        his->oldest = e->next;
    if (e->next)
        e->next->prev = e->prev;
    else
        his->newest = e->prev;
    e->prev = e->next = NULL;
    his->unproved--;
    s->unproved--;
}

void ssh_startups_remove(struct ssh_startups *s, struct ssh_startup *e)
{
    struct ssh_source *his = e->source;
    if (!his)
        return;
    ssh_startups_proved(s, e);
    ssh_startups_wait_over(s, e);
    e->source = NULL;
    if (--his->total)
        return;
    (void)map_remove(&s->sources, view_of(his->key, his->key_len));
    mem_free(his->key);
    mem_free(his);
}

enum ssh_wait ssh_startups_wait(struct ssh_startups *s, struct ssh_startup *e)
{
    if (e->is_waiting)
        return SSH_WAIT_OK;
    if (s->waiting >= SSH_WAITING_MAX)
        return SSH_WAIT_FULL;
    if (e->source->waiting >= SSH_WAITING_SOURCE_MAX)
        return SSH_WAIT_SOURCE_FULL;
    e->is_waiting = true;
    e->source->waiting++;
    s->waiting++;
    return SSH_WAIT_OK;
}

void ssh_startups_wait_over(struct ssh_startups *s, struct ssh_startup *e)
{
    if (!e->is_waiting)
        return;
    e->is_waiting = false;
    e->source->waiting--;
    s->waiting--;
}
