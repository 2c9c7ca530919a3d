#include "proxy/probe/probe.h"

#include <errno.h>
#include <libssh2.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/wire.h"
#include "common/crypto/key.h"
#include "proxy/probe/dial.h"
#include "proxy/ssh/transport.h"

enum { PREFERENCE_MAX = 512 };

/*
 * The host key algorithms that are asked for, by type of key. Only plain keys: libssh2 names
 * certificates too, but does not check their signature.
 */
static const struct {
    const char *type;
    const char *algorithms;
} host_keys[PROBE_KEYS_MAX] = {
    {"ssh-ed25519", "ssh-ed25519"},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
    {"ssh-rsa", "rsa-sha2-512,rsa-sha2-256"},
};

/* --- orders and results --- */

void probe_order_init(struct probe_order *order)
{
    *order = (struct probe_order){0};
    buf_init(&order->host_key, PROBE_HOST_KEY_MAX);
    for (size_t i = 0; i < PROBE_CERTIFICATES_MAX; i++)
        buf_init(&order->certificates[i], 64 * 1024);
}

void probe_order_fini(struct probe_order *order)
{
    mem_free(order->id);
    mem_free(order->address);
    mem_free(order->login);
    for (size_t i = 0; i < order->host_key_type_count; i++)
        mem_free(order->host_key_types[i]);
    buf_fini(&order->host_key);
    secret_fini(&order->private_key);
    for (size_t i = 0; i < PROBE_CERTIFICATES_MAX; i++)
        buf_fini(&order->certificates[i]);
}

void probe_result_init(struct probe_result *result)
{
    *result = (struct probe_result){0};
    for (size_t i = 0; i < PROBE_KEYS_MAX; i++)
        buf_init(&result->host_keys[i], PROBE_HOST_KEY_MAX);
}

void probe_result_fini(struct probe_result *result)
{
    for (size_t i = 0; i < PROBE_KEYS_MAX; i++)
        buf_fini(&result->host_keys[i]);
}

void probe_step_add(struct probe_result *r, enum probe_name name, enum probe_fault fault,
                    uint64_t ms, struct view text)
{
    if (r->step_count == PROBE_STEPS_MAX)
        return;
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, PROBE_TEXT_MAX - 1);
    IGNORE(text_printable(view_take(text, PROBE_TEXT_MAX / 4), &clean), "cut to what fits");
    struct probe_step *step = &r->steps[r->step_count++];
    *step = (struct probe_step){.name = name, .fault = fault, .ms = (uint32_t)ms};
    if (clean.len)
        memcpy(step->text, buf_ptr(&clean), clean.len);
}

/* --- a session --- */

struct session {
    const struct probe_order *order;
    struct probe_result *result;
    LIBSSH2_SESSION *ssh;
    int fd;
    struct private_key key; /* LOGIN, as the next */
    const char *methods;    /* that the target offers; libssh2's */
    char methods_seen[PROBE_TEXT_MAX / 4];
    bool would_take; /* it has said so of the certificate whose turn it is */
};

static void *on_alloc(size_t count, void **abstract)
{
    (void)abstract;
    return mem_zalloc(count);
}

static void *on_realloc(void *ptr, size_t count, void **abstract)
{
    (void)abstract;
    return mem_realloc(ptr, count);
}

static void on_free(void *ptr, void **abstract)
{
    (void)abstract;
    mem_free(ptr);
}

/* Until libssh2 no longer says that it would block, or `at`: then LIBSSH2_ERROR_TIMEOUT. */
static int step(struct session *s, int (*fn)(struct session *), uint64_t at)
{
    for (;;) {
        int rc = fn(s);
        if (rc != LIBSSH2_ERROR_EAGAIN)
            return rc;
        bool out = libssh2_session_block_directions(s->ssh) & LIBSSH2_SESSION_BLOCK_OUTBOUND;
        if (!dial_wait(s->order, s->fd, out ? POLLIN | POLLOUT : POLLIN, at))
            return LIBSSH2_ERROR_TIMEOUT;
    }
}

static enum probe_fault fault_of(int rc)
{
    switch (rc) {
    case LIBSSH2_ERROR_NONE:
        return PROBE_FINE;
    case LIBSSH2_ERROR_TIMEOUT:
    case LIBSSH2_ERROR_SOCKET_TIMEOUT:
        return PROBE_TIMEOUT;
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_BANNER_RECV:
        return PROBE_ENDED;
    case LIBSSH2_ERROR_KEX_FAILURE:
    case LIBSSH2_ERROR_METHOD_NONE:
    case LIBSSH2_ERROR_METHOD_NOT_SUPPORTED:
        return PROBE_NO_ALGORITHM;
    default:
        return PROBE_OTHER;
    }
}

static struct view last_error(struct session *s)
{
    char *text = NULL;
    int len = 0;
    (void)libssh2_session_last_error(s->ssh, &text, &len, 0);
    return view_of(text, len > 0 ? (size_t)len : 0);
}

static void close_session(struct session *s)
{
    if (s->ssh) {
        /* Politely, but without waiting. */
        (void)libssh2_session_disconnect(s->ssh, "probe done");
        (void)libssh2_session_free(s->ssh);
    }
    if (s->fd >= 0)
        (void)close(s->fd);
    s->ssh = NULL;
    s->fd = -1;
}

static int do_handshake(struct session *s)
{
    return libssh2_session_handshake(s->ssh, s->fd);
}

static struct view host_key_of(struct session *s)
{
    size_t len = 0;
    int type;
    const char *key = libssh2_session_hostkey(s->ssh, &len, &type);
    return view_of(key, key ? len : 0);
}

static void say_methods(struct session *s, uint64_t ms)
{
    static const int kinds[] = {LIBSSH2_METHOD_KEX, LIBSSH2_METHOD_HOSTKEY, LIBSSH2_METHOD_CRYPT_CS,
                                LIBSSH2_METHOD_MAC_CS};
    AUTO(buf_fini) struct buf text;
    buf_init(&text, PROBE_TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *name = libssh2_session_methods(s->ssh, kinds[i]);
        if (name)
            IGNORE(buf_printf(&text, "%s%s", text.len ? ", " : "", name), "cut");
    }
    probe_step_add(s->result, PROBE_STEP_KEX, PROBE_FINE, ms, buf_view(&text));
}

/*
 * What the engine offers to targets and nothing else: a target that a probe gets on with and a
 * login does not would be a wrong answer. libssh2 leaves out what it does not know.
 */
static void prefer(struct session *s, const char *host_key_algorithms)
{
    const struct transport_algorithms *own = transport_profile(TRANSPORT_COMPAT, TRANSPORT_CLIENT);
    const struct {
        int method;
        const char *names;
    } rows[] = {
        {LIBSSH2_METHOD_KEX, own->kex},         {LIBSSH2_METHOD_HOSTKEY, host_key_algorithms},
        {LIBSSH2_METHOD_CRYPT_CS, own->cipher}, {LIBSSH2_METHOD_CRYPT_SC, own->cipher},
        {LIBSSH2_METHOD_MAC_CS, own->mac},      {LIBSSH2_METHOD_MAC_SC, own->mac},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK(libssh2_session_method_pref(s->ssh, rows[i].method, rows[i].names) == 0);
}

/*
 * Connects and exchanges keys. `quiet`: only the step that fails is added; with `may_lack` not even
 * that one when the target has no key of the kind.
 */
struct opening {
    const char *algorithms;
    bool quiet;
    bool may_lack;
};

static enum probe_fault open_session(struct session *s, struct opening how)
{
    s->ssh = NULL;
    s->fd = dial_ssh(s->order, how.quiet, s->result);
    if (s->fd < 0)
        return PROBE_OTHER;
    uint64_t from = dial_now();
    s->ssh = libssh2_session_init_ex(on_alloc, on_free, on_realloc, s);
    CHECK(s->ssh);
    libssh2_session_set_blocking(s->ssh, 0);
    prefer(s, how.algorithms);
    enum probe_fault fault = fault_of(step(s, do_handshake, from + PROBE_KEX_MS));
    if (fault == PROBE_FINE && !how.quiet)
        say_methods(s, dial_now() - from);
    if (fault != PROBE_FINE && !(how.may_lack && fault == PROBE_NO_ALGORITHM))
        probe_step_add(s->result, PROBE_STEP_KEX, fault, dial_now() - from, last_error(s));
    if (fault != PROBE_FINE)
        close_session(s);
    return fault;
}

static void keep_host_key(struct session *s)
{
    struct probe_result *r = s->result;
    if (r->host_key_count < PROBE_KEYS_MAX &&
        buf_append(&r->host_keys[r->host_key_count], host_key_of(s)) == OK)
        r->host_key_count++;
}

/* --- the kinds of probes --- */

/* The types that are on record first, as the engine does it. */
static void preferred(const struct probe_order *o, char out[PREFERENCE_MAX])
{
    size_t used = 0;
    out[0] = 0;
    for (int known = 1; known >= 0; known--) {
        for (size_t i = 0; i < PROBE_KEYS_MAX; i++) {
            bool is_known = false;
            for (size_t k = 0; k < o->host_key_type_count; k++)
                is_known |= strcmp(o->host_key_types[k], host_keys[i].type) == 0;
            if (is_known == (known == 1))
                used += (size_t)snprintf(out + used, PREFERENCE_MAX - used, "%s%s", used ? "," : "",
                                         host_keys[i].algorithms);
        }
    }
}

static void run_connect(struct session *s)
{
    char algorithms[PREFERENCE_MAX];
    preferred(s->order, algorithms);
    if (open_session(s, (struct opening){.algorithms = algorithms}) != PROBE_FINE)
        return;
    keep_host_key(s);
    close_session(s);
}

static void run_keys(struct session *s)
{
    for (size_t i = 0; i < PROBE_KEYS_MAX && !atomic_load(&s->order->cancelled); i++) {
        const struct opening how = {host_keys[i].algorithms, i > 0, true};
        enum probe_fault fault = open_session(s, how);
        if (fault == PROBE_FINE) {
            keep_host_key(s);
            close_session(s);
        } else if (fault != PROBE_NO_ALGORITHM) {
            return;
        }
    }
    if (s->result->host_key_count == 0)
        probe_step_add(s->result, PROBE_STEP_KEX, PROBE_NO_ALGORITHM, 0,
                       VIEW("no host key of a type that is supported"));
}

/* --- authentication --- */

static int on_sign(LIBSSH2_SESSION *ssh, unsigned char **sig, size_t *sig_len,
                   const unsigned char *data, size_t data_len, void **abstract)
{
    struct session *s = *abstract;
    (void)ssh;
    s->would_take = true;
    if (s->result->accepted_count > 0)
        return -1; /* that was the question; we have no private half to go on with */
    AUTO(buf_fini) struct buf blob;
    buf_init(&blob, PROBE_HOST_KEY_MAX);
    const char *name = key_alg_default(s->key.public.type)->name;
    if (private_key_sign(&s->key, view_str(name), view_of(data, data_len), &blob) != OK)
        return -1;
    /* libssh2 puts the name of the algorithm in front again. */
    struct reader r = reader_of(buf_view(&blob));
    (void)read_string(&r);
    struct view raw = read_string(&r);
    if (reader_done(&r) != OK)
        return -1;
    *sig = (unsigned char *)mem_strndup(raw.ptr, raw.len);
    *sig_len = raw.len;
    return 0;
}

static int do_list(struct session *s)
{
    const char *login = s->order->login;
    s->methods = libssh2_userauth_list(s->ssh, login, (unsigned)strlen(login));
    if (s->methods || libssh2_userauth_authenticated(s->ssh))
        return 0;
    return libssh2_session_last_errno(s->ssh);
}

static int do_login(struct session *s)
{
    const struct probe_order *o = s->order;
    void *self = s;
    struct view certificate = buf_view(&o->certificates[s->result->accepted_count]);
    return libssh2_userauth_publickey(s->ssh, o->login, certificate.ptr, certificate.len, on_sign,
                                      &self);
}

/* The key that was judged, and publickey among the methods. */
static enum probe_fault ready_to_login(struct session *s, uint64_t from)
{
    if (!view_eq(host_key_of(s), buf_view(&s->order->host_key)))
        return PROBE_WRONG_HOST_KEY;
    int rc = step(s, do_list, from + PROBE_LOGIN_MS);
    if (rc != 0)
        return fault_of(rc);
    if (s->methods)
        (void)snprintf(s->methods_seen, sizeof s->methods_seen, "%s", s->methods);
    if (s->methods && !view_list_has(view_str(s->methods), VIEW("publickey")))
        return PROBE_NO_PUBLICKEY;
    return PROBE_FINE;
}

/* With the certificate whose turn it is. */
static enum probe_fault offer(struct session *s)
{
    s->would_take = false;
    enum probe_fault fault = fault_of(step(s, do_login, dial_now() + PROBE_LOGIN_MS));
    if (s->would_take && s->result->accepted_count > 0)
        return PROBE_FINE;
    /* A refusal is told by the method's failure, or by closing after it. */
    if (fault == PROBE_OTHER || fault == PROBE_ENDED)
        return s->would_take ? PROBE_NOT_ALLOWED : PROBE_REJECTED;
    return fault;
}

/* One connection per certificate: a target may allow one failure only. */
static enum probe_fault try_one(struct session *s, const char *algorithms, uint64_t from)
{
    const struct opening how = {.algorithms = algorithms, .quiet = true};
    if (open_session(s, how) != PROBE_FINE)
        return PROBE_OTHER;
    enum probe_fault fault = ready_to_login(s, from);
    if (fault == PROBE_FINE && libssh2_userauth_authenticated(s->ssh)) {
        probe_step_add(s->result, PROBE_STEP_LOGIN, PROBE_OTHER, dial_now() - from,
                       VIEW("the target lets this login in without any authentication"));
        close_session(s);
        return PROBE_OTHER;
    }
    if (fault == PROBE_FINE)
        fault = offer(s);
    if (fault == PROBE_NOT_ALLOWED)
        probe_step_add(s->result, PROBE_STEP_LOGIN, fault, dial_now() - from,
                       view_str(s->order->login));
    else if (fault == PROBE_NO_PUBLICKEY)
        probe_step_add(s->result, PROBE_STEP_LOGIN, fault, dial_now() - from, view_str(s->methods));
    else if (fault != PROBE_FINE && fault != PROBE_REJECTED)
        probe_step_add(s->result, PROBE_STEP_LOGIN, fault, dial_now() - from, last_error(s));
    close_session(s);
    return fault;
}

static const char *algorithms_for(struct view host_key)
{
    struct reader r = reader_of(host_key);
    struct view type = read_string(&r);
    for (size_t i = 0; i < PROBE_KEYS_MAX; i++) {
        if (view_eq_str(type, host_keys[i].type))
            return host_keys[i].algorithms;
    }
    return "";
}

static void run_login(struct session *s)
{
    struct probe_result *r = s->result;
    const char *algorithms = algorithms_for(buf_view(&s->order->host_key));
    uint64_t from = dial_now();
    if (!*algorithms || private_key_parse(&s->key, secret_view(&s->order->private_key)) != OK) {
        s->key = (struct private_key){0};
        probe_step_add(r, PROBE_STEP_LOGIN, PROBE_OTHER, 0, VIEW("the probe is malformed"));
        return;
    }
    enum probe_fault fault = PROBE_REJECTED;
    while (r->accepted_count < s->order->certificate_count && fault == PROBE_REJECTED) {
        size_t steps = r->step_count;
        fault = try_one(s, algorithms, from);
        /* Something else than the certificate failed, and has been told. */
        if (r->step_count > steps)
            break;
        r->accepted[r->accepted_count++] = fault == PROBE_FINE;
    }
    if (fault == PROBE_FINE || fault == PROBE_REJECTED)
        probe_step_add(r, PROBE_STEP_LOGIN, fault, dial_now() - from,
                       s->methods_seen[0] ? view_str(s->methods_seen) : VIEW(""));
    private_key_fini(&s->key);
}

static void init_library(void)
{
    (void)libssh2_init(0);
}

void probe_run(const struct probe_order *order, struct probe_result *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static void (*const run[])(struct session *) = {
        [PROBE_CONNECT] = run_connect,
        [PROBE_KEYS] = run_keys,
        [PROBE_LOGIN] = run_login,
    };
    struct session s = {.order = order, .result = out, .fd = -1};
    (void)pthread_once(&once, init_library);
    run[order->kind](&s);
    close_session(&s);
}
