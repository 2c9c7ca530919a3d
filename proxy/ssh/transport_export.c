/*
 * The versioned encoding of a transport between key exchanges. Algorithms go by name, so that a
 * later build with other numbers reads it.
 *
 *   u32 magic, u16 version
 *   u8 role, bool authenticated, strict, peer wants ext-info, EXT_INFO may come next
 *   u8 EXT_INFOs seen, u8 early key exchanges
 *   string our ident, peer ident, session id, kex name, host key algorithm name
 *   twice, receiving then sending: string cipher, MAC, key, IV, MAC key; u32 seq; u64 bytes,
 * packets string accepted host key, bool and string server-sig-algs, bool ping, hostbound, in-auth
 *   string unread input, string unsent output
 */
#include "common/base/mem.h"
#include "proxy/ssh/engine.h"

enum {
    EXPORT_MAGIC = 0x50535458,
    EXPORT_VERSION = 1,
};

static void write_dir(struct writer *w, const struct packet_dir *d)
{
    struct cipher_keys k;
    cipher_export(&d->cipher, &k);
    const struct cipher_info *cipher = cipher_info(k.alg);
    const struct cipher_mac_info *mac = cipher_mac_info(k.mac);
    write_cstring(w, cipher->name);
    write_cstring(w, cipher->needs_mac ? mac->name : "");
    write_string(w, view_of(k.key, cipher->key_len));
    write_string(w, view_of(k.iv, cipher->iv_len));
    write_string(w, view_of(k.mac_key, mac->key_len));
    write_u32(w, d->seq);
    write_u64(w, d->bytes);
    write_u64(w, d->packets);
    mem_wipe(&k, sizeof k);
}

static void write_peer(struct writer *w, const struct transport *t)
{
    write_string(w, buf_view(&t->host_key));
    write_bool(w, t->peer_ext.server_sig_algs.ptr != NULL);
    write_string(w, t->peer_ext.server_sig_algs);
    write_bool(w, t->peer_ext.has_ping);
    write_bool(w, t->peer_ext.has_hostbound);
    write_bool(w, t->peer_ext.has_in_auth);
}

enum err transport_export(struct transport *t, struct buf *out)
{
    engine_release(t);
    if (t->is_ended)
        return ERR_CLOSED;
    if (!t->is_ready || t->exchange)
        return ERR_BUSY;
    struct writer w = writer_to(out);
    write_u32(&w, EXPORT_MAGIC);
    write_u16(&w, EXPORT_VERSION);
    write_u8(&w, (uint8_t)t->role);
    write_bool(&w, t->is_authenticated);
    write_bool(&w, t->is_strict);
    write_bool(&w, t->peer_wants_ext_info);
    write_bool(&w, t->ext_info_now);
    write_u8(&w, t->ext_infos);
    write_u8(&w, t->early_kexes);
    write_cstring(&w, t->ident);
    write_cstring(&w, t->peer_ident);
    write_string(&w, transport_session_id(t));
    write_cstring(&w, t->negotiated.kex);
    write_cstring(&w, t->negotiated.host_key);
    write_dir(&w, &t->rx);
    write_dir(&w, &t->tx);
    write_peer(&w, t);
    write_string(&w, buf_view(&t->input));
    write_string(&w, buf_view(&t->output));
    return writer_done(&w);
}

/* A string of exactly `len` bytes, else the reader fails. */
static void read_exactly(struct reader *r, uint8_t *out, size_t len)
{
    struct view v = read_string(r);
    if (v.len != len)
        reader_fail(r);
    else if (len)
        memcpy(out, v.ptr, len);
}

static enum err read_dir(struct reader *r, struct packet_dir *d)
{
    struct cipher_keys k = {0};
    struct view cipher_name = read_string(r);
    struct view mac_name = read_string(r);
    TRY(reader_ok(r));
    if (cipher_find(cipher_name, &k.alg) != OK)
        return ERR_DAMAGED;
    const struct cipher_info *cipher = cipher_info(k.alg);
    bool has_mac = mac_name.len != 0;
    if (has_mac != cipher->needs_mac || (has_mac && cipher_mac_find(mac_name, &k.mac) != OK))
        return ERR_DAMAGED;
    read_exactly(r, k.key, cipher->key_len);
    read_exactly(r, k.iv, cipher->iv_len);
    read_exactly(r, k.mac_key, cipher_mac_info(k.mac)->key_len);
    uint32_t seq = read_u32(r);
    uint64_t bytes = read_u64(r);
    uint64_t packets = read_u64(r);
    enum err e = r->failed ? ERR_DAMAGED : packet_rekey(d, &k, true);
    mem_wipe(&k, sizeof k);
    d->seq = seq;
    d->bytes = bytes;
    d->packets = packets;
    return e;
}

static void read_peer(struct reader *r, struct transport *t)
{
    struct view blob = read_string(r);
    if (buf_append(&t->host_key, blob) != OK)
        reader_fail(r);
    struct msg_ext_info info = {0};
    bool has_algs = read_bool(r);
    struct view algs = read_string(r);
    if (has_algs)
        info.server_sig_algs = algs;
    info.has_ping = read_bool(r);
    info.has_hostbound = read_bool(r);
    info.has_in_auth = read_bool(r);
    if (!r->failed)
        engine_keep_ext_info(t, &info);
}

static enum err read_names(struct reader *r, struct transport *t)
{
    struct kexinit_choice c = {0};
    struct view kex = read_string(r);
    struct view host_key = read_string(r);
    TRY(reader_ok(r));
    c.host_key = key_alg_find(host_key, &c.host_key_is_cert);
    if (kex_find(kex, &c.kex) != OK || !c.host_key)
        return ERR_DAMAGED;
    TRY(read_dir(r, &t->rx));
    TRY(read_dir(r, &t->tx));
    int in = engine_is_server(t) ? 0 : 1;
    c.cipher[in] = t->rx.cipher.keys.alg;
    c.mac[in] = t->rx.cipher.keys.mac;
    c.cipher[1 - in] = t->tx.cipher.keys.alg;
    c.mac[1 - in] = t->tx.cipher.keys.mac;
    engine_set_negotiated(t, &c);
    return OK;
}

static enum err read_body(struct reader *r, struct transport *t)
{
    bool is_role = read_u8(r) == (uint8_t)t->role;
    t->is_authenticated = read_bool(r);
    t->is_strict = read_bool(r);
    t->peer_wants_ext_info = read_bool(r);
    t->ext_info_now = read_bool(r);
    t->ext_infos = read_u8(r);
    t->early_kexes = read_u8(r);
    struct view ident = read_string_max(r, IDENT_MAX);
    struct view peer_ident = read_string_max(r, IDENT_MAX);
    struct view session_id = read_string_max(r, sizeof t->session_id);
    TRY(reader_ok(r));
    TRY(ident_check(true, ident));
    TRY(ident_check(true, peer_ident));
    if (!is_role || session_id.len == 0)
        return ERR_DAMAGED;
    mem_free(t->ident);
    t->ident = mem_strndup(ident.ptr, ident.len);
    t->peer_ident = mem_strndup(peer_ident.ptr, peer_ident.len);
    memcpy(t->session_id, session_id.ptr, session_id.len);
    t->session_id_len = session_id.len;
    TRY(read_names(r, t));
    read_peer(r, t);
    struct view input = read_string(r);
    struct view output = read_string(r);
    TRY(reader_done(r));
    TRY(buf_append(&t->input, input));
    return buf_append(&t->output, output);
}

enum err transport_import(const struct transport_config *c, struct view bytes,
                          struct transport **out)
{
    struct reader r = reader_of(bytes);
    uint32_t magic = read_u32(&r);
    uint16_t version = read_u16(&r);
    if (r.failed || magic != EXPORT_MAGIC || version != EXPORT_VERSION)
        return ERR_VERSION;
    struct transport *t = engine_new(c);
    if (read_body(&r, t) != OK) {
        transport_free(t);
        return ERR_DAMAGED;
    }
    t->is_ready = true;
    *out = t;
    return OK;
}
