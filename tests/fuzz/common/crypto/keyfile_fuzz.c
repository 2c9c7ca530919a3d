/*
 * A private key text, or a byte 0 to 3 and the binary that goes into a PEM block of that kind. What
 * parses can sign and is written and read back.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const labels[] = {"OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY",
                                     "PRIVATE KEY"};

static void wrap(struct view input, struct buf *out)
{
    buf_init(out, 4 * input.len + 256);
    if (input.len == 0 || input.ptr[0] >= ARRAY_LEN(labels)) {
        CHECK(buf_append(out, input) == OK);
        return;
    }
    const char *label = labels[input.ptr[0]];
    CHECK(buf_printf(out, "-----BEGIN %s-----\n", label) == OK);
    CHECK(text_base64(view_skip(input, 1), out) == OK);
    CHECK(buf_printf(out, "\n-----END %s-----\n", label) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rng_test state;
    struct rng rng = rng_test(&state, 1);
    AUTO(private_key_fini) struct private_key k = {0}, again = {0};
    AUTO(buf_fini) struct buf input, sig, text;
    wrap(view_of(data, size), &input);
    buf_init(&sig, KEY_BLOB_MAX);
    buf_init(&text, KEY_FILE_MAX);
    if (private_key_parse(&k, buf_view(&input)) != OK)
        return 0;
    struct view algorithm = view_str(key_alg_default(k.public.type)->name);
    /* A key whose halves differ in a way that the checks allow may fail, but not verify wrongly. */
    if (private_key_sign(&k, algorithm, VIEW("data"), &sig) == OK)
        CHECK(public_key_verify(&k.public, algorithm, VIEW("data"), buf_view(&sig)) == OK);
    CHECK(private_key_write_openssh(&k, "again", &rng, &text) == OK);
    CHECK(private_key_parse(&again, buf_view(&text)) == OK);
    CHECK(public_key_equal(&k.public, &again.public));
    return 0;
}
