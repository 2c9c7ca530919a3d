/* CutRequest records: an administrator ends connections. */
#ifndef AUTHORIZE_CUT_H
#define AUTHORIZE_CUT_H

#include "authorize/connection.h"
#include "authorize/convert_records.h"

/* A request was written; taken over. */
void cut_changed(struct authorize *a, struct cut_request *r);

/* A request was deleted. */
void cut_forget(struct authorize *a, const char *id);

/* A new picture begins: all requests are forgotten. */
void cut_clear(struct authorize *a);

/* A connection comes by Register: cuts it when a request that is younger than it names it. */
void cut_check(struct authorize *a, struct connection *c);

void cut_fini(struct authorize *a);

#endif
