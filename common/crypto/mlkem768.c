#include "common/crypto/mlkem768.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/mem.h"

/* What the header wants from its includer: OpenSSH's log.h and crypto_api.h. */
#define fatal_f(text) check_failed(text, __FILE__, __LINE__)
#define crypto_kem_mlkem768_PUBLICKEYBYTES KEX_MLKEM768_PUBLIC_LEN
#include <libcrux_mlkem768_sha3.h>

void mlkem768_keypair(const struct rng *rng, uint8_t out_public[KEX_MLKEM768_PUBLIC_LEN],
                      uint8_t out_private[KEX_MLKEM768_PRIVATE_LEN])
{
    uint8_t seed[LIBCRUX_ML_KEM_KEY_PAIR_PRNG_LEN];
    rng_fill(rng, seed, sizeof seed);
    struct libcrux_mlkem768_keypair pair = libcrux_ml_kem_mlkem768_portable_generate_key_pair(seed);
    _Static_assert(sizeof pair.pk.value == KEX_MLKEM768_PUBLIC_LEN, "public key length");
    _Static_assert(sizeof pair.sk.value == KEX_MLKEM768_PRIVATE_LEN, "private key length");
    memcpy(out_public, pair.pk.value, sizeof pair.pk.value);
    memcpy(out_private, pair.sk.value, sizeof pair.sk.value);
    mem_wipe(&pair, sizeof pair);
    mem_wipe(seed, sizeof seed);
}

enum err mlkem768_encaps(const struct rng *rng, const uint8_t public_key[KEX_MLKEM768_PUBLIC_LEN],
                         uint8_t out_ciphertext[KEX_MLKEM768_CIPHERTEXT_LEN],
                         uint8_t out_shared[KEX_MLKEM768_SHARED_LEN])
{
    struct libcrux_mlkem768_pk pk;
    memcpy(pk.value, public_key, sizeof pk.value);
    if (!libcrux_ml_kem_mlkem768_portable_validate_public_key(&pk))
        return ERR_SYNTAX;
    uint8_t seed[LIBCRUX_ML_KEM_ENC_PRNG_LEN];
    rng_fill(rng, seed, sizeof seed);
    struct libcrux_mlkem768_enc_result r = libcrux_ml_kem_mlkem768_portable_encapsulate(&pk, seed);
    _Static_assert(sizeof r.fst.value == KEX_MLKEM768_CIPHERTEXT_LEN, "ciphertext length");
    _Static_assert(sizeof r.snd == KEX_MLKEM768_SHARED_LEN, "shared secret length");
    memcpy(out_ciphertext, r.fst.value, sizeof r.fst.value);
    memcpy(out_shared, r.snd, sizeof r.snd);
    mem_wipe(&r, sizeof r);
    mem_wipe(seed, sizeof seed);
    return OK;
}

void mlkem768_decaps(const uint8_t private_key[KEX_MLKEM768_PRIVATE_LEN],
                     const uint8_t ciphertext[KEX_MLKEM768_CIPHERTEXT_LEN],
                     uint8_t out_shared[KEX_MLKEM768_SHARED_LEN])
{
    struct libcrux_mlkem768_sk sk;
    struct libcrux_mlkem768_ciphertext ct;
    memcpy(sk.value, private_key, sizeof sk.value);
    memcpy(ct.value, ciphertext, sizeof ct.value);
    libcrux_ml_kem_mlkem768_portable_decapsulate(&sk, &ct, out_shared);
    mem_wipe(&sk, sizeof sk);
}
