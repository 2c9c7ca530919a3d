/* Rows of the store as protobuf records. */
#ifndef DATABROKER_CONVERT_H
#define DATABROKER_CONVERT_H

#include "databroker/store/history.h"
#include "proto/databroker/databroker.pb-c.h"

/* A record with everything that it points at; views into the row. */
struct convert_record {
    Databroker__Record record;
    Google__Protobuf__Any data;
    Google__Protobuf__Timestamp modified;
    Google__Protobuf__Timestamp deleted;
};

/* Does not move afterwards. */
void convert_row(const struct record_row *row, struct convert_record *out);

Google__Protobuf__Timestamp convert_time(uint64_t ms);

/* Milliseconds; 0 for none, a negative or an impossible one. */
uint64_t convert_duration(const Google__Protobuf__Duration *d);

/* Options of a type with everything that they point at. */
struct convert_options {
    Databroker__Options options;
    Google__Protobuf__Duration ttl;
    char *fields[16];
    char *text; /* owned: what fields point into */
};
void convert_options(const struct history_options *o, struct convert_options *out);
void convert_options_fini(struct convert_options *o);

#endif
