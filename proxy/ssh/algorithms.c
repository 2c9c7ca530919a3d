#include "proxy/ssh/algorithms.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/cert.h"

#define CURVE25519 "curve25519-sha256,curve25519-sha256@libssh.org"
#define HOST_CERTS                                                                                 \
    "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,"                   \
    "ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,"           \
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com"
#define ECDSA "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
#define RSA "rsa-sha2-512,rsa-sha2-256"
#define CTR "aes128-ctr,aes192-ctr,aes256-ctr"
#define USER_KEYS                                                                                  \
    "ssh-ed25519,sk-ssh-ed25519@openssh.com," ECDSA ",sk-ecdsa-sha2-nistp256@openssh.com," RSA

static const struct transport_algorithms profiles[][2] = {
    [TRANSPORT_COMPAT] =
        {
            [TRANSPORT_SERVER] =
                {
                    .kex = "mlkem768x25519-sha256," CURVE25519,
                    .host_key = HOST_CERTS ",ssh-ed25519," ECDSA "," RSA,
                    .cipher = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,"
                              "aes256-gcm@openssh.com," CTR,
                    .mac = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com",
                    .server_sig_algs = USER_KEYS,
                },
            /* The client's order decides, and AES-GCM costs a third of chacha20 here. */
            [TRANSPORT_CLIENT] =
                {
                    .kex = "mlkem768x25519-sha256," CURVE25519,
                    .host_key = "ssh-ed25519," ECDSA "," RSA,
                    .cipher = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
                              "chacha20-poly1305@openssh.com," CTR,
                    .mac = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com",
                },
        },
    [TRANSPORT_STRICT] =
        {
            [TRANSPORT_SERVER] =
                {
                    .kex = "mlkem768x25519-sha256",
                    .host_key = "rsa-sha2-512-cert-v01@openssh.com,"
                                "rsa-sha2-256-cert-v01@openssh.com,"
                                "ssh-ed25519-cert-v01@openssh.com," RSA ",ssh-ed25519",
                    .cipher = "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes256-ctr,"
                              "aes192-ctr,aes128-gcm@openssh.com,aes128-ctr",
                    .mac = "hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com",
                    .server_sig_algs = USER_KEYS,
                },
            [TRANSPORT_CLIENT] =
                {
                    .kex = "mlkem768x25519-sha256",
                    .host_key = "ssh-ed25519," RSA,
                    .cipher = "aes256-gcm@openssh.com,aes128-gcm@openssh.com,"
                              "chacha20-poly1305@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr",
                    .mac = "hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com",
                },
        },
};

const struct transport_algorithms *transport_profile(enum transport_profile p,
                                                     enum transport_role role)
{
    return &profiles[p][role];
}

typedef bool (*known_fn)(struct view name);

static bool is_kex(struct view name)
{
    enum kex_method method;
    return kex_find(name, &method) == OK;
}

static bool is_cipher(struct view name)
{
    enum cipher_alg alg;
    return cipher_find(name, &alg) == OK;
}

static bool is_mac(struct view name)
{
    enum cipher_mac mac;
    return cipher_mac_find(name, &mac) == OK;
}

static bool is_host_key(struct view name)
{
    return key_alg_find(name, NULL) != NULL;
}

/* The names of `list` that `known` knows; fresh memory. */
static char *filter(const char *list, known_fn known)
{
    char *out = mem_zalloc(strlen(list) + 1);
    size_t len = 0;
    struct view rest = view_str(list);
    struct view name;
    while (view_next(&rest, ',', &name)) {
        if (!known(name))
            continue;
        if (len)
            out[len++] = ',';
        memcpy(out + len, name.ptr, name.len);
        len += name.len;
    }
    return out;
}

enum err transport_algorithms_check(const struct transport_algorithms *a)
{
    const struct {
        const char *list;
        known_fn known;
    } lists[] = {
        {a->kex, is_kex}, {a->host_key, is_host_key}, {a->cipher, is_cipher}, {a->mac, is_mac}};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        AUTO_FREE char *left = lists[i].list ? filter(lists[i].list, lists[i].known) : NULL;
        if (!left || !*left)
            return ERR_CONFIG;
    }
    return OK;
}

void algorithms_key_init(struct algorithms_key *k, struct view blob)
{
    struct reader r = reader_of(blob);
    struct view type = read_string(&r);
    *k = (struct algorithms_key){.blob = mem_zalloc(blob.len), .len = blob.len};
    if (blob.len)
        memcpy(k->blob, blob.ptr, blob.len);
    k->is_cert = cert_type_find(type, &k->type) == OK;
    k->is_usable = k->is_cert || key_type_find(type, &k->type) == OK;
}

void algorithms_key_fini(struct algorithms_key *k)
{
    mem_free(k->blob);
    *k = (struct algorithms_key){0};
}

ptrdiff_t algorithms_key_find(const struct algorithms_key *keys, size_t count,
                              const struct key_alg *alg, bool is_cert)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].is_usable && keys[i].is_cert == is_cert && keys[i].type == alg->type)
            return (ptrdiff_t)i;
    }
    return -1;
}

/* What the keys can do, in the order of `list`; fresh memory. */
static char *host_keys_of(const char *list, const struct algorithms_key *keys, size_t count)
{
    char *out = mem_zalloc(strlen(list) + 1);
    size_t len = 0;
    struct view rest = view_str(list);
    struct view name;
    while (view_next(&rest, ',', &name)) {
        bool is_cert;
        const struct key_alg *alg = key_alg_find(name, &is_cert);
        if (!alg || algorithms_key_find(keys, count, alg, is_cert) < 0)
            continue;
        if (len)
            out[len++] = ',';
        memcpy(out + len, name.ptr, name.len);
        len += name.len;
    }
    return out;
}

void algorithms_lists(const struct transport_config *c, const struct algorithms_key *keys,
                      size_t count, struct kexinit_lists *out)
{
    const struct transport_algorithms *a = c->algorithms;
    bool is_override = c->role == TRANSPORT_CLIENT && c->host_key_algorithms;
    const char *host_key = is_override ? c->host_key_algorithms : a->host_key;
    *out = (struct kexinit_lists){
        .kex = filter(a->kex, is_kex),
        .host_key = c->role == TRANSPORT_SERVER ? host_keys_of(host_key, keys, count)
                                                : filter(host_key, is_host_key),
        .cipher = filter(a->cipher, is_cipher),
        .mac = filter(a->mac, is_mac),
    };
}

void algorithms_lists_fini(struct kexinit_lists *l)
{
    mem_free(l->kex);
    mem_free(l->host_key);
    mem_free(l->cipher);
    mem_free(l->mac);
    *l = (struct kexinit_lists){0};
}
