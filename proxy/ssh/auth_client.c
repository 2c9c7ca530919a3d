#include "proxy/ssh/auth_client.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/cert.h"
#include "common/crypto/key.h"
#include "common/crypto/rng.h"
#include "proxy/ssh/auth_msg.h"
#include "proxy/ssh/msg.h"

enum {
    AUTH_CLIENT_LOGIN_MAX = 512,
    AUTH_CLIENT_LIST_MAX = 4096,
    AUTH_CLIENT_OUT_MAX = 32768,
};

void auth_client_init(struct auth_client *a, const struct auth_client_config *config,
                      struct view session_id)
{
    *a = (struct auth_client){.out = config->out,
                              .rng = config->rng,
                              .deadline = config->deadline,
                              .first = config->first,
                              .first_is_known = config->first_is_known};
    buf_init(&a->login, AUTH_CLIENT_LOGIN_MAX);
    IGNORE(buf_append(&a->login, view_take(config->login, AUTH_CLIENT_LOGIN_MAX)), "fits");
    buf_init(&a->session_id, session_id.len);
    CHECK(buf_append(&a->session_id, session_id) == OK);
    buf_init(&a->sig_algs, AUTH_CLIENT_LIST_MAX);
    buf_init(&a->banner, AUTH_CLIENT_BANNER_MAX);
    buf_init(&a->text, AUTH_CLIENT_TEXT_MAX);
}

/* One signature is all that the key is for. */
static void drop_key(struct auth_client *a)
{
    if (a->key)
        private_key_fini(a->key);
    mem_free(a->key);
    a->key = NULL;
}

void auth_client_fini(struct auth_client *a)
{
    drop_key(a);
    buf_fini(&a->login);
    buf_fini(&a->session_id);
    buf_fini(&a->sig_algs);
    buf_fini(&a->banner);
    buf_fini(&a->text);
}

static bool is_over(const struct auth_client *a)
{
    return a->phase >= AUTH_CLIENT_PHASE_DONE;
}

static void fail(struct auth_client *a, enum auth_client_failure failure, struct view text)
{
    if (is_over(a))
        return;
    a->phase = AUTH_CLIENT_PHASE_FAILED;
    a->failure = failure;
    a->failed_pending = true;
    a->need_key_pending = false;
    a->certify_pending = false;
    buf_clear(&a->text);
    IGNORE(buf_append(&a->text, view_take(text, AUTH_CLIENT_TEXT_MAX)), "fits");
}

static void sent(struct auth_client *a, enum err e)
{
    if (e != OK)
        fail(a, AUTH_CLIENT_PROTOCOL, view_str(err_text(e)));
}

void auth_client_start(struct auth_client *a)
{
    CHECK(a->phase == AUTH_CLIENT_PHASE_IDLE);
    a->phase = AUTH_CLIENT_PHASE_SERVICE;
    sent(a, auth_msg_service(&a->out, MSG_SERVICE_REQUEST, VIEW("ssh-userauth")));
}

void auth_client_sig_algs(struct auth_client *a, struct view list)
{
    if (a->phase >= AUTH_CLIENT_PHASE_KEY || a->sig_algs.len)
        return;
    IGNORE(buf_append(&a->sig_algs, view_take(list, AUTH_CLIENT_LIST_MAX)), "fits");
}

/*
 * The order of tries: what is quickly made first; then what targets with rules of their own are
 * most likely to take, for some allow three tries only.
 */
static const char *const order[AUTH_CLIENT_TRIES_MAX] = {
    "ssh-ed25519",         "ecdsa-sha2-nistp256", "rsa-sha2-512",
    "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-256",
};

static bool is_open(const struct auth_client *a, size_t place)
{
    const struct key_alg *alg = key_alg_find(view_str(order[place]), NULL);
    struct view list = buf_view(&a->sig_algs);
    if (a->tried >> place & 1)
        return false;
    /* RFC 8308 §3.1: without the extension nothing is known. */
    return !list.len || view_list_has(list, view_str(alg->name)) ||
           view_list_has(list, view_str(alg->cert_name));
}

/*
 * The place of what to try next, in a circle from where the first one is; ARRAY_LEN(order) when
 * nothing is left.
 */
static size_t next_place(const struct auth_client *a)
{
    size_t start = 0;
    for (size_t i = 0; a->first && i < ARRAY_LEN(order); i++) {
        if (strcmp(order[i], a->first->name) == 0)
            start = i;
    }
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        size_t place = (start + i) % ARRAY_LEN(order);
        if (is_open(a, place))
            return place;
    }
    return ARRAY_LEN(order);
}

static void adopt_key(struct auth_client *a)
{
    a->phase = AUTH_CLIENT_PHASE_CERTIFICATE;
    a->certify_pending = true;
}

/* `place` is within the order. */
static void begin_try(struct auth_client *a, size_t place)
{
    a->alg = key_alg_find(view_str(order[place]), NULL);
    a->tried |= 1U << place;
    if (a->tries++ == 0)
        a->began = a->alg;
    if (a->alg->type == KEY_RSA) {
        a->phase = AUTH_CLIENT_PHASE_KEY;
        a->need_key_pending = true;
        return;
    }
    a->key = mem_zalloc(sizeof *a->key);
    enum err e = private_key_generate(a->key, a->alg->type, &a->rng);
    if (e != OK)
        fail(a, AUTH_CLIENT_KEY, view_str(err_text(e)));
    else
        adopt_key(a);
}

void auth_client_key(struct auth_client *a, struct private_key *key)
{
    if (a->phase != AUTH_CLIENT_PHASE_KEY || key->public.type != a->alg->type) {
        private_key_fini(key);
        return;
    }
    a->need_key_pending = false;
    a->key = mem_zalloc(sizeof *a->key);
    *a->key = *key;
    *key = (struct private_key){0};
    adopt_key(a);
}

static void begin(struct auth_client *a)
{
    size_t place = next_place(a);
    if (place < ARRAY_LEN(order))
        begin_try(a, place);
    else
        fail(a, AUTH_CLIENT_KEY, buf_view(&a->sig_algs));
}

static void on_accept(struct auth_client *a, struct view payload)
{
    struct reader r = reader_of(view_skip(payload, 1));
    struct view service = read_string(&r);
    /* Some servers leave the name out, which RFC 4253 §10 does not allow but harms nobody. */
    bool named = reader_ok(&r) == OK;
    if (a->phase != AUTH_CLIENT_PHASE_SERVICE ||
        (named ? !view_eq_str(service, "ssh-userauth") : payload.len != 1))
        fail(a, AUTH_CLIENT_SERVICE, service);
    else
        begin(a);
}

/* The view of the last event has ended. */
static void drop_shown_banner(struct auth_client *a)
{
    if (a->banner_shown)
        buf_clear(&a->banner);
    a->banner_shown = false;
}

static void on_banner(struct auth_client *a, struct view payload)
{
    struct reader r = reader_of(view_skip(payload, 1));
    struct view text = read_string(&r);
    if (reader_ok(&r) != OK) {
        fail(a, AUTH_CLIENT_PROTOCOL, view_str(msg_name(MSG_USERAUTH_BANNER)));
        return;
    }
    drop_shown_banner(a);
    size_t room = AUTH_CLIENT_BANNER_MAX - a->banner_total;
    text = view_take(text, room);
    a->banner_total += text.len;
    IGNORE(buf_append(&a->banner, text), "its maximum is the total's");
}

static bool has_refused_known(const struct auth_client *a)
{
    return a->tries == 1 && a->first_is_known && a->alg == a->first;
}

static void on_failure(struct auth_client *a, struct view payload)
{
    struct reader r = reader_of(view_skip(payload, 1));
    struct view methods = read_string(&r);
    bool partial = read_bool(&r);
    size_t place = next_place(a);
    if (reader_done(&r) != OK || a->phase != AUTH_CLIENT_PHASE_REQUESTED)
        fail(a, AUTH_CLIENT_PROTOCOL, view_str(msg_name(MSG_USERAUTH_FAILURE)));
    else if (partial)
        fail(a, AUTH_CLIENT_PARTIAL, methods);
    else if (view_list_has(methods, VIEW("publickey")) && !has_refused_known(a) &&
             place < ARRAY_LEN(order))
        begin_try(a, place);
    else
        fail(a, AUTH_CLIENT_REFUSED, methods);
}

static void on_success(struct auth_client *a, struct view payload)
{
    if (a->phase != AUTH_CLIENT_PHASE_REQUESTED || payload.len != 1) {
        fail(a, AUTH_CLIENT_PROTOCOL, view_str(msg_name(MSG_USERAUTH_SUCCESS)));
        return;
    }
    a->phase = AUTH_CLIENT_PHASE_DONE;
    a->success_pending = true;
}

typedef void (*message_fn)(struct auth_client *a, struct view payload);

static const struct {
    uint8_t type;
    message_fn handle;
} handlers[] = {
    {MSG_SERVICE_ACCEPT, on_accept},
    {MSG_USERAUTH_BANNER, on_banner},
    {MSG_USERAUTH_FAILURE, on_failure},
    {MSG_USERAUTH_SUCCESS, on_success},
};

/* What a server may not send during our authentication: RFC 4252 §6. */
static bool is_illegal(uint8_t type)
{
    return type == MSG_SERVICE_REQUEST || type == MSG_USERAUTH_REQUEST ||
           (type >= 60 && type <= 127);
}

enum err auth_client_feed(struct auth_client *a, struct view payload)
{
    uint8_t type = payload.len ? payload.ptr[0] : 0;
    if (a->phase == AUTH_CLIENT_PHASE_FAILED)
        return OK;
    if (a->phase == AUTH_CLIENT_PHASE_DONE)
        return ERR_UNSUPPORTED;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (handlers[i].type == type) {
            handlers[i].handle(a, payload);
            return OK;
        }
    }
    if (!is_illegal(type))
        return ERR_UNSUPPORTED;
    fail(a, AUTH_CLIENT_PROTOCOL, view_str(msg_name(type)));
    return OK;
}

bool auth_client_next(struct auth_client *a, struct auth_client_event *out)
{
    drop_shown_banner(a);
    if (a->banner.len) {
        a->banner_shown = true;
        *out = (struct auth_client_event){.type = AUTH_CLIENT_BANNER, .text = buf_view(&a->banner)};
        return true;
    }
    if (a->need_key_pending) {
        a->need_key_pending = false;
        *out = (struct auth_client_event){.type = AUTH_CLIENT_NEED_KEY};
        return true;
    }
    if (a->certify_pending) {
        a->certify_pending = false;
        *out = (struct auth_client_event){.type = AUTH_CLIENT_CERTIFY,
                                          .public_key = public_key_blob(&a->key->public)};
        return true;
    }
    if (a->success_pending) {
        a->success_pending = false;
        *out = (struct auth_client_event){.type = AUTH_CLIENT_SUCCESS};
        return true;
    }
    if (a->failed_pending) {
        a->failed_pending = false;
        *out = (struct auth_client_event){
            .type = AUTH_CLIENT_FAILED, .failure = a->failure, .text = buf_view(&a->text)};
        return true;
    }
    return false;
}

/* The certificate has to be over our key, else the target would refuse it without saying so. */
static enum err check_certificate(const struct auth_client *a, struct view certificate)
{
    AUTO(cert_fini) struct cert c = {0};
    TRY(cert_parse(&c, certificate));
    if (c.kind != CERT_USER || !public_key_equal(&c.key, &a->key->public))
        return ERR_MISMATCH;
    return OK;
}

static enum err send_request(struct auth_client *a, struct view certificate)
{
    AUTO(buf_fini) struct buf request;
    AUTO(buf_fini) struct buf data;
    AUTO(buf_fini) struct buf signature;
    buf_init(&request, CERT_BLOB_MAX + AUTH_CLIENT_OUT_MAX);
    buf_init(&data, CERT_BLOB_MAX + AUTH_CLIENT_OUT_MAX);
    buf_init(&signature, KEY_BLOB_MAX);
    TRY(auth_msg_publickey(&request, buf_view(&a->login), view_str(a->alg->cert_name),
                           certificate));
    struct writer w = writer_to(&data);
    write_string(&w, buf_view(&a->session_id));
    write_bytes(&w, buf_view(&request));
    TRY(writer_done(&w));
    TRY(private_key_sign(a->key, view_str(a->alg->cert_name), buf_view(&data), &signature));
    w = writer_to(&request);
    write_string(&w, buf_view(&signature));
    TRY(writer_done(&w));
    return sink_send(&a->out, buf_view(&request));
}

void auth_client_certificate(struct auth_client *a, struct view certificate)
{
    if (a->phase != AUTH_CLIENT_PHASE_CERTIFICATE)
        return;
    enum err e = check_certificate(a, certificate);
    if (e == OK)
        e = send_request(a, certificate);
    if (e != OK)
        fail(a, AUTH_CLIENT_KEY, view_str(err_text(e)));
    else
        a->phase = AUTH_CLIENT_PHASE_REQUESTED;
    a->certify_pending = false;
    drop_key(a);
}

uint64_t auth_client_deadline(const struct auth_client *a)
{
    return is_over(a) || !a->deadline ? UINT64_MAX : a->deadline;
}

void auth_client_tick(struct auth_client *a, uint64_t now)
{
    if (now >= auth_client_deadline(a))
        fail(a, a->phase == AUTH_CLIENT_PHASE_KEY ? AUTH_CLIENT_KEY_TIMEOUT : AUTH_CLIENT_TIMEOUT,
             VIEW(""));
}

bool auth_client_ended(struct auth_client *a)
{
    if (a->tries < 2 || is_over(a))
        return false;
    fail(a, AUTH_CLIENT_REFUSED, VIEW(""));
    return true;
}

const struct key_alg *auth_client_hint(const struct auth_client *a, bool *out_is_known)
{
    *out_is_known = a->phase == AUTH_CLIENT_PHASE_DONE;
    if (*out_is_known)
        return a->alg;
    if (a->phase != AUTH_CLIENT_PHASE_FAILED || a->failure != AUTH_CLIENT_REFUSED)
        return NULL;
    size_t place = next_place(a);
    return has_refused_known(a) || place == ARRAY_LEN(order)
               ? a->began
               : key_alg_find(view_str(order[place]), NULL);
}
