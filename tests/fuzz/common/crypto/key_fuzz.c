/* string key blob | string algorithm | signature blob; and the whole as a .pub line. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct public_key *k)
{
    struct public_key again;
    char fingerprint[KEY_FINGERPRINT_MAX];
    AUTO(buf_fini) struct buf line;
    buf_init(&line, 16384);
    public_key_fingerprint(k, fingerprint);
    CHECK(public_key_bits(k) >= 256 && public_key_bits(k) <= KEY_RSA_BITS_MAX);
    CHECK(public_key_write_line(k, "comment", &line) == OK);
    CHECK(public_key_parse_line(&again, buf_view(&line), NULL) == OK);
    CHECK(public_key_equal(k, &again));
    public_key_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct public_key k;
    struct reader r = reader_of(view_of(data, size));
    struct view blob = read_string(&r);
    struct view algorithm = read_string(&r);
    struct view signature = read_rest(&r);
    if (public_key_parse(&k, blob) == OK) {
        use(&k);
        IGNORE(public_key_verify(&k, algorithm, VIEW("data"), signature), "any answer will do");
        public_key_fini(&k);
    }
    if (public_key_parse_line(&k, view_of(data, size), NULL) == OK) {
        use(&k);
        public_key_fini(&k);
    }
    return 0;
}
