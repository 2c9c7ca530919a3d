/*
 * A client that sends anything. The input is a list of steps: one byte chooses, u16 length and
 * bytes follow. 0-3 answer a CHECK, 4 says the target is ready, all others are a packet.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/auth_server.h"
#include "tests/support/sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void act(struct auth_server *a, uint8_t step, struct view v)
{
    switch (step) {
    case 0:
        auth_server_allow(a);
        break;
    case 1:
        auth_server_deny(a, v);
        break;
    case 2:
        auth_server_next_key(a, v);
        break;
    case 3:
        auth_server_login(a, view_take(v, 10), v, view_skip(v, 10));
        break;
    case 4:
        auth_server_success(a);
        break;
    default:
        IGNORE(auth_server_feed(a, v), "any answer will do");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sink_list out;
    struct auth_server a;
    struct auth_server_config c = {.out = sink_list_init(&out)};
    auth_server_init(&a, &c, VIEW("0123456789abcdef0123456789abcdef"));
    struct reader r = reader_of(view_of(data, size));
    while (reader_left(&r) && !r.failed) {
        uint8_t step = read_u8(&r);
        struct view v = read_bytes(&r, read_u16(&r));
        uint8_t *copy = mem_zalloc(v.len);
        if (v.len)
            memcpy(copy, v.ptr, v.len);
        enum auth_server_phase before = a.phase;
        act(&a, step, view_of(copy, v.len));
        mem_free(copy);
        struct auth_server_event e;
        while (auth_server_next(&a, &e)) {
            if (e.type == AUTH_SERVER_CHECK)
                CHECK(e.login.len && e.route.len && e.key.len && e.key_type.len);
            else
                CHECK(a.phase == AUTH_SERVER_PHASE_FAILED);
        }
        CHECK(a.phase >= before || before == AUTH_SERVER_PHASE_CHECKING ||
              before == AUTH_SERVER_PHASE_LOGIN || a.phase == AUTH_SERVER_PHASE_FAILED);
        CHECK(a.phase != AUTH_SERVER_PHASE_DONE || a.verified);
        CHECK(a.requests <= AUTH_SERVER_REQUESTS_MAX + 1 && out.count < 1000);
    }
    auth_server_fini(&a);
    sink_list_fini(&out);
    return 0;
}
