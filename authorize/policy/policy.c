#include "authorize/policy/policy.h"

#include "authorize/policy/rules.h"
#include "common/base/mem.h"

/* Kleene's logic: with some facts unknown a block may be undecided. */
enum truth { TRUTH_FALSE, TRUTH_UNKNOWN, TRUTH_TRUE };

struct result {
    enum truth truth;
    struct reasons why;
};

struct policy *policy_new(void)
{
    return mem_zalloc(sizeof(struct policy));
}

static void blocks_fini(struct blocks *b)
{
    for (size_t i = 0; i < b->count; i++) {
        for (size_t c = 0; c < b->items[i].count; c++)
            criterion_fini(&b->items[i].criteria[c]);
        mem_free(b->items[i].criteria);
    }
    mem_free(b->items);
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    blocks_fini(&p->allow);
    blocks_fini(&p->deny);
    mem_free(p);
}

void policy_use_zones(struct policy *p, struct zones *zones)
{
    p->zones = zones;
}

struct block *blocks_add(struct blocks *b, enum block_op op)
{
    b->items = mem_realloc(b->items, (b->count + 1) * sizeof *b->items);
    struct block *block = &b->items[b->count++];
    *block = (struct block){.op = op};
    return block;
}

struct criterion *block_add(struct block *b, const struct criterion_type *type)
{
    b->criteria = mem_realloc(b->criteria, (b->count + 1) * sizeof *b->criteria);
    struct criterion *c = &b->criteria[b->count++];
    *c = (struct criterion){.type = type};
    return c;
}

static bool is_at_home(const struct criterion_type *type, const struct facts *f)
{
    return type->only == CRITERION_EVERYWHERE || f->is_http == (type->only == CRITERION_HTTP);
}

/* `known` says which kinds of facts count; a criterion about others is undecided. */
static struct result evaluate_criterion(const struct criterion *c, const struct facts *f,
                                        unsigned known)
{
    const struct criterion_type *type = c->type;
    if (type->about & ~known)
        return (struct result){.truth = TRUTH_UNKNOWN};
    if ((type->about & CRITERION_ABOUT_PERSON) && !f->has_session)
        return (struct result){TRUTH_FALSE, reasons_of(REASON_USER_UNAUTHENTICATED)};
    if (!is_at_home(type, f) || !type->match(c, f))
        return (struct result){TRUTH_FALSE, reasons_of(type->not_ok)};
    return (struct result){TRUTH_TRUE, reasons_of(type->why ? type->why(f) : type->ok)};
}

/*
 * `any` combines as "or": true by one; else "and": false by one. The reasons are those of the parts
 * that decide it: of the true ones of a true "or", of the false ones of a false "and", of all else.
 */
struct combination {
    bool any;
    bool seen_deciding;
    bool seen_unknown;
    struct reasons deciding;
    struct reasons all;
};

static void combine(struct combination *c, struct result r)
{
    c->all = reasons_union(c->all, r.why);
    if (r.truth == TRUTH_UNKNOWN) {
        c->seen_unknown = true;
    } else if ((r.truth == TRUTH_TRUE) == c->any) {
        c->seen_deciding = true;
        c->deciding = reasons_union(c->deciding, r.why);
    }
}

static struct result combined(const struct combination *c)
{
    if (c->seen_deciding)
        return (struct result){c->any ? TRUTH_TRUE : TRUTH_FALSE, c->deciding};
    if (c->seen_unknown)
        return (struct result){.truth = TRUTH_UNKNOWN};
    return (struct result){c->any ? TRUTH_FALSE : TRUTH_TRUE, c->all};
}

static struct result evaluate_block(const struct block *b, const struct facts *f, unsigned known)
{
    /* not = all of the inverted, nor = any of the inverted; inversion keeps the reasons. */
    bool inverted = b->op == BLOCK_NOT || b->op == BLOCK_NOR;
    struct combination c = {.any = b->op == BLOCK_OR || b->op == BLOCK_NOR};
    for (size_t i = 0; i < b->count; i++) {
        struct result r = evaluate_criterion(&b->criteria[i], f, known);
        if (inverted && r.truth != TRUTH_UNKNOWN)
            r.truth = r.truth == TRUTH_TRUE ? TRUTH_FALSE : TRUTH_TRUE;
        combine(&c, r);
    }
    return combined(&c);
}

static struct result evaluate_blocks(const struct blocks *b, const struct facts *f, unsigned known)
{
    struct combination c = {.any = true};
    for (size_t i = 0; i < b->count; i++)
        combine(&c, evaluate_block(&b->items[i], f, known));
    return combined(&c);
}

struct verdict policy_evaluate(const struct policy *p, const struct facts *f)
{
    const unsigned known = CRITERION_ABOUT_PERSON | CRITERION_ABOUT_KEY | CRITERION_ABOUT_REQUEST |
                           CRITERION_ABOUT_LOGIN;
    struct result allow = evaluate_blocks(&p->allow, f, known);
    struct result deny = evaluate_blocks(&p->deny, f, known);
    return (struct verdict){.allow = {allow.truth == TRUTH_TRUE, allow.why},
                            .deny = {deny.truth == TRUTH_TRUE, deny.why}};
}

static uint64_t blocks_next_edge(const struct blocks *b, uint64_t now_s)
{
    uint64_t edge = UINT64_MAX;
    for (size_t i = 0; i < b->count; i++) {
        for (size_t k = 0; k < b->items[i].count; k++) {
            const struct criterion *c = &b->items[i].criteria[k];
            uint64_t at = c->type->next_edge ? c->type->next_edge(c, now_s) : UINT64_MAX;
            edge = at < edge ? at : edge;
        }
    }
    return edge;
}

uint64_t policy_next_edge(const struct policy *p, uint64_t now_s)
{
    uint64_t allow = blocks_next_edge(&p->allow, now_s);
    uint64_t deny = blocks_next_edge(&p->deny, now_s);
    return allow < deny ? allow : deny;
}

void policy_deny_invalid_client_certificate(struct policy *p)
{
    block_add(blocks_add(&p->deny, BLOCK_OR), &criterion_invalid_client_certificate);
}

static bool is_about_client_certificate(struct reasons why)
{
    return reasons_has(why, REASON_CLIENT_CERTIFICATE_REQUIRED) ||
           reasons_has(why, REASON_INVALID_CLIENT_CERTIFICATE);
}

enum policy_outcome verdict_outcome(const struct verdict *v)
{
    if (v->deny.hit && is_about_client_certificate(v->deny.why))
        return POLICY_CLIENT_CERTIFICATE;
    if (reasons_has(reasons_union(v->allow.why, v->deny.why), REASON_USER_UNAUTHENTICATED))
        return POLICY_LOGIN;
    if (v->deny.hit)
        return POLICY_DENY;
    return v->allow.hit ? POLICY_ALLOW : POLICY_NO_MATCH;
}

static bool is_impossible(const struct policy *p, const struct facts *f, unsigned known)
{
    return evaluate_blocks(&p->allow, f, known).truth == TRUTH_FALSE ||
           evaluate_blocks(&p->deny, f, known).truth == TRUTH_TRUE;
}

bool policy_rules_out_key(const struct policy *p, const struct facts *f)
{
    return is_impossible(p, f, CRITERION_ABOUT_KEY) &&
           !is_impossible(p, f, CRITERION_ABOUT_NOTHING);
}

bool policy_may_allow_login(const struct policy *p, const struct facts *f)
{
    return !is_impossible(p, f, CRITERION_ABOUT_PERSON | CRITERION_ABOUT_REQUEST);
}
