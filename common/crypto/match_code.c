#include "common/crypto/match_code.h"

#include "common/crypto/digest.h"

static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";

enum {
    LETTERS = sizeof letters - 1,
    EVEN = 256 / LETTERS * LETTERS, /* bytes from here on would favour the first letters */
    LETTERS_WANTED = 8,
};

void match_code(struct view code, char out[MATCH_CODE_SIZE])
{
    size_t n = 0;
    for (uint8_t round = 0; n < LETTERS_WANTED; round++) {
        struct digest d;
        uint8_t hash[DIGEST_SHA256_LEN];
        digest_init(&d, DIGEST_SHA256);
        digest_update(&d, VIEW("postern match code 1"));
        digest_update(&d, view_of(&round, 1));
        digest_update(&d, code);
        digest_final(&d, hash);
        for (size_t i = 0; i < sizeof hash && n < LETTERS_WANTED; i++) {
            if (hash[i] < EVEN) {
                out[n + n / 4] = letters[hash[i] % LETTERS];
                n++;
            }
        }
    }
    out[4] = '-';
    out[MATCH_CODE_SIZE - 1] = '\0';
}
