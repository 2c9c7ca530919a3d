/* The compiled form of a policy, shared by parser and evaluator. */
#ifndef AUTHORIZE_POLICY_RULES_H
#define AUTHORIZE_POLICY_RULES_H

#include "authorize/policy/criterion.h"
#include "authorize/policy/policy.h"

enum block_op { BLOCK_AND, BLOCK_OR, BLOCK_NOT, BLOCK_NOR };

/* One operator with its criteria. */
struct block {
    enum block_op op;
    struct criterion *criteria;
    size_t count;
};

/* All blocks of one action; any of them is enough. */
struct blocks {
    struct block *items;
    size_t count;
};

struct policy {
    struct blocks allow;
    struct blocks deny;
    struct zones *zones;
};

/* Valid until the next blocks_add. */
struct block *blocks_add(struct blocks *b, enum block_op op);

/* Zeroed but for its type; valid until the next block_add. */
struct criterion *block_add(struct block *b, const struct criterion_type *type);

#endif
