/*
 * Who may do what with which record type: the one table. Which method a caller may call at all is
 * in the rows of server.c; the proxy is in neither.
 */
#ifndef DATABROKER_ACCESS_H
#define DATABROKER_ACCESS_H

#include "common/rpc/identity.h"

enum access_right {
    ACCESS_READ = 1, /* Get, Query, Sync, SyncLatest */
    ACCESS_PUT = 2,
    ACCESS_PUT_IF = 4, /* Put with an expected version */
    ACCESS_DELETE = 8,
};

bool access_allows(enum rpc_caller caller, const char *type, enum access_right right);

#endif
