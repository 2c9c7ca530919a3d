#include "proxy/ssh/kexinit.h"

#include "common/base/check.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"

static const char strict_client[] = "kex-strict-c-v00@openssh.com";
static const char strict_server[] = "kex-strict-s-v00@openssh.com";
static const char ext_info_client[] = "ext-info-c";
static const char ext_info_server[] = "ext-info-s";

enum err kexinit_write(struct buf *out, const struct kexinit_lists *ours, bool is_server,
                       bool is_first, const uint8_t cookie[KEXINIT_COOKIE_LEN])
{
    struct writer w = writer_to(out);
    write_u8(&w, MSG_KEXINIT);
    write_bytes(&w, view_of(cookie, KEXINIT_COOKIE_LEN));
    size_t mark = write_begin(&w);
    write_bytes(&w, view_str(ours->kex));
    if (is_first) {
        write_bytes(&w, VIEW(","));
        write_bytes(&w, view_str(is_server ? ext_info_server : ext_info_client));
        write_bytes(&w, VIEW(","));
        write_bytes(&w, view_str(is_server ? strict_server : strict_client));
    }
    write_end(&w, mark);
    write_cstring(&w, ours->host_key);
    const char *const pairs[] = {ours->cipher, ours->mac, "none", ""};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        write_cstring(&w, pairs[i]);
        write_cstring(&w, pairs[i]);
    }
    write_bool(&w, false);
    write_u32(&w, 0);
    return writer_done(&w);
}

static struct view read_list(struct reader *r)
{
    struct view v = read_string(r);
    size_t names = 1;
    for (size_t i = 0; i < v.len; i++)
        names += v.ptr[i] == ',';
    if (names > KEXINIT_NAMES_MAX || !msg_list_valid(v))
        reader_fail(r);
    return v;
}

enum err kexinit_parse(struct view payload, struct kexinit *out)
{
    if (payload.len > KEXINIT_MAX)
        return ERR_LIMIT;
    struct reader r = reader_of(payload);
    struct kexinit k = {0};
    if (read_u8(&r) != MSG_KEXINIT)
        return ERR_SYNTAX;
    (void)read_bytes(&r, KEXINIT_COOKIE_LEN);
    k.kex = read_list(&r);
    k.host_key = read_list(&r);
    struct view *const pairs[] = {k.cipher, k.mac, k.compression};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        pairs[i][0] = read_list(&r);
        pairs[i][1] = read_list(&r);
    }
    (void)read_string(&r); /* languages: RFC 4253 §7.1 lets us ignore them */
    (void)read_string(&r);
    k.first_follows = read_bool(&r);
    (void)read_u32(&r);
    TRY(reader_done(&r));
    *out = k;
    return OK;
}

bool kexinit_has_strict(const struct kexinit *theirs, bool peer_is_server)
{
    return view_list_has(theirs->kex, view_str(peer_is_server ? strict_server : strict_client));
}

bool kexinit_has_ext_info(const struct kexinit *theirs, bool peer_is_server)
{
    return view_list_has(theirs->kex, view_str(peer_is_server ? ext_info_server : ext_info_client));
}

static struct view first_of(struct view list)
{
    struct view name = {0};
    (void)view_next(&list, ',', &name);
    return name;
}

bool kexinit_is_wrong_guess(const struct kexinit_lists *ours, const struct kexinit *theirs)
{
    /* RFC 4253 §7: right only if both preferred kex and host key algorithms are the same. */
    return theirs->first_follows &&
           (!view_eq(first_of(view_str(ours->kex)), first_of(theirs->kex)) ||
            !view_eq(first_of(view_str(ours->host_key)), first_of(theirs->host_key)));
}

struct negotiation {
    bool is_server;
    struct kexinit_mismatch *why;
};

/* The client's first name that the server has too. */
static enum err pick(const struct negotiation *n, const char *what, struct view ours,
                     struct view theirs, struct view *out_name)
{
    struct view client = n->is_server ? theirs : ours;
    struct view server = n->is_server ? ours : theirs;
    if (msg_list_pick(client, server, out_name))
        return OK;
    *n->why = (struct kexinit_mismatch){.what = what, .client = client, .server = server};
    return ERR_NEGOTIATION;
}

static enum err pick_direction(const struct negotiation *n, const struct kexinit_lists *ours,
                               const struct kexinit *theirs, int dir, struct kexinit_choice *c)
{
    static const char *const ciphers[] = {"cipher, client to server", "cipher, server to client"};
    static const char *const macs[] = {"MAC, client to server", "MAC, server to client"};
    static const char *const compressions[] = {"compression, client to server",
                                               "compression, server to client"};
    struct view name;
    TRY(pick(n, ciphers[dir], view_str(ours->cipher), theirs->cipher[dir], &name));
    TRY(cipher_find(name, &c->cipher[dir]));
    /* RFC 5647 §5.1 and OpenSSH: the MAC list does not count where the cipher is an AEAD. */
    if (cipher_info(c->cipher[dir])->needs_mac) {
        TRY(pick(n, macs[dir], view_str(ours->mac), theirs->mac[dir], &name));
        TRY(cipher_mac_find(name, &c->mac[dir]));
    }
    return pick(n, compressions[dir], VIEW("none"), theirs->compression[dir], &name);
}

enum err kexinit_negotiate(const struct kexinit_lists *ours, const struct kexinit *theirs,
                           bool is_server, struct kexinit_choice *out,
                           struct kexinit_mismatch *out_why)
{
    struct negotiation n = {.is_server = is_server, .why = out_why};
    struct kexinit_choice c = {0};
    struct view name;
    TRY(pick(&n, "key exchange", view_str(ours->kex), theirs->kex, &name));
    TRY(kex_find(name, &c.kex));
    TRY(pick(&n, "host key", view_str(ours->host_key), theirs->host_key, &name));
    c.host_key = key_alg_find(name, &c.host_key_is_cert);
    if (!c.host_key)
        return ERR_INTERNAL;
    TRY(pick_direction(&n, ours, theirs, 0, &c));
    TRY(pick_direction(&n, ours, theirs, 1, &c));
    *out = c;
    return OK;
}
