/* URLs and addresses of services, as configuration writes them. Strings are allocated in a tree. */
#ifndef COMMON_CONFIG_SERVICE_URL_H
#define COMMON_CONFIG_SERVICE_URL_H

#include "common/config/keys.h"

/*
 * An absolute http or https URL. *out_why says what is wrong, as a static text. `service` cuts a
 * trailing slash and refuses a path.
 */
enum err service_url_parse(struct tree *t, struct view text, bool service, struct config_url *out,
                           const char **out_why);

/*
 * Splits "host:port", "[v6]:port" or ":port" (empty host). With `default_port` > 0 the port may be
 * missing. The host has no brackets. ERR_SYNTAX, ERR_RANGE.
 */
enum err service_address_parse(struct view text, uint16_t default_port, struct view *out_host,
                               uint16_t *out_port);

/* localhost, 127.0.0.0/8, ::1. */
bool service_host_is_loopback(struct view host);

/* A DNS name or an IP address by its characters and length. */
bool service_host_is_valid(struct view host);

/* Rule 2: the address a server with this URL listens on. */
const char *service_url_listen(struct tree *t, const struct config_url *url);

#endif
