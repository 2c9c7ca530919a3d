#include "proxy/ssh/derive.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"

static void hash_string(struct digest *d, struct view v)
{
    uint8_t len[4];
    store_u32(len, (uint32_t)v.len);
    digest_update(d, view_of(len, sizeof len));
    digest_update(d, v);
}

void derive_hash(enum digest_alg alg, const struct derive_hash *in, uint8_t *out)
{
    struct digest d;
    digest_init(&d, alg);
    hash_string(&d, in->client_ident);
    hash_string(&d, in->server_ident);
    hash_string(&d, in->client_kexinit);
    hash_string(&d, in->server_kexinit);
    hash_string(&d, in->host_key);
    hash_string(&d, in->client_share);
    hash_string(&d, in->server_share);
    digest_update(&d, in->secret);
    digest_final(&d, out);
}

/* RFC 4253 §7.2: K1 = HASH(K || H || X || session_id), K2 = HASH(K || H || K1), … */
static void expand(const struct derive_keys *in, char letter, uint8_t *out, size_t len)
{
    uint8_t made[DIGEST_MAX * 2];
    size_t step = digest_len(in->alg);
    size_t have = 0;
    while (have < len) {
        CHECK(have + step <= sizeof made);
        struct digest d;
        digest_init(&d, in->alg);
        digest_update(&d, in->secret);
        digest_update(&d, in->hash);
        if (have == 0) {
            digest_update(&d, view_of(&letter, 1));
            digest_update(&d, in->session_id);
        } else {
            digest_update(&d, view_of(made, have));
        }
        digest_final(&d, made + have);
        have += step;
    }
    memcpy(out, made, len);
    mem_wipe(made, sizeof made);
}

void derive_keys(const struct derive_keys *d, bool is_client_to_server, struct cipher_keys *out)
{
    const char *letters = is_client_to_server ? "ACE" : "BDF";
    const struct cipher_info *cipher = cipher_info(out->alg);
    expand(d, letters[0], out->iv, cipher->iv_len);
    expand(d, letters[1], out->key, cipher->key_len);
    expand(d, letters[2], out->mac_key, cipher_mac_info(out->mac)->key_len);
}
