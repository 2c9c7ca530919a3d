/*
 * The way to the databroker, counted: whoever has calls under way on it holds a reference, so that
 * a reload may open another one meanwhile.
 */
#ifndef AUTHENTICATE_BROKER_H
#define AUTHENTICATE_BROKER_H

#include "common/base/diag.h"
#include "common/config/config.h"
#include "common/rpc/records.h"

struct broker {
    struct records records;
    unsigned refs;
};

/* ERR_CONFIG with a sentence in `diag`. One reference is the caller's. */
enum err broker_open(struct rpc *rpc, const struct config *config, struct diag *diag,
                     struct broker **out);
struct broker *broker_ref(struct broker *b);

/* The last one closes the channel. NULL is fine. */
void broker_unref(struct broker *b);

/* Would `next` reach the databroker in another way than `now`? */
bool broker_differs(const struct config *now, const struct config *next);

#endif
