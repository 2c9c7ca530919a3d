/* Instance records: our own, and those of the proxies whose stream we have. */
#ifndef AUTHORIZE_INSTANCES_H
#define AUTHORIZE_INSTANCES_H

#include "authorize/authorize.h"

/* instances_open, with what authorize knows. */
struct instances *authorize_instances(struct authorize *a);

#endif
