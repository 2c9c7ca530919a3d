/* What comes of connections to targets, counted. */
#ifndef PROXY_DIALS_H
#define PROXY_DIALS_H

#include "common/base/err.h"

void dials_count(enum err e);

#endif
