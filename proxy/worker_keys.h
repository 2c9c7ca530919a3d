/*
 * The worker's side of signing: requests to the supervisor and their answers. Answers come in the
 * order of the requests; each request is answered exactly once, later, on the loop.
 */
#ifndef PROXY_WORKER_KEYS_H
#define PROXY_WORKER_KEYS_H

#include "common/io/tls.h"
#include "proxy/ssh_service.h"
#include "proxy/supervisor/worker_link.h"

struct worker_keys;

/* The link stays the caller's and outlives it, or worker_keys_lost says that it is gone. */
struct worker_keys *worker_keys_new(struct loop *l, struct worker_link *link);

/* After worker_keys_lost. Whoever waits has been answered by then. */
void worker_keys_free(struct worker_keys *k);

/* A frame of type SIGNED. ERR_PROTOCOL: not what was asked for. */
enum err worker_keys_answer(struct worker_keys *k, const struct worker_frame *frame);

/* The supervisor is gone: every request, waiting or to come, gets ERR_UNAVAILABLE. */
void worker_keys_lost(struct worker_keys *k);

/* For ssh_service_new. */
struct ssh_signer worker_keys_ssh(struct worker_keys *k);

/*
 * For tls_server_spec: signs with the keys of `config`'s certificates. The config is kept until
 * worker_keys_free, since contexts of former configurations may still shake hands.
 */
struct tls_signer worker_keys_tls(struct worker_keys *k, const struct worker_config *config);

#endif
