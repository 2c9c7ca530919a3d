/*
 * RSA keys for the connections to targets that take no other type, made ahead on a thread of their
 * own, since one takes up to seconds. Each is given out once. One key is kept from the start; after
 * the first demand RSA_POOL_FULL are.
 */
#ifndef PROXY_RSA_POOL_H
#define PROXY_RSA_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/crypto/key.h"
#include "common/io/loop.h"

enum {
    RSA_POOL_START = 1,
    RSA_POOL_FULL = 8,
};

struct rsa_pool;
struct rsa_wait;

/* Takes over the key. On the loop, never inside of a call to the pool. */
typedef void (*rsa_pool_fn)(struct rsa_wait *w, struct private_key *key);

/* Part of who waits; zeroed: does not wait. */
struct rsa_wait {
    rsa_pool_fn done;
    struct rsa_wait *next;
    struct rsa_wait *prev;
    bool is_waiting;
};

/* Makes a key, on the thread, until *stop. NULL: private_key_generate_rsa. */
typedef enum err (*rsa_make_fn)(struct private_key *k, const atomic_bool *stop);

/* Begins at once. */
struct rsa_pool *rsa_pool_new(struct loop *l, rsa_make_fn make);

/* A key that is ready, now the caller's; false when there is none. */
bool rsa_pool_take(struct rsa_pool *p, struct private_key *out);

/* Waits for the next key, behind those who wait already. */
void rsa_pool_wait(struct rsa_pool *p, struct rsa_wait *w, rsa_pool_fn done);

/* Waits no more; fine when it does not wait. */
void rsa_pool_leave(struct rsa_pool *p, struct rsa_wait *w);

/* Keys that are ready. */
size_t rsa_pool_depth(const struct rsa_pool *p);

/* Stops making keys; `closed`, later, once the thread has let go. Nobody waits any more. */
void rsa_pool_close(struct rsa_pool *p, loop_fn closed, void *ctx);

/* Wipes what is left; after `closed`. NULL is fine. */
void rsa_pool_free(struct rsa_pool *p);

#endif
