#include "authenticate/challenge.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

char *challenge_of(struct view verifier)
{
    uint8_t hash[DIGEST_SHA256_LEN];
    AUTO(buf_fini) struct buf text;
    buf_init(&text, CHALLENGE_LEN);
    digest(DIGEST_SHA256, verifier, hash);
    IGNORE(text_base64url(view_of(hash, sizeof hash), &text), "43 bytes");
    return buf_to_str(&text);
}

bool challenge_is_valid(struct view challenge)
{
    AUTO(buf_fini) struct buf digest;
    buf_init(&digest, DIGEST_SHA256_LEN);
    return challenge.len == CHALLENGE_LEN && text_unbase64url(challenge, &digest) == OK;
}

char *challenge_key(struct view challenge)
{
    return mem_printf("cli-SHA256:%.*s", VIEW_FMT(challenge));
}

char *challenge_key_of_verifier(struct view verifier)
{
    if (verifier.len < CHALLENGE_VERIFIER_MIN || verifier.len > CHALLENGE_VERIFIER_MAX)
        return NULL;
    AUTO_FREE char *challenge = challenge_of(verifier);
    return challenge_key(view_str(challenge));
}
