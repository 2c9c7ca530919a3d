/*
 * What a tunnel goes to and through which gateway, as people write it (docs/clients.md). Pure.
 */
#ifndef CLI_TUNNEL_DESTINATION_H
#define CLI_TUNNEL_DESTINATION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/view.h"

/* A gateway's listener. A zeroed struct is fine for endpoint_fini. */
struct endpoint {
    bool tls;
    char *host; /* lower case, without brackets */
    uint16_t port;
    char *authority; /* for Host: without a default port */
    char *dial;      /* "host:port" */
};
void endpoint_fini(struct endpoint *e);

/*
 * "https://gw.example.com", with a port, or "http://…"; without a scheme https is meant. A path may
 * be there and is not looked at. ERR_SYNTAX with a sentence in *out_why, fresh memory.
 */
enum err endpoint_parse(const char *text, struct endpoint *out, char **out_why);

/* "https://gw.example.com:8443", fresh memory. */
char *endpoint_url(const struct endpoint *e);

/* The name of the file that holds this gateway's token; fresh memory, no "/" in it. */
char *endpoint_file_name(const struct endpoint *e);

struct destination {
    char *target; /* "host:port", what the gateway is asked for */
    struct endpoint proxy;
};
void destination_fini(struct destination *d);

/*
 *   host:port                           through https://host:443
 *   https://host:port, tcp+https://…    the same; http and tcp+http: plain, through port 80
 *   https://proxy:8443/host:port        through that proxy
 * `kind` is "tcp" or "udp"; `proxy_url` (may be NULL) replaces the gateway. ERR_SYNTAX with a
 * sentence that names what is wrong.
 */
enum err destination_parse(const char *text, const char *kind, const char *proxy_url,
                           struct destination *out, char **out_why);

#endif
