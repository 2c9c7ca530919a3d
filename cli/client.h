/*
 * The databroker, one call after the other: what an administrator's commands need. Failures are
 * said on stderr.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/command.h"
#include "common/base/err.h"
#include "common/json/json.h"
#include "common/rpc/records.h"

struct client;

/*
 * Reads the configuration for the databroker's address and the administrator's certificate for
 * key, certificate and CA. NULL after saying why not.
 */
struct client *client_open(const struct cli *cli);

/* NULL is fine. For AUTO(client_close_ptr). */
void client_close(struct client *c);
void client_close_ptr(struct client **c);

/* The NAME in the administrator's certificate. */
const char *client_name(const struct client *c);

/*
 * All records of a type as a JSON array of convert_record objects; `field` may be NULL, else only
 * those whose field equals `value`. The caller frees *out.
 */
enum err client_list(struct client *c, const ProtobufCMessageDescriptor *type, const char *field,
                     const char *value, struct json **out);

/* One record as a JSON object, and (may be NULL) its message, which the caller frees. */
enum err client_get(struct client *c, const ProtobufCMessageDescriptor *type, const char *id,
                    struct json **out, ProtobufCMessage **out_message);

enum err client_put(struct client *c, const struct record_write *writes, size_t count);

/* The types that the databroker has records of, as an array of strings. */
enum err client_types(struct client *c, struct json **out);

/*
 * For commands that end things by their ids: `one` for each word of the command line, "revoked ID"
 * or why not. `what` is for "there is no WHAT ID".
 */
int revoke_each(struct cli *cli, const char *what,
                enum err (*one)(struct client *client, const char *id));

/* Lets time pass. */
void client_sleep(struct client *c, uint64_t ms);

#endif
