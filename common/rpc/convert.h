/* Inside of common/rpc: records from their protobuf form. */
#ifndef COMMON_RPC_CONVERT_H
#define COMMON_RPC_CONVERT_H

#include "common/rpc/records.h"
#include "proto/databroker/databroker.pb-c.h"

/* Views into `r`. */
struct record record_of(const Databroker__Record *r);

#endif
