/* What the gateway's list of routes becomes: lines for people, a file for ssh. Pure. */
#ifndef CLI_TUNNEL_LISTING_H
#define CLI_TUNNEL_LISTING_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/json/json.h"

enum { LISTING_MAX = 4 << 20 };

/* `answer` is {"routes":[…]}. Appends "Route NAME" and its fields for each. */
enum err listing_text(const struct json *answer, struct buf *out);

struct listing_ssh {
    const char *program; /* what ProxyCommand runs */
    const char *flags;   /* of postern tcp, with a blank in front, or "" */
    const char *gateway; /* "https://gw.example.com" */
    const char *login;   /* on targets of ssh routes */
};

/* Appends an ssh_config(5): a Host for each ssh route and for each tcp route to port 22. */
enum err listing_ssh_config(const struct json *answer, const struct listing_ssh *how,
                            struct buf *out);

#endif
