/*
 * The authenticate daemon: its parts and the objects that requests share. Everything runs on the
 * loop thread, but for password hashes, which run on libuv's pool.
 */
#ifndef AUTHENTICATE_SERVER_H
#define AUTHENTICATE_SERVER_H

#include "authenticate/broker.h"
#include "authenticate/provider.h"
#include "authenticate/rate.h"
#include "common/base/secret.h"
#include "common/config/config.h"
#include "common/daemon/daemon.h"
#include "common/http/url.h"
#include "common/io/fetch.h"
#include "common/io/httpd.h"
#include "common/io/timer.h"

struct exchange;
struct instances;
struct janitor;

/* Keys for one purpose each, derived from cookie_secret, which only this service reads. */
struct server_keys {
    struct secret session; /* the session cookie */
    struct secret state;   /* the cookie of a sign-in under way */
    struct secret csrf;
    struct secret tokens; /* SealedTokens records */
};

struct server {
    struct daemon *daemon;
    struct loop *loop;
    const struct config *config;
    struct url origin; /* of authenticate_service_url; views into the config */
    struct server_keys keys;
    struct rpc *rpc;
    struct broker *broker;
    struct provider *provider;
    struct httpd *httpd;
    struct fetcher *fetcher;
    struct rate rate_address; /* of the login form */
    struct rate rate_user;
    struct rate rate_device;    /* sign-ins of programs without a browser, by address */
    struct rate rate_devices;   /* of all addresses */
    struct rate rate_poll;      /* whether they are authorized */
    struct rate tickets;        /* those of route_callback.c that were used, each once */
    unsigned hashing;           /* password checks on the pool */
    struct exchange *exchanges; /* under way */
    struct janitor *janitor;
    struct instances *instances; /* our own Instance record */
    uint64_t started_ms;         /* Unix */
    struct timer prober;         /* asks the databroker how it is */
    uint64_t probe;              /* that question under way */
    bool version_seen;
    struct timer drainer; /* of a stop */
    unsigned ending;      /* what a stop waits for */
};

/* Callbacks of the daemon, see common/daemon/daemon.h. ctx is a zeroed struct server. */
void server_validate(void *ctx, const struct config *config, struct diag *diag);
enum err server_start(void *ctx, struct daemon *daemon, struct diag *diag);
enum err server_reload(void *ctx, const struct config *config, struct diag *diag);
void server_stop(void *ctx);
void server_fini(void *ctx);

#endif
