/* What is known about record types before anybody has written one. */
#ifndef DATABROKER_STORE_TYPES_H
#define DATABROKER_STORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TYPE_URL "type.googleapis.com/"

struct type_row {
    const char *type;
    bool memory; /* lives in the history that ends with the process */
    uint64_t capacity;
    uint64_t ttl_ms;
    const char *fields; /* indexable, one per line */
};

/* NULL for a type without a row: durable, without limits. */
const struct type_row *type_find(const char *type);

/* The rows in order; NULL at the end. */
const struct type_row *type_at(size_t index);

/* "type.googleapis.com/" and a dotted name, short enough. */
bool type_is_valid(const char *type);

#endif
