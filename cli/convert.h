/* Records of any type as JSON, by the generated descriptors. */
#ifndef CLI_CONVERT_H
#define CLI_CONVERT_H

#include <protobuf-c/protobuf-c.h>

#include "common/json/json.h"
#include "common/rpc/records.h"

/* The types that the CLI knows, by their short name ("Session", "HostKey"); the last is NULL. */
extern const ProtobufCMessageDescriptor *const convert_types[];

/* By short or full name or type URL; NULL when unknown. */
const ProtobufCMessageDescriptor *convert_type_find(const char *name);

/*
 * {"type": …, "id": …, "version": …, "modified_at": …, fields under their names}: timestamps are
 * RFC 3339, bytes base64, maps objects. A record of a type that is not known has "data" in base64.
 */
struct json *convert_record(const struct record *r);

struct json *convert_message(const ProtobufCMessage *m);

#endif
