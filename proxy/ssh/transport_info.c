/* What a transport knows, and the small commands about it. */
#include "common/base/mem.h"
#include "proxy/ssh/engine.h"

enum err transport_authenticated(struct transport *t)
{
    if (t->is_ended)
        return ERR_CLOSED;
    if (!t->is_ready)
        return ERR_STATE;
    t->is_authenticated = true;
    engine_check_rekey(t);
    return OK;
}

bool transport_is_authenticated(const struct transport *t)
{
    return t->is_authenticated;
}

bool transport_ended(const struct transport *t)
{
    return t->is_ended;
}

enum transport_role transport_role(const struct transport *t)
{
    return t->role;
}

struct view transport_session_id(const struct transport *t)
{
    return view_of(t->session_id, t->session_id_len);
}

struct view transport_peer_ident(const struct transport *t)
{
    return view_str(t->peer_ident);
}

struct view transport_host_key(const struct transport *t)
{
    return buf_view(&t->host_key);
}

const struct transport_negotiated *transport_negotiated(const struct transport *t)
{
    return t->is_ready ? &t->negotiated : NULL;
}

const struct msg_ext_info *transport_peer_ext(const struct transport *t)
{
    return &t->peer_ext;
}

bool transport_peer_wants_ext_info(const struct transport *t)
{
    return t->peer_wants_ext_info;
}

void engine_set_negotiated(struct transport *t, const struct kexinit_choice *c)
{
    int in = engine_is_server(t) ? 0 : 1;
    int out = 1 - in;
    t->negotiated = (struct transport_negotiated){
        .kex = kex_info(c->kex)->name,
        .host_key = c->host_key_is_cert ? c->host_key->cert_name : c->host_key->name,
        .cipher_in = cipher_info(c->cipher[in])->name,
        .cipher_out = cipher_info(c->cipher[out])->name,
        .mac_in = cipher_info(c->cipher[in])->needs_mac ? cipher_mac_info(c->mac[in])->name : "",
        .mac_out = cipher_info(c->cipher[out])->needs_mac ? cipher_mac_info(c->mac[out])->name : "",
        .strict = t->is_strict,
    };
}

void engine_keep_ext_info(struct transport *t, const struct msg_ext_info *info)
{
    struct view algs = info->server_sig_algs;
    t->peer_ext.has_ping = info->has_ping || t->peer_ext.has_ping;
    t->peer_ext.has_hostbound = info->has_hostbound || t->peer_ext.has_hostbound;
    t->peer_ext.has_in_auth = info->has_in_auth || t->peer_ext.has_in_auth;
    if (!algs.ptr)
        return;
    mem_free(t->peer_sig_algs);
    t->peer_sig_algs = mem_strndup(algs.ptr, algs.len);
    t->peer_ext.server_sig_algs = view_str(t->peer_sig_algs);
}

enum err transport_hostkeys_prove(const struct transport *t, struct view key_blob, struct buf *out)
{
    struct writer w = writer_to(out);
    write_cstring(&w, "hostkeys-prove-00@openssh.com");
    write_string(&w, transport_session_id(t));
    write_string(&w, key_blob);
    return writer_done(&w);
}
