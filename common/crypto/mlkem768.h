/* ML-KEM-768 (FIPS 203), libcrux's formally verified implementation out of OpenSSH's tarball. */
#ifndef COMMON_CRYPTO_MLKEM768_H
#define COMMON_CRYPTO_MLKEM768_H

#include "common/crypto/kex.h"

void mlkem768_keypair(const struct rng *rng, uint8_t out_public[KEX_MLKEM768_PUBLIC_LEN],
                      uint8_t out_private[KEX_MLKEM768_PRIVATE_LEN]);

/* ERR_SYNTAX: the public key fails the modulus check of FIPS 203 §7.2. */
enum err mlkem768_encaps(const struct rng *rng, const uint8_t public_key[KEX_MLKEM768_PUBLIC_LEN],
                         uint8_t out_ciphertext[KEX_MLKEM768_CIPHERTEXT_LEN],
                         uint8_t out_shared[KEX_MLKEM768_SHARED_LEN]);

/* Never fails: a wrong ciphertext gives a secret that the peer does not have. */
void mlkem768_decaps(const uint8_t private_key[KEX_MLKEM768_PRIVATE_LEN],
                     const uint8_t ciphertext[KEX_MLKEM768_CIPHERTEXT_LEN],
                     uint8_t out_shared[KEX_MLKEM768_SHARED_LEN]);

#endif
