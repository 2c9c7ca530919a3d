/* The first byte says in which pieces the rest is fed; fed whole it has to give the same. */
#include "common/base/check.h"
#include "proxy/edge/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    enum err err;
    size_t used;
    struct proxy_protocol_header header;
};

static struct result run(struct view rest, size_t piece)
{
    struct result r = {.err = ERR_MORE};
    struct proxy_protocol p;
    proxy_protocol_init(&p);
    while (rest.len && r.err == ERR_MORE) {
        struct view part = view_take(rest, piece);
        size_t used = 0;
        r.err = proxy_protocol_feed(&p, part, &used, &r.header);
        CHECK(r.err != ERR_LIMIT || *proxy_protocol_why(&p));
        if (r.err == OK || r.err == ERR_MORE) {
            CHECK(used <= part.len && (r.err == OK || used == part.len));
            r.used += used;
        }
        rest = view_skip(rest, part.len);
    }
    proxy_protocol_fini(&p);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct view all = view_of(data + 1, size - 1);
    struct result whole = run(all, all.len);
    struct result pieces = run(all, data[0] ? data[0] : 1);
    CHECK(whole.err == pieces.err);
    if (whole.err == OK || whole.err == ERR_MORE)
        CHECK(whole.used == pieces.used && whole.used <= PROXY_PROTOCOL_V2_MAX);
    CHECK(whole.header.source.len == pieces.header.source.len);
    CHECK(whole.header.has_addresses == (whole.header.source.len != 0));
    return 0;
}
