#include "proxy/worker_keys.h"

#include "common/base/check.h"
#include "common/base/mem.h"

enum { SIGNATURE_MAX = 4096, REQUEST_MAX = 65536 };

/* Who waits. Either an SSH connection or a TLS handshake. */
struct waiting {
    struct waiting *next;
    uint32_t id;
    ssh_signed_fn done;
    void *ctx;
    uint64_t tag;
    struct tls_sign *tls;
};

struct queue {
    struct waiting *first;
    struct waiting *last;
};

/* A configuration whose certificates are in use. */
struct generation {
    struct generation *next;
    struct worker_keys *keys;
    const struct worker_config *config;
};

struct worker_keys {
    struct loop *loop;
    struct worker_link *link; /* NULL: lost */
    uint32_t next_id;
    struct queue sent;
    struct queue failed; /* to be told on the next turn */
    bool telling;
    struct generation *generations;
};

static void push(struct queue *q, struct waiting *w)
{
    w->next = NULL;
    if (q->last)
        q->last->next = w;
    else
        q->first = w;
    q->last = w;
}

static struct waiting *pop(struct queue *q)
{
    struct waiting *w = q->first;
    if (!w)
        return NULL;
    q->first = w->next;
    if (!q->first)
        q->last = NULL;
    return w;
}

static void answer(struct waiting *w, enum err e, struct view signature)
{
    if (w->tls)
        tls_sign_done(w->tls, e, signature);
    else
        w->done(w->ctx, w->tag, e, signature);
    mem_free(w);
}

static void tell_failed(void *ctx)
{
    struct worker_keys *k = ctx;
    struct waiting *w;
    k->telling = false;
    while ((w = pop(&k->failed)))
        answer(w, ERR_UNAVAILABLE, VIEW(""));
}

static void fail_later(struct worker_keys *k, struct waiting *w)
{
    push(&k->failed, w);
    if (!k->telling)
        loop_post(k->loop, tell_failed, k);
    k->telling = true;
}

static void ask(struct worker_keys *k, enum worker_frame_type type,
                const struct worker_sign_request *r, const struct waiting *who)
{
    struct waiting *w = mem_zalloc(sizeof *w);
    *w = *who;
    AUTO(buf_fini) struct buf body;
    buf_init(&body, REQUEST_MAX);
    if (++k->next_id == 0)
        k->next_id = 1;
    w->id = k->next_id;
    if (k->link && worker_sign_write((uint8_t)type, r, &body) == OK &&
        worker_link_send(k->link, type, w->id, buf_view(&body)) == OK)
        push(&k->sent, w);
    else
        fail_later(k, w);
}

enum err worker_keys_answer(struct worker_keys *k, const struct worker_frame *frame)
{
    if (!k->sent.first || k->sent.first->id != frame->id)
        return ERR_PROTOCOL;
    AUTO(buf_fini) struct buf signature;
    buf_init(&signature, SIGNATURE_MAX);
    enum err e = worker_signed_parse(frame->body, &signature);
    answer(pop(&k->sent), e, buf_view(&signature));
    return e == OK || e == ERR_DENIED ? OK : ERR_PROTOCOL;
}

void worker_keys_lost(struct worker_keys *k)
{
    struct waiting *w;
    k->link = NULL;
    while ((w = pop(&k->sent)))
        fail_later(k, w);
}

static void ask_ssh(void *ctx, enum worker_frame_type type, const struct worker_host_key *key,
                    const char *algorithm, struct view input, const struct waiting *who)
{
    const struct worker_sign_request r = {
        .key = key->id, .algorithm = view_str(algorithm), .input = input};
    ask(ctx, type, &r, who);
}

/* As struct ssh_signer has it. NOLINTNEXTLINE(readability-function-size) */
static void sign_kex(void *ctx, const struct worker_host_key *key, const char *algorithm,
                     struct view hash, ssh_signed_fn done, void *done_ctx, uint64_t tag)
{
    ask_ssh(ctx, WORKER_FRAME_SIGN_KEX, key, algorithm, hash,
            &(struct waiting){.done = done, .ctx = done_ctx, .tag = tag});
}

/* As struct ssh_signer has it. NOLINTNEXTLINE(readability-function-size) */
static void sign_prove(void *ctx, const struct worker_host_key *key, const char *algorithm,
                       struct view session_id, ssh_signed_fn done, void *done_ctx, uint64_t tag)
{
    ask_ssh(ctx, WORKER_FRAME_SIGN_HOSTKEYS_PROVE, key, algorithm, session_id,
            &(struct waiting){.done = done, .ctx = done_ctx, .tag = tag});
}

struct ssh_signer worker_keys_ssh(struct worker_keys *k)
{
    return (struct ssh_signer){.sign_kex = sign_kex, .sign_prove = sign_prove, .ctx = k};
}

static void sign_tls(void *ctx, struct tls_sign *op, size_t chain, uint16_t algorithm,
                     struct view input)
{
    const struct generation *g = ctx;
    const struct worker_sign_request r = {
        .key = g->config->certificates[chain].id, .tls_algorithm = algorithm, .input = input};
    ask(g->keys, WORKER_FRAME_SIGN_TLS, &r, &(struct waiting){.tls = op});
}

struct tls_signer worker_keys_tls(struct worker_keys *k, const struct worker_config *config)
{
    struct generation *g = mem_zalloc(sizeof *g);
    *g =
        (struct generation){.next = k->generations, .keys = k, .config = worker_config_ref(config)};
    k->generations = g;
    return (struct tls_signer){.sign = sign_tls, .ctx = g};
}

struct worker_keys *worker_keys_new(struct loop *l, struct worker_link *link)
{
    struct worker_keys *k = mem_zalloc(sizeof *k);
    k->loop = l;
    k->link = link;
    return k;
}

void worker_keys_free(struct worker_keys *k)
{
    if (!k)
        return;
    CHECK(!k->sent.first && !k->failed.first && !k->telling);
    while (k->generations) {
        struct generation *g = k->generations;
        k->generations = g->next;
        worker_config_unref(g->config);
        mem_free(g);
    }
    mem_free(k);
}
