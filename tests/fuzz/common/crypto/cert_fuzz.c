/* A certificate blob; what parses is verified and asked for everything. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cert c;
    struct view text;
    AUTO(buf_fini) struct buf line;
    buf_init(&line, 4 * CERT_BLOB_MAX);
    if (cert_parse(&c, view_of(data, size)) != OK)
        return 0;
    CHECK(c.principals_len <= CERT_PRINCIPALS_MAX && c.critical_len <= CERT_OPTIONS_MAX &&
          c.extensions_len <= CERT_OPTIONS_MAX && c.key_id.len <= CERT_KEY_ID_MAX);
    CHECK(view_starts_with(view_of(data, size), c.signed_part));
    for (size_t i = 0; i < c.critical_len; i++)
        IGNORE(cert_option_text(&c.critical[i], &text), "raw data is allowed");
    for (size_t i = 0; i < c.principals_len; i++)
        IGNORE(cert_check(&c, c.kind, c.principals[i], c.valid_after, NULL), "any answer");
    (void)cert_find_extension(&c, "permit-pty");
    IGNORE(cert_verify(&c), "any answer will do");
    CHECK(cert_write_line(view_of(data, size), "x", &line) == OK);
    cert_fini(&c);
    return 0;
}
