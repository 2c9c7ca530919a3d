/*
 * Which records a query wants: a tree of conditions over the packed message, read field by field
 * on the wire (protobuf encoding, wire types 0, 1, 2, 5). Whatever cannot be read does not match.
 */
#ifndef DATABROKER_STORE_MATCH_H
#define DATABROKER_STORE_MATCH_H

#include "databroker/store/record.h"

enum { MATCH_PATH_MAX = 4, MATCH_DEPTH_MAX = 8 };

enum match_kind {
    MATCH_ALL,   /* every child; true without children */
    MATCH_ANY,   /* a child; false without children */
    MATCH_ID,    /* the record's id is `value` */
    MATCH_FIELD, /* one of the strings at `path` is `value` */
    MATCH_TEXT,  /* `value`, in lower case, is part of the id or of a string, in any case */
};

struct match {
    enum match_kind kind;
    struct match *children; /* array, owned */
    size_t count;
    uint32_t path[MATCH_PATH_MAX]; /* field numbers */
    size_t path_len;
    char *value;
};

void match_fini(struct match *m);

/* A new child at the end, zeroed; earlier children may move. */
struct match *match_add(struct match *m);

bool match_row(const struct match *m, const struct record_row *r);

#endif
