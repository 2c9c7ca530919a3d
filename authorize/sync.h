/* The synced copy: three syncers that fill state, requests and cut requests. */
#ifndef AUTHORIZE_SYNC_H
#define AUTHORIZE_SYNC_H

#include "authorize/authorize.h"

void sync_open(struct authorize *a);
void sync_close(struct authorize *a);

#endif
