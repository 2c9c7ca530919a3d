/* A ticket as it comes, and what one that we sealed may hold. */
#include <stdint.h>

#include "authenticate/ticket.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW UINT64_C(1700000000000)

static void open_sealed(const struct secret *shared, struct view plain)
{
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 1);
    const struct secret none = {0};
    AUTO(secret_fini) struct secret key = {0};
    AUTO(ticket_fini) struct ticket t = {0};
    AUTO(buf_fini) struct buf sealed, text;
    buf_init(&sealed, 2 * TICKET_TEXT_MAX);
    buf_init(&text, 4 * TICKET_TEXT_MAX);
    seal_derive_key(shared, VIEW("postern callback ticket 1"), &key);
    if (seal(&key, VIEW("https://a"), plain, &rng, &sealed) != OK ||
        text_base64url(buf_view(&sealed), &text) != OK)
        return;
    if (ticket_open(buf_view(&text), shared, &none, VIEW("https://a"), NOW, &t) == OK)
        CHECK(t.token && t.redirect_uri && t.csrf);
    CHECK(ticket_open(buf_view(&text), shared, &none, VIEW("https://b"), NOW, &t) != OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct secret none = {0};
    AUTO(secret_fini) struct secret shared = {0};
    AUTO(ticket_fini) struct ticket t = {0};
    secret_set(&shared, VIEW("0123456789abcdef0123456789abcdef"));
    CHECK(ticket_open(view_of(data, size), &shared, &none, VIEW("https://a"), NOW, &t) != OK);
    open_sealed(&shared, view_of(data, size));
    return 0;
}
