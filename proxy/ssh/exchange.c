#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/crypto/cert.h"
#include "proxy/ssh/derive.h"
#include "proxy/ssh/engine.h"

enum {
    EARLY_KEXES_MAX = 3, /* a stranger's rekeys cost a signature each */
    SHARE_MAX = 4 + KEX_CLIENT_MAX + KEX_SERVER_MAX,
    REPLY_MAX = CERT_BLOB_MAX + KEX_SERVER_MAX + 2 * KEY_BLOB_MAX,
};

void exchange_free(struct transport *t)
{
    struct exchange *x = t->exchange;
    if (!x)
        return;
    buf_fini(&x->ours);
    buf_fini(&x->theirs);
    buf_fini(&x->host_key);
    mem_wipe(x, sizeof *x);
    mem_free(x);
    t->exchange = NULL;
}

bool exchange_waits(const struct transport *t)
{
    return t->exchange && (t->exchange->step == STEP_SIGN || t->exchange->step == STEP_VERDICT);
}

static bool is_first(const struct transport *t)
{
    return !t->is_ready;
}

void exchange_start(struct transport *t)
{
    struct exchange *x = mem_zalloc(sizeof *x);
    t->exchange = x;
    t->tx_blocked = true;
    x->step = STEP_SENT;
    buf_init(&x->ours, KEXINIT_MAX);
    buf_init(&x->theirs, KEXINIT_MAX);
    buf_init(&x->host_key, CERT_BLOB_MAX);
    uint8_t cookie[KEXINIT_COOKIE_LEN];
    rng_fill(&t->rng, cookie, sizeof cookie);
    if (kexinit_write(&x->ours, &t->lists, engine_is_server(t), is_first(t), cookie) != OK) {
        engine_fail(t, ERR_INTERNAL, "our algorithm lists are too long");
        return;
    }
    if (engine_seal(t, buf_view(&x->ours)) != OK)
        return; /* failed already */
}

/* How the peer's KEXINIT may come: once per exchange, and not too often before authentication. */
static bool may_begin(struct transport *t)
{
    if (t->exchange)
        return t->exchange->step == STEP_SENT;
    if (!t->is_authenticated && ++t->early_kexes > EARLY_KEXES_MAX)
        return false;
    exchange_start(t);
    return true;
}

/* The markers count in the first KEXINIT only; strict kex wants it to be the first packet. */
static bool read_markers(struct transport *t, const struct kexinit *theirs, uint32_t seq)
{
    bool peer_is_server = !engine_is_server(t);
    t->is_strict = kexinit_has_strict(theirs, peer_is_server);
    t->peer_wants_ext_info = kexinit_has_ext_info(theirs, peer_is_server);
    return !t->is_strict || seq == 0;
}

static void fail_negotiation(struct transport *t, const struct kexinit_mismatch *why)
{
    AUTO_FREE char *client = mem_strndup(why->client.ptr, why->client.len);
    AUTO_FREE char *server = mem_strndup(why->server.ptr, why->server.len);
    AUTO_FREE char *text =
        message_format(MESSAGE_SSH_NO_COMMON_ALGORITHM, why->what, client, server, NULL);
    transport_fail(t, ERR_NEGOTIATION, text);
}

static enum err send_share(struct transport *t, struct exchange *x)
{
    kex_client_init(&x->client, x->choice.kex, &t->rng);
    struct buf out;
    buf_init(&out, SHARE_MAX);
    struct writer w = writer_to(&out);
    write_u8(&w, MSG_KEX_ECDH_INIT);
    write_string(&w, kex_client_share(&x->client));
    enum err e = writer_done(&w);
    if (e == OK)
        e = engine_seal(t, buf_view(&out));
    buf_fini(&out);
    return e;
}

bool exchange_on_kexinit(struct transport *t, const struct packet *p, struct transport_event *out)
{
    (void)out;
    /* CVE-2016-8858: one exchange at a time, however often KEXINIT is repeated. */
    if (!may_begin(t)) {
        engine_fail(t, ERR_PROTOCOL, "unexpected KEXINIT");
        return false;
    }
    if (t->is_ended)
        return false;
    struct exchange *x = t->exchange;
    struct view payload = view_of(p->payload, p->len);
    struct kexinit theirs;
    if (kexinit_parse(payload, &theirs) != OK || buf_append(&x->theirs, payload) != OK) {
        engine_fail(t, ERR_SYNTAX, "malformed KEXINIT");
        return false;
    }
    if (is_first(t) && !read_markers(t, &theirs, p->seq)) {
        engine_fail(t, ERR_PROTOCOL, "strict key exchange: KEXINIT was not the first packet");
        return false;
    }
    struct kexinit_mismatch why = {.what = "", .client = VIEW(""), .server = VIEW("")};
    if (kexinit_negotiate(&t->lists, &theirs, engine_is_server(t), &x->choice, &why) != OK) {
        fail_negotiation(t, &why);
        return false;
    }
    x->skip_next = kexinit_is_wrong_guess(&t->lists, &theirs);
    x->step = STEP_SHARE;
    if (engine_is_server(t)) {
        ptrdiff_t key = algorithms_key_find(t->keys, t->key_count, x->choice.host_key,
                                            x->choice.host_key_is_cert);
        x->key_index = (size_t)key; /* the list was made of the keys */
    } else if (send_share(t, x) != OK && !t->is_ended) {
        engine_fail(t, ERR_INTERNAL, "our key share is too long");
    }
    return false;
}

/* H, and on the first exchange the session id: RFC 4253 §7.2. */
static void compute_hash(struct transport *t, struct view host_key, struct view client_share,
                         struct view server_share)
{
    struct exchange *x = t->exchange;
    bool server = engine_is_server(t);
    struct view ours = buf_view(&x->ours);
    struct view theirs = buf_view(&x->theirs);
    struct derive_hash in = {
        .client_ident = view_str(server ? t->peer_ident : t->ident),
        .server_ident = view_str(server ? t->ident : t->peer_ident),
        .client_kexinit = server ? theirs : ours,
        .server_kexinit = server ? ours : theirs,
        .host_key = host_key,
        .client_share = client_share,
        .server_share = server_share,
        .secret = kex_secret_view(&x->secret),
    };
    enum digest_alg alg = kex_info(x->choice.kex)->hash;
    derive_hash(alg, &in, x->hash);
    x->hash_len = digest_len(alg);
    buf_fini(&x->ours);
    if (t->session_id_len == 0) {
        memcpy(t->session_id, x->hash, x->hash_len);
        t->session_id_len = x->hash_len;
    }
}

static bool on_init(struct transport *t, const struct packet *p, struct transport_event *out)
{
    struct exchange *x = t->exchange;
    struct reader r = reader_of(view_of(p->payload + 1, p->len - 1));
    struct view share = read_string(&r);
    if (reader_done(&r) != OK ||
        kex_server_answer(x->choice.kex, share, &t->rng, &x->answer) != OK) {
        engine_fail(t, ERR_PROTOCOL, "malformed key share");
        return false;
    }
    x->secret = x->answer.secret;
    const struct algorithms_key *key = &t->keys[x->key_index];
    compute_hash(t, view_of(key->blob, key->len), share,
                 view_of(x->answer.share, x->answer.share_len));
    x->step = STEP_SIGN;
    *out = (struct transport_event){
        .type = TRANSPORT_KEX_SIGN,
        .kex_sign = {.key_index = x->key_index,
                     .algorithm = x->choice.host_key->name,
                     .hash = view_of(x->hash, x->hash_len)},
    };
    return true;
}

/* The signature over H by the key in the blob, with exactly the negotiated algorithm. */
static enum err verify(const struct exchange *x, struct view blob, struct view signature)
{
    AUTO(cert_fini) struct cert cert = {0};
    AUTO(public_key_fini) struct public_key plain = {0};
    const struct public_key *key = &plain;
    if (x->choice.host_key_is_cert) {
        TRY(cert_parse(&cert, blob));
        key = &cert.key;
    } else {
        TRY(public_key_parse(&plain, blob));
    }
    if (key->type != x->choice.host_key->type)
        return ERR_MISMATCH;
    return public_key_verify(key, view_str(x->choice.host_key->name), view_of(x->hash, x->hash_len),
                             signature);
}

static void send_newkeys(struct transport *t);

static bool on_reply(struct transport *t, const struct packet *p, struct transport_event *out)
{
    struct exchange *x = t->exchange;
    struct reader r = reader_of(view_of(p->payload + 1, p->len - 1));
    struct view blob = read_string_max(&r, CERT_BLOB_MAX);
    struct view share = read_string(&r);
    struct view signature = read_string_max(&r, 2 * KEY_BLOB_MAX);
    if (reader_done(&r) != OK || kex_client_finish(&x->client, share, &x->secret) != OK ||
        buf_append(&x->host_key, blob) != OK) {
        engine_fail(t, ERR_PROTOCOL, "malformed KEX_ECDH_REPLY");
        return false;
    }
    compute_hash(t, blob, kex_client_share(&x->client), share);
    if (verify(x, blob, signature) != OK) {
        engine_fail(t, ERR_VERIFY, "the host key's signature does not verify");
        return false;
    }
    if (!is_first(t) && view_eq(blob, buf_view(&t->host_key))) {
        send_newkeys(t);
        return false;
    }
    x->step = STEP_VERDICT;
    *out = (struct transport_event){
        .type = TRANSPORT_HOST_KEY,
        .host_key = {.blob = buf_view(&x->host_key),
                     .algorithm = x->choice.host_key_is_cert ? x->choice.host_key->cert_name
                                                             : x->choice.host_key->name,
                     .is_certificate = x->choice.host_key_is_cert,
                     .is_rekey = !is_first(t)},
    };
    return true;
}

bool exchange_on_share(struct transport *t, const struct packet *p, struct transport_event *out)
{
    if (!t->exchange || t->exchange->step != STEP_SHARE) {
        engine_fail(t, ERR_PROTOCOL, "unexpected %s", msg_name(p->payload[0]));
        return false;
    }
    return engine_is_server(t) ? on_init(t, p, out) : on_reply(t, p, out);
}

static void send_ext_info(struct transport *t)
{
    if (!engine_is_server(t) || !is_first(t) || !t->peer_wants_ext_info)
        return;
    struct buf out;
    buf_init(&out, 4096);
    const char *algs = t->algorithms->server_sig_algs;
    struct writer w = writer_to(&out);
    write_u8(&w, MSG_EXT_INFO);
    write_u32(&w, algs ? 2 : 1);
    if (algs) {
        write_cstring(&w, "server-sig-algs");
        write_cstring(&w, algs);
    }
    write_cstring(&w, "ping@openssh.com");
    write_cstring(&w, "0");
    if (writer_done(&w) == OK)
        IGNORE(engine_seal(t, buf_view(&out)), "a failure has ended the transport");
    else
        engine_fail(t, ERR_INTERNAL, "our EXT_INFO is too long");
    buf_fini(&out);
}

/* The keys of one direction; dir 0 is client to server. */
static void make_keys(const struct transport *t, int dir, struct cipher_keys *out)
{
    const struct exchange *x = t->exchange;
    struct derive_keys d = {
        .alg = kex_info(x->choice.kex)->hash,
        .secret = kex_secret_view(&x->secret),
        .hash = view_of(x->hash, x->hash_len),
        .session_id = view_of(t->session_id, t->session_id_len),
    };
    *out = (struct cipher_keys){.alg = x->choice.cipher[dir], .mac = x->choice.mac[dir]};
    derive_keys(&d, dir == 0, out);
}

static void send_newkeys(struct transport *t)
{
    static const uint8_t newkeys = MSG_NEWKEYS;
    struct exchange *x = t->exchange;
    if (engine_seal(t, view_of(&newkeys, 1)) != OK)
        return;
    struct cipher_keys keys;
    make_keys(t, engine_is_server(t) ? 1 : 0, &keys);
    make_keys(t, engine_is_server(t) ? 0 : 1, &x->next_in);
    enum err e = packet_rekey(&t->tx, &keys, t->is_strict);
    mem_wipe(&keys, sizeof keys);
    /* What could make these keys again goes at once: the peer's NEWKEYS may never come. */
    kex_client_fini(&x->client);
    kex_secret_fini(&x->secret);
    kex_secret_fini(&x->answer.secret);
    if (e != OK) {
        engine_fail(t, ERR_INTERNAL, "the new keys cannot be used");
        return;
    }
    x->step = STEP_NEWKEYS;
    t->tx_blocked = false;
    send_ext_info(t);
    engine_release_held(t);
}

static enum err send_reply(struct transport *t, struct view signature)
{
    struct exchange *x = t->exchange;
    const struct algorithms_key *key = &t->keys[x->key_index];
    struct buf out;
    buf_init(&out, REPLY_MAX);
    struct writer w = writer_to(&out);
    write_u8(&w, MSG_KEX_ECDH_REPLY);
    write_string(&w, view_of(key->blob, key->len));
    write_string(&w, view_of(x->answer.share, x->answer.share_len));
    write_string(&w, signature);
    enum err e = writer_done(&w);
    if (e == OK)
        e = engine_seal(t, buf_view(&out));
    buf_fini(&out);
    return e;
}

enum err transport_signed(struct transport *t, struct view signature)
{
    if (t->is_ended)
        return ERR_CLOSED;
    if (!t->exchange || t->exchange->step != STEP_SIGN)
        return ERR_STATE;
    struct reader r = reader_of(signature);
    struct view name = read_string(&r);
    (void)read_string(&r);
    bool is_good = signature.len <= KEY_BLOB_MAX && reader_done(&r) == OK &&
                   view_eq_str(name, t->exchange->choice.host_key->name);
    if (!is_good) {
        engine_fail(t, ERR_INTERNAL, "the host key signer gave another signature");
        return ERR_INTERNAL;
    }
    TRY(send_reply(t, signature));
    send_newkeys(t);
    return OK;
}

enum err transport_host_key_accept(struct transport *t)
{
    if (t->is_ended)
        return ERR_CLOSED;
    if (!t->exchange || t->exchange->step != STEP_VERDICT)
        return ERR_STATE;
    struct exchange *x = t->exchange;
    buf_fini(&t->host_key);
    t->host_key = x->host_key;
    buf_init(&x->host_key, CERT_BLOB_MAX);
    send_newkeys(t);
    return OK;
}

enum err transport_host_key_refuse(struct transport *t, const char *text)
{
    if (t->is_ended)
        return ERR_CLOSED;
    if (!t->exchange || t->exchange->step != STEP_VERDICT)
        return ERR_STATE;
    transport_fail(t, ERR_MISMATCH, text);
    return OK;
}

bool exchange_on_newkeys(struct transport *t, const struct packet *p, struct transport_event *out)
{
    struct exchange *x = t->exchange;
    if (!x || x->step != STEP_NEWKEYS || p->len != 1) {
        engine_fail(t, ERR_PROTOCOL, "unexpected NEWKEYS");
        return false;
    }
    if (packet_rekey(&t->rx, &x->next_in, t->is_strict) != OK) {
        engine_fail(t, ERR_INTERNAL, "the new keys cannot be used");
        return false;
    }
    bool first = is_first(t);
    engine_set_negotiated(t, &x->choice);
    exchange_free(t);
    t->is_ready = true;
    if (first) {
        t->ext_info_now = true;
        t->deadline = UINT64_MAX;
    }
    *out = (struct transport_event){
        .type = TRANSPORT_READY,
        .ready = {.is_first = first,
                  .session_id = view_of(t->session_id, t->session_id_len),
                  .negotiated = &t->negotiated},
    };
    return true;
}
