#include "common/crypto/cipher.h"

#include <openssl/aead.h>
#include <openssl/aes.h>
#include <openssl/chacha.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/poly1305.h>
#include <openssl/sha.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"

enum { AEAD_TAG_LEN = 16, GCM_IV_LEN = 12, LENGTH_LEN = 4 };

static const struct cipher_info infos[CIPHER_ALG_COUNT] = {
    [CIPHER_NONE] = {"none", 0, 0, 8, 0, false},
    [CIPHER_CHACHA20_POLY1305] = {"chacha20-poly1305@openssh.com", 64, 0, 8, AEAD_TAG_LEN, false},
    [CIPHER_AES128_GCM] = {"aes128-gcm@openssh.com", 16, GCM_IV_LEN, 16, AEAD_TAG_LEN, false},
    [CIPHER_AES256_GCM] = {"aes256-gcm@openssh.com", 32, GCM_IV_LEN, 16, AEAD_TAG_LEN, false},
    [CIPHER_AES128_CTR] = {"aes128-ctr", 16, 16, 16, 0, true},
    [CIPHER_AES192_CTR] = {"aes192-ctr", 24, 16, 16, 0, true},
    [CIPHER_AES256_CTR] = {"aes256-ctr", 32, 16, 16, 0, true},
};

static const struct cipher_mac_info mac_infos[CIPHER_MAC_COUNT] = {
    [CIPHER_MAC_NONE] = {"none", 0, 0},
    [CIPHER_MAC_SHA256_ETM] = {"hmac-sha2-256-etm@openssh.com", 32, 32},
    [CIPHER_MAC_SHA512_ETM] = {"hmac-sha2-512-etm@openssh.com", 64, 64},
};

union sha_state {
    SHA256_CTX sha256;
    SHA512_CTX sha512;
};

/* HMAC with both key blocks absorbed beforehand. */
struct ctr_state {
    AES_KEY aes;
    union sha_state inner;
    union sha_state outer;
};

struct cipher_state {
    union {
        EVP_AEAD_CTX gcm;
        struct ctr_state ctr;
    };
};

const struct cipher_info *cipher_info(enum cipher_alg alg)
{
    CHECK((unsigned)alg < CIPHER_ALG_COUNT);
    return &infos[alg];
}

const struct cipher_mac_info *cipher_mac_info(enum cipher_mac mac)
{
    CHECK((unsigned)mac < CIPHER_MAC_COUNT);
    return &mac_infos[mac];
}

enum err cipher_find(struct view name, enum cipher_alg *out_alg)
{
    for (unsigned i = CIPHER_NONE + 1; i < CIPHER_ALG_COUNT; i++) {
        if (view_eq_str(name, infos[i].name)) {
            *out_alg = (enum cipher_alg)i;
            return OK;
        }
    }
    return ERR_UNSUPPORTED;
}

enum err cipher_mac_find(struct view name, enum cipher_mac *out_mac)
{
    for (unsigned i = CIPHER_MAC_NONE + 1; i < CIPHER_MAC_COUNT; i++) {
        if (view_eq_str(name, mac_infos[i].name)) {
            *out_mac = (enum cipher_mac)i;
            return OK;
        }
    }
    return ERR_UNSUPPORTED;
}

static void sha_start(union sha_state *s, enum cipher_mac mac, const uint8_t *key, uint8_t pad)
{
    uint8_t block[SHA512_CBLOCK];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < mac_infos[mac].key_len; i++)
        block[i] ^= key[i];
    if (mac == CIPHER_MAC_SHA256_ETM) {
        SHA256_Init(&s->sha256);
        SHA256_Update(&s->sha256, block, SHA256_CBLOCK);
    } else {
        SHA512_Init(&s->sha512);
        SHA512_Update(&s->sha512, block, SHA512_CBLOCK);
    }
    mem_wipe(block, sizeof block);
}

static struct cipher_state *state_new(const struct cipher_keys *k)
{
    const struct cipher_info *info = &infos[k->alg];
    if (k->alg == CIPHER_NONE || k->alg == CIPHER_CHACHA20_POLY1305)
        return NULL;
    struct cipher_state *s = mem_zalloc(sizeof *s);
    if (!info->needs_mac) {
        const EVP_AEAD *aead =
            k->alg == CIPHER_AES128_GCM ? EVP_aead_aes_128_gcm() : EVP_aead_aes_256_gcm();
        CHECK(EVP_AEAD_CTX_init(&s->gcm, aead, k->key, info->key_len, AEAD_TAG_LEN, NULL) == 1);
        return s;
    }
    CHECK(AES_set_encrypt_key(k->key, (unsigned)info->key_len * 8, &s->ctr.aes) == 0);
    sha_start(&s->ctr.inner, k->mac, k->mac_key, 0x36);
    sha_start(&s->ctr.outer, k->mac, k->mac_key, 0x5c);
    return s;
}

enum err cipher_init(struct cipher *c, const struct cipher_keys *keys)
{
    if ((unsigned)keys->alg >= CIPHER_ALG_COUNT || (unsigned)keys->mac >= CIPHER_MAC_COUNT ||
        infos[keys->alg].needs_mac != (keys->mac != CIPHER_MAC_NONE))
        return ERR_STATE;
    struct cipher_keys copy = *keys;
    cipher_fini(c);
    c->keys = copy;
    c->state = state_new(&copy);
    mem_wipe(&copy, sizeof copy);
    return OK;
}

void cipher_fini(struct cipher *c)
{
    if (c->state) {
        /* EVP_AEAD_CTX_cleanup would only wipe the same bytes: AES-GCM allocates nothing. */
        mem_wipe(c->state, sizeof *c->state);
        mem_free(c->state);
    }
    mem_wipe(c, sizeof *c);
}

size_t cipher_block_len(const struct cipher *c)
{
    return infos[c->keys.alg].block_len;
}

size_t cipher_tag_len(const struct cipher *c)
{
    return infos[c->keys.alg].tag_len + mac_infos[c->keys.mac].tag_len;
}

/* PROTOCOL.chacha20poly1305: the sequence number as 8 bytes is the nonce. */
static void chacha_nonce(uint32_t seq, uint8_t out[12])
{
    memset(out, 0, 8);
    store_u32(out + 8, seq);
}

/* K_2, the packet's key, comes first and K_1, the length's, second. */
static void chacha_crypt_length(const struct cipher *c, const uint8_t nonce[12],
                                const uint8_t in[LENGTH_LEN], uint8_t out[LENGTH_LEN])
{
    CRYPTO_chacha_20(out, in, LENGTH_LEN, c->keys.key + 32, nonce, 0);
}

static void chacha_tag(const struct cipher *c, const uint8_t nonce[12], const uint8_t *packet,
                       size_t len, uint8_t out[AEAD_TAG_LEN])
{
    uint8_t poly_key[32] = {0};
    poly1305_state poly;
    CRYPTO_chacha_20(poly_key, poly_key, sizeof poly_key, c->keys.key, nonce, 0);
    CRYPTO_poly1305_init(&poly, poly_key);
    CRYPTO_poly1305_update(&poly, packet, len);
    CRYPTO_poly1305_finish(&poly, out);
    mem_wipe(poly_key, sizeof poly_key);
}

static enum err chacha_open(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    uint8_t nonce[12];
    uint8_t tag[AEAD_TAG_LEN];
    uint8_t *body = packet + LENGTH_LEN;
    chacha_nonce(seq, nonce);
    chacha_tag(c, nonce, packet, LENGTH_LEN + body_len, tag);
    if (CRYPTO_memcmp(tag, body + body_len, sizeof tag) != 0)
        return ERR_VERIFY;
    chacha_crypt_length(c, nonce, packet, packet);
    CRYPTO_chacha_20(body, body, body_len, c->keys.key, nonce, 1);
    return OK;
}

static void chacha_seal(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    uint8_t nonce[12];
    uint8_t *body = packet + LENGTH_LEN;
    chacha_nonce(seq, nonce);
    chacha_crypt_length(c, nonce, packet, packet);
    CRYPTO_chacha_20(body, body, body_len, c->keys.key, nonce, 1);
    chacha_tag(c, nonce, packet, LENGTH_LEN + body_len, body + body_len);
}

/* RFC 5647 §7.1: a fixed field of 4 bytes and a counter of 8 that counts packets. */
static void gcm_advance(struct cipher *c)
{
    store_u64(c->keys.iv + 4, load_u64(c->keys.iv + 4) + 1);
}

static enum err gcm_open(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    (void)seq;
    uint8_t *body = packet + LENGTH_LEN;
    size_t len = 0;
    if (!EVP_AEAD_CTX_open(&c->state->gcm, body, &len, body_len + AEAD_TAG_LEN, c->keys.iv,
                           GCM_IV_LEN, body, body_len + AEAD_TAG_LEN, packet, LENGTH_LEN)) {
        ERR_clear_error();
        return ERR_VERIFY;
    }
    gcm_advance(c);
    return OK;
}

static void gcm_seal(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    (void)seq;
    uint8_t *body = packet + LENGTH_LEN;
    size_t len = 0;
    CHECK(EVP_AEAD_CTX_seal(&c->state->gcm, body, &len, body_len + AEAD_TAG_LEN, c->keys.iv,
                            GCM_IV_LEN, body, body_len, packet, LENGTH_LEN) == 1);
    gcm_advance(c);
}

/* RFC 4253 §6.4 over length and ciphertext (encrypt-then-MAC). */
static void etm_tag(const struct cipher *c, uint32_t seq, const uint8_t *packet, size_t len,
                    uint8_t out[CIPHER_TAG_MAX])
{
    uint8_t number[4];
    union sha_state inner = c->state->ctr.inner;
    union sha_state outer = c->state->ctr.outer;
    store_u32(number, seq);
    if (c->keys.mac == CIPHER_MAC_SHA256_ETM) {
        SHA256_Update(&inner.sha256, number, sizeof number);
        SHA256_Update(&inner.sha256, packet, len);
        SHA256_Final(out, &inner.sha256);
        SHA256_Update(&outer.sha256, out, SHA256_DIGEST_LENGTH);
        SHA256_Final(out, &outer.sha256);
    } else {
        SHA512_Update(&inner.sha512, number, sizeof number);
        SHA512_Update(&inner.sha512, packet, len);
        SHA512_Final(out, &inner.sha512);
        SHA512_Update(&outer.sha512, out, SHA512_DIGEST_LENGTH);
        SHA512_Final(out, &outer.sha512);
    }
}

/* Leaves the next counter block in keys.iv: a body is whole blocks, so nothing is left over. */
static void ctr_crypt(struct cipher *c, uint8_t *body, size_t body_len)
{
    uint8_t spare[AES_BLOCK_SIZE];
    unsigned used = 0;
    AES_ctr128_encrypt(body, body, body_len, &c->state->ctr.aes, c->keys.iv, spare, &used);
}

static enum err ctr_open(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    uint8_t tag[CIPHER_TAG_MAX];
    uint8_t *body = packet + LENGTH_LEN;
    etm_tag(c, seq, packet, LENGTH_LEN + body_len, tag);
    if (CRYPTO_memcmp(tag, body + body_len, mac_infos[c->keys.mac].tag_len) != 0)
        return ERR_VERIFY;
    ctr_crypt(c, body, body_len);
    return OK;
}

static void ctr_seal(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    uint8_t tag[CIPHER_TAG_MAX];
    uint8_t *body = packet + LENGTH_LEN;
    ctr_crypt(c, body, body_len);
    etm_tag(c, seq, packet, LENGTH_LEN + body_len, tag);
    memcpy(body + body_len, tag, mac_infos[c->keys.mac].tag_len);
}

static enum err none_open(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    (void)c, (void)seq, (void)packet, (void)body_len;
    return OK;
}

static void none_seal(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    (void)c, (void)seq, (void)packet, (void)body_len;
}

typedef enum err (*cipher_open_fn)(struct cipher *c, uint32_t seq, uint8_t *packet,
                                   size_t body_len);
typedef void (*cipher_seal_fn)(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len);

static const struct {
    cipher_open_fn open;
    cipher_seal_fn seal;
} verbs[CIPHER_ALG_COUNT] = {
    [CIPHER_NONE] = {none_open, none_seal},
    [CIPHER_CHACHA20_POLY1305] = {chacha_open, chacha_seal},
    [CIPHER_AES128_GCM] = {gcm_open, gcm_seal},
    [CIPHER_AES256_GCM] = {gcm_open, gcm_seal},
    [CIPHER_AES128_CTR] = {ctr_open, ctr_seal},
    [CIPHER_AES192_CTR] = {ctr_open, ctr_seal},
    [CIPHER_AES256_CTR] = {ctr_open, ctr_seal},
};

uint32_t cipher_length(const struct cipher *c, uint32_t seq, const uint8_t in[4])
{
    uint8_t nonce[12];
    uint8_t plain[LENGTH_LEN];
    if (c->keys.alg != CIPHER_CHACHA20_POLY1305)
        return load_u32(in);
    chacha_nonce(seq, nonce);
    chacha_crypt_length(c, nonce, in, plain);
    return load_u32(plain);
}

static bool is_aligned(const struct cipher *c, size_t body_len)
{
    size_t outside = c->keys.alg == CIPHER_NONE ? LENGTH_LEN : 0;
    return body_len <= UINT32_MAX && (outside + body_len) % cipher_block_len(c) == 0;
}

enum err cipher_open(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    if (!is_aligned(c, body_len))
        return ERR_PROTOCOL;
    return verbs[c->keys.alg].open(c, seq, packet, body_len);
}

void cipher_seal(struct cipher *c, uint32_t seq, uint8_t *packet, size_t body_len)
{
    CHECK(is_aligned(c, body_len));
    store_u32(packet, (uint32_t)body_len);
    verbs[c->keys.alg].seal(c, seq, packet, body_len);
}

void cipher_export(const struct cipher *c, struct cipher_keys *out)
{
    *out = c->keys;
}
