/*
 * What an answer of the databroker is waited for with. Operations whose answer never comes, since
 * the channel was closed, are freed at the end.
 */
#ifndef AUTHORIZE_OP_H
#define AUTHORIZE_OP_H

#include "authorize/authorize.h"

struct op {
    struct op *next;
    struct op *prev;
    struct authorize *authorize;
    char *id; /* of what it is about: looked up again when the answer comes */
    void *data;
    void (*drop)(void *data);
};

/* `id` is copied; `drop` (may be NULL) frees `data`. */
struct op *op_new(struct authorize *a, const char *id, void *data, void (*drop)(void *data));

/* The answer is here and handled. */
void op_free(struct op *op);

/* As op_free, but hands `data` to the caller. */
void *op_take(struct op *op);

void ops_fini(struct authorize *a);

#endif
