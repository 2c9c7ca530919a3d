/* The export encoding: what is taken exports to the same bytes, and can be used. Byte 0: role. */
#include "common/base/check.h"
#include "proxy/ssh/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct transport *t)
{
    struct transport_event ev;
    IGNORE(transport_send(t, VIEW("\x5e hello")), "any result will do");
    IGNORE(transport_rekey(t), "any result will do");
    while (transport_next(t, &ev))
        ;
    transport_disconnect(t, REASON_BY_APPLICATION, VIEW("done"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct rng_test seed;
    struct transport *t;
    struct transport_config c = {
        .role = data[0] & 1 ? TRANSPORT_CLIENT : TRANSPORT_SERVER,
        .software = "Postern_0.1",
        .rng = rng_test(&seed, 1),
    };
    if (transport_import(&c, view_of(data + 1, size - 1), &t) != OK)
        return 0;
    struct buf first;
    struct buf second;
    struct transport *again;
    buf_init(&first, 32 << 20);
    buf_init(&second, 32 << 20);
    CHECK(transport_export(t, &first) == OK);
    CHECK(transport_import(&c, buf_view(&first), &again) == OK);
    CHECK(transport_export(again, &second) == OK);
    CHECK(view_eq(buf_view(&first), buf_view(&second)));
    use(t);
    transport_free(t);
    transport_free(again);
    buf_fini(&first);
    buf_fini(&second);
    return 0;
}
