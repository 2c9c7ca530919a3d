/*
 * The private keys of the proxy and what they sign for the worker. Keys of a former configuration
 * go on signing where live connections need them: SSH host keys for rekeys of the connections that
 * began with them, TLS keys for one reload. Signatures are capped per second, and whatever can be
 * built here is built here, so that a worker that was taken over gets signatures for what it
 * could have got by being served, and little of them.
 */
#ifndef PROXY_SUPERVISOR_KEYRING_H
#define PROXY_SUPERVISOR_KEYRING_H

#include "common/base/diag.h"
#include "common/config/config.h"
#include "proxy/supervisor/worker_frame.h"
#include "proxy/supervisor/worker_message.h"

enum {
    KEYRING_RATE = 1000, /* signatures per second */
    KEYRING_SIGNATURE_MAX = 4096,
    KEYRING_RETIRED_MAX = 64, /* host keys of former configurations */
};

struct keyring;

struct keyring *keyring_new(void);
void keyring_free(struct keyring *k);

/*
 * Takes the keys of `config`: ssh_host_keys and certificates. Without certificates a self-signed
 * one for `config`'s authenticate host is made once and kept. All or nothing: errors, which name
 * file and key, go to `d` and then nothing changes. One host key per type.
 */
enum err keyring_load(struct keyring *k, const struct config *config, struct diag *d);

/* As keyring_load, for --check: nothing is kept. */
void keyring_check(const struct config *config, struct diag *d);

/* True when the certificate in use is the one that was made here. */
bool keyring_is_self_signed(const struct keyring *k);

/* Adds chains and public host keys to the worker's configuration. */
void keyring_describe(const struct keyring *k, struct worker_config *c);

/*
 * One request. OK and the signature appended to `out`; ERR_NOT_FOUND (no such key), ERR_UNSUPPORTED
 * (algorithm), ERR_DENIED (input that is not what it claims to be), ERR_BUSY (over the cap).
 */
enum err keyring_sign(struct keyring *k, enum worker_frame_type type,
                      const struct worker_sign_request *r, uint64_t now_ms, struct buf *out);

#endif
