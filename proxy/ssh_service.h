/*
 * Native SSH in the worker: the listener, the connections, and the Decide stream to authorize.
 * Everything runs on one loop. The worker owns configuration, signatures and health and hands them
 * in; nothing here reads a file or knows the supervisor.
 *
 * Order of calls: new, start, reload…, drain, stop (waits for on_stopped), free.
 */
#ifndef PROXY_SSH_SERVICE_H
#define PROXY_SSH_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/loop.h"
#include "common/rpc/rpc.h"
#include "proxy/decide.h"
#include "proxy/rsa_pool.h"
#include "proxy/supervisor/worker_message.h"

struct ssh_service;

/* `signature` is an SSH signature blob, valid during the call; `e` is not OK when there is none. */
typedef void (*ssh_signed_fn)(void *ctx, uint64_t tag, enum err e, struct view signature);

/*
 * Signatures by the supervisor. `done(done_ctx, tag, …)` is called exactly once, later, on the
 * loop, never inside; ERR_UNAVAILABLE when the supervisor is gone. done_ctx lives until
 * ssh_service_free. Views are copied.
 */
struct ssh_signer {
    /* An exchange hash with the host key; `algorithm` "ssh-ed25519", "rsa-sha2-512", … */
    void (*sign_kex)(void *ctx, const struct worker_host_key *key, const char *algorithm,
                     struct view hash, ssh_signed_fn done, void *done_ctx, uint64_t tag);
    /* hostkeys-prove-00@openssh.com; `algorithm` "" unless RSA was negotiated. */
    void (*sign_prove)(void *ctx, const struct worker_host_key *key, const char *algorithm,
                       struct view session_id, ssh_signed_fn done, void *done_ctx, uint64_t tag);
    void *ctx;
};

struct ssh_service_host {
    struct loop *loop;
    struct rpc *rpc;
    const char *instance_id; /* 128 random bits in hex: this worker, for Hello; copied */
    const char *build;       /* "0.1.0"; copied */
    struct ssh_signer signer;
    rsa_make_fn make_rsa; /* for rsa_pool.h; NULL: as there */
    uint64_t memory_max;  /* bytes, 0: no limit; near it nothing new is accepted */
    /* Health of "authorize.service": the Decide stream is up, or why not. May be NULL. */
    void (*on_authorize)(void *ctx, bool connected, const char *why);
    /* Memory has become short, or is no longer. May be NULL. */
    void (*on_memory)(void *ctx, bool is_short);
    void *ctx;
};

struct ssh_service *ssh_service_new(const struct ssh_service_host *host);

/*
 * Takes over `listen_fd` (bound and listening), or -1: no SSH listener, only the stream. The config
 * is referenced. ERR_CONFIG with a sentence in fresh memory.
 */
enum err ssh_service_start(struct ssh_service *s, const struct worker_config *config, int listen_fd,
                           char **out_why);

/* For new connections; the stream to authorize is opened again when its settings changed. */
enum err ssh_service_reload(struct ssh_service *s, const struct worker_config *config,
                            char **out_why);

/* Accepts nothing new and tells the users; `on_drained` once no connection is left. */
void ssh_service_drain(struct ssh_service *s, loop_fn on_drained, void *ctx);

/* Ends every connection with a sentence; `on_stopped` when all handles are gone, within 4 s. */
void ssh_service_stop(struct ssh_service *s, loop_fn on_stopped, void *ctx);

/* After on_stopped, or instead of start. */
void ssh_service_free(struct ssh_service *s);

/*
 * The stream to authorize, also for questions that are not SSH's: from new until free. Whoever asks
 * them has closed its links before ssh_service_free, and before ssh_service_stop if authorize is to
 * hear of it.
 */
struct decide *ssh_service_decide(struct ssh_service *s);

/* Connections that are relayed, and all. */
size_t ssh_service_live(const struct ssh_service *s);
size_t ssh_service_count(const struct ssh_service *s);

#endif
