/* Timestamps of records, for convert*.c. */
#ifndef AUTHENTICATE_CONVERT_TIME_H
#define AUTHENTICATE_CONVERT_TIME_H

#include <stdint.h>

#include "proto/google/protobuf/timestamp.pb-c.h"

/* Milliseconds since 1970; 0 when there is none. */
uint64_t convert_read_time(const Google__Protobuf__Timestamp *t);
Google__Protobuf__Timestamp *convert_make_time(uint64_t ms);

#endif
