/* A query's arguments as conditions on packed records. */
#ifndef DATABROKER_FILTER_H
#define DATABROKER_FILTER_H

#include "common/base/err.h"
#include "databroker/store/match.h"
#include "proto/databroker/databroker.pb-c.h"

enum { FILTER_DEPTH_MAX = 8, FILTER_CONDITIONS_MAX = 64, FILTER_TEXT_MAX = 1000 };

/*
 * ERR_SYNTAX: the filter is not of the form {"$and": [{…}]}, {"$or": […]}, {"id": "…"},
 * {"path.to.string": "…"}; ERR_NOT_FOUND: the type has no such string field; ERR_LIMIT.
 */
enum err filter_parse(const Databroker__QueryRequest *request, struct match *out);

#endif
