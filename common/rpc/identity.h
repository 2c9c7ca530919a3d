/*
 * Who is at the other end. Every gRPC connection is mutually authenticated TLS; a peer's identity
 * is the one URI in its certificate's subject alternative names: postern://service/NAME for the
 * four services, postern://admin/NAME for an administrator's certificate. No such URI, several, or
 * the same text as another kind of name (DNS) is nobody.
 */
#ifndef COMMON_RPC_IDENTITY_H
#define COMMON_RPC_IDENTITY_H

#include "common/base/err.h"
#include "common/base/view.h"

/* Bits, so that a table row can name several. */
enum rpc_caller {
    RPC_CALLER_NONE = 0,
    RPC_CALLER_AUTHENTICATE = 1,
    RPC_CALLER_AUTHORIZE = 2,
    RPC_CALLER_PROXY = 4,
    RPC_CALLER_DATABROKER = 8,
    RPC_CALLER_ADMIN = 16,
};

enum { RPC_PEER_NAME_MAX = 64 };

struct rpc_peer {
    enum rpc_caller caller;
    char name[RPC_PEER_NAME_MAX + 1]; /* "authorize", or the administrator's NAME */
};

/*
 * PEM texts; NUL terminated, copied by whoever takes the struct. The chain is leaf first. A client
 * without certificate and key (NULL) is possible and refused by every server of ours.
 */
struct rpc_identity {
    const char *ca_pem;
    const char *cert_pem;
    const char *key_pem;
};

/*
 * Parses a SAN URI. NAME is 1 to 64 letters, digits, '-', '_', '.', '@'. ERR_SYNTAX, or
 * ERR_MISMATCH for a service that does not exist.
 */
enum err rpc_peer_parse(struct view uri, struct rpc_peer *out);

/* "postern://service/" + name. Fresh memory. */
char *rpc_service_uri(const char *service);

#endif
