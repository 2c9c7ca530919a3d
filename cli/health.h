/* What postern health makes of a health endpoint. */
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include "common/base/buf.h"
#include "common/json/json.h"

/*
 * The URL of /status for a health_check_addr; an address for all interfaces is asked on loopback.
 * Fresh memory.
 */
char *health_url(const char *address);

/*
 * Is every required check running without error? What is not well is appended as "CHECK: STATE,
 * ERROR; …", checks that are not required too.
 */
bool health_judge(const struct json *checks, struct buf *out_why);

/* Which service answers: every daemon's first check of that kind is "NAME.service". */
struct view health_service(const struct json *checks);

#endif
