#include "proxy/tunnel/endpoints.h"

#include <string.h>

#include "common/base/mem.h"

/* --- life --- */

void endpoint_leave(struct endpoint *p)
{
    if (--p->refs)
        return;
    mem_free(p->address);
    mem_free(p);
}

static struct endpoint *find(const struct endpoints *e, const char *address)
{
    for (size_t i = 0; e && i < e->count; i++) {
        if (strcmp(e->seats[i].endpoint->address, address) == 0)
            return e->seats[i].endpoint;
    }
    return NULL;
}

static bool same_checks(const struct endpoints *e, const struct endpoints *old)
{
    if (e->spec->check_count != old->spec->check_count)
        return false;
    for (size_t i = 0; i < e->spec->check_count; i++) {
        if (e->spec->checks[i].kind != old->spec->checks[i].kind)
            return false;
    }
    return true;
}

void endpoints_init(struct endpoints *e, const struct cluster_spec *spec,
                    const struct endpoints *old)
{
    *e = (struct endpoints){.spec = spec, .count = spec->endpoint_count};
    e->seats = mem_zalloc_array(e->count, sizeof *e->seats);
    for (size_t i = 0; i < e->count; i++) {
        struct endpoint *p = find(old, spec->endpoints[i].address);
        if (!p) {
            p = mem_zalloc(sizeof *p);
            p->address = mem_strdup(spec->endpoints[i].address);
        } else if (!same_checks(e, old)) {
            memset(p->checks, 0, sizeof p->checks);
        }
        p->refs++;
        e->seats[i] = (struct endpoint_seat){.endpoint = p, .weight = spec->endpoints[i].weight};
    }
}

void endpoints_fini(struct endpoints *e)
{
    for (size_t i = 0; i < e->count; i++)
        endpoint_leave(e->seats[i].endpoint);
    mem_free(e->seats);
    *e = (struct endpoints){0};
}

/* --- what is known --- */

bool endpoint_is_healthy(const struct endpoint *p)
{
    for (size_t i = 0; i < CLUSTER_CHECKS_MAX; i++) {
        if (p->checks[i].is_down)
            return false;
    }
    return true;
}

bool endpoint_is_ejected(const struct endpoint *p, uint64_t now)
{
    return now < p->ejected_till;
}

void endpoints_connected(struct endpoints *e, struct endpoint *p, uint64_t now)
{
    p->failures = 0;
    /* A good time as long as the last ejection's base makes up for one of them. */
    if (p->ejections && now >= p->ejected_till + e->spec->outlier.base_ejection_ms) {
        p->ejections--;
        p->ejected_till = now;
    }
}

static bool may_eject(const struct endpoints *e, uint64_t now)
{
    size_t ejected = 0;
    for (size_t i = 0; i < e->count; i++)
        ejected += endpoint_is_ejected(e->seats[i].endpoint, now);
    return ejected == 0 ||
           (ejected + 1) * 100 <= e->count * (size_t)e->spec->outlier.max_ejection_percent;
}

bool endpoints_failed(struct endpoints *e, struct endpoint *p, uint64_t now)
{
    const struct cluster_outlier *o = &e->spec->outlier;
    p->failures++;
    if (!o->enabled || p->failures < o->consecutive_failures || endpoint_is_ejected(p, now) ||
        !may_eject(e, now))
        return false;
    p->failures = 0;
    p->ejections++;
    uint64_t most =
        o->max_ejection_ms > o->base_ejection_ms ? o->max_ejection_ms : o->base_ejection_ms;
    uint64_t times = o->base_ejection_ms ? most / o->base_ejection_ms : 0;
    p->ejected_till = now + (p->ejections > times ? most : o->base_ejection_ms * p->ejections);
    return true;
}

bool endpoints_checked(struct endpoints *e, struct endpoint *p, size_t check, bool ok)
{
    const struct cluster_check *spec = &e->spec->checks[check];
    struct endpoint_check *c = &p->checks[check];
    bool was = endpoint_is_healthy(p);
    if (ok == !c->is_down) {
        c->streak = 0;
        return false;
    }
    if (++c->streak < (ok ? spec->healthy_threshold : spec->unhealthy_threshold))
        return false;
    c->is_down = !ok;
    c->streak = 0;
    return was != endpoint_is_healthy(p);
}

/* --- the pick --- */

enum { SET_USABLE, SET_HEALTHY, SET_ALL };

static bool is_tried(const struct endpoints_tried *t, size_t i)
{
    return t->bits[i / 64] >> i % 64 & 1;
}

struct choice {
    struct endpoints *e;
    const struct endpoints_tried *tried;
    uint64_t now;
    int set;
};

static bool is_usable(const struct choice *c, size_t i)
{
    const struct endpoint *p = c->e->seats[i].endpoint;
    return endpoint_is_healthy(p) && !endpoint_is_ejected(p, c->now);
}

static bool is_in(const struct choice *c, size_t i)
{
    if (is_tried(c->tried, i))
        return false;
    if (c->set == SET_USABLE)
        return is_usable(c, i);
    return c->set == SET_ALL || endpoint_is_healthy(c->e->seats[i].endpoint);
}

static uint64_t weight_of(const struct choice *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->e->count; i++)
        sum += is_in(c, i) ? c->e->seats[i].weight : 0;
    return sum;
}

/* Each gains its weight, the richest is taken and pays what all have gained. */
static size_t round_robin(const struct choice *c)
{
    size_t best = c->e->count;
    int64_t total = 0;
    for (size_t i = 0; i < c->e->count; i++) {
        struct endpoint_seat *s = &c->e->seats[i];
        if (!is_in(c, i))
            continue;
        s->credit += s->weight;
        total += s->weight;
        if (best == c->e->count || s->credit > c->e->seats[best].credit)
            best = i;
    }
    c->e->seats[best].credit -= total;
    return best;
}

/* By weight; `but` is left out (count: nobody is). */
static size_t by_weight(const struct choice *c, uint64_t random, size_t but)
{
    uint64_t sum = weight_of(c) - (but < c->e->count ? c->e->seats[but].weight : 0);
    uint64_t at = sum ? random % sum : 0;
    for (size_t i = 0; sum && i < c->e->count; i++) {
        if (i == but || !is_in(c, i))
            continue;
        if (at < c->e->seats[i].weight)
            return i;
        at -= c->e->seats[i].weight;
    }
    return but;
}

/* Of two the one that has less to do for its weight; while all are idle the weights decide. */
static size_t least_request(const struct choice *c, const uint64_t random[static 2])
{
    size_t a = by_weight(c, random[0], c->e->count);
    size_t b = by_weight(c, random[1], a);
    const struct endpoint_seat *x = &c->e->seats[a];
    const struct endpoint_seat *y = &c->e->seats[b];
    return y->endpoint->active * x->weight < x->endpoint->active * y->weight ? b : a;
}

static int first_set(struct choice *c)
{
    size_t usable = 0;
    for (size_t i = 0; i < c->e->count; i++)
        usable += is_usable(c, i);
    if (usable * 100 < c->e->count * (size_t)c->e->spec->panic_threshold)
        return SET_ALL;
    return SET_USABLE;
}

static size_t choose(const struct choice *c, const uint64_t random[static 2])
{
    switch (c->e->spec->balancing) {
    case CLUSTER_RANDOM:
        return by_weight(c, random[0], c->e->count);
    case CLUSTER_LEAST_REQUEST:
        return least_request(c, random);
    case CLUSTER_ROUND_ROBIN:
        break;
    }
    return round_robin(c);
}

struct endpoint *endpoints_pick(struct endpoints *e, struct endpoints_tried *tried, uint64_t now,
                                const uint64_t random[static 2])
{
    struct choice c = {.e = e, .tried = tried, .now = now};
    for (c.set = first_set(&c); c.set < SET_ALL && !weight_of(&c);)
        c.set++;
    if (!weight_of(&c))
        return NULL;
    size_t at = choose(&c, random);
    tried->bits[at / 64] |= UINT64_C(1) << at % 64;
    struct endpoint *p = e->seats[at].endpoint;
    p->refs++;
    return p;
}
