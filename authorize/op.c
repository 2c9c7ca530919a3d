#include "authorize/op.h"

#include "common/base/mem.h"

struct op *op_new(struct authorize *a, const char *id, void *data, void (*drop)(void *data))
{
    struct op *op = mem_zalloc(sizeof *op);
    op->authorize = a;
    op->id = mem_strdup(id);
    op->data = data;
    op->drop = drop;
    op->next = a->ops;
    if (op->next)
        op->next->prev = op;
    a->ops = op;
    return op;
}

void *op_take(struct op *op)
{
    void *data = op->data;
    op->data = NULL;
    op_free(op);
    return data;
}

void op_free(struct op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        op->authorize->ops = op->next;
    if (op->next)
        op->next->prev = op->prev;
    if (op->data && op->drop)
        op->drop(op->data);
    mem_free(op->id);
    mem_free(op);
}

void ops_fini(struct authorize *a)
{
    while (a->ops)
        op_free(a->ops);
}
