/* What a worker said of a request to its HTTPS listener, kept as long as the connection is. */
#ifndef AUTHORIZE_TUNNEL_ASK_H
#define AUTHORIZE_TUNNEL_ASK_H

#include "authorize/convert_stream.h"
#include "authorize/policy/facts.h"
#include "common/base/secret.h"
#include "common/crypto/x509_client.h"

struct tunnel_ask {
    char *authority; /* tcp, udp: the destination; http: the request's authority */
    char *method;
    char *path;
    struct secret token; /* empty: none was presented */
    struct x509_client certificate;
    struct facts_client client; /* borrows from `certificate` */
    char *user_agent;
    char *request_id;
};

/* Copies. */
struct tunnel_ask *tunnel_ask_new(const struct stream_tunnel *m);

/* Wipes the token. NULL is fine. */
void tunnel_ask_free(struct tunnel_ask *t);

#endif
