/*
 * Records of any inner type and content, made as the input says, and garbage: however the bytes
 * are cut, a reader tells the same. The first byte is the size of a cut, the second the suite and
 * the role; then steps: kind, length (2), content.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/tls_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WIRE = 1 << 17 };

struct told {
    uint8_t *bytes;
    size_t len;
    bool updates;
    bool closed;
    enum err e;
    uint8_t alert;
    uint8_t peer_alert;
};

static size_t step(struct tls_writer *w, struct reader *r, uint8_t *out, size_t room)
{
    uint8_t kind = read_u8(r);
    struct view content = read_bytes(r, read_u16(r));
    if (r->failed || content.len > TLS_DATA_MAX || room < TLS_RECORD_MAX)
        return 0;
    switch (kind % 5) {
    case 0:
        return tls_writer_seal(w, content, out);
    case 1:
        return tls_writer_update(w, out);
    case 2:
        return tls_writer_alert(w, content.len ? content.ptr[0] : 0, out);
    case 3:
        memcpy(out, content.ptr, content.len);
        return content.len;
    default:
        return tls_writer_record(w, kind / 5, content, out);
    }
}

static void run(const struct tls_record_keys *k, bool is_client, struct view wire, size_t cut,
                struct told *told)
{
    struct tls_reader r;
    CHECK(tls_reader_init(&r, k, is_client) == OK);
    size_t end = cut < wire.len ? cut : wire.len;
    while (told->e == OK && !told->closed) {
        struct tls_opened o;
        struct view piece = view_take(wire, end);
        told->e = tls_reader_open(&r, piece, told->bytes + told->len, WIRE - told->len, &o);
        CHECK(o.used <= piece.len && o.len <= piece.len);
        told->len += o.len;
        told->updates = told->updates || o.update_requested;
        told->closed = o.closed;
        told->alert = o.alert;
        told->peer_alert = o.peer_alert;
        wire = view_skip(wire, o.used);
        if (end >= wire.len + o.used)
            break;
        end = end - o.used + cut;
    }
    tls_reader_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct tls_record_keys k = {.suite = (uint16_t)(0x1301 + data[1] / 2 % 3)};
    struct reader r = reader_of(view_of(data + 2, size - 2));
    struct tls_writer w;
    AUTO_FREE uint8_t *wire = mem_zalloc(WIRE);
    AUTO_FREE uint8_t *first = mem_zalloc(WIRE);
    AUTO_FREE uint8_t *second = mem_zalloc(WIRE);
    size_t len = 0;
    CHECK(tls_writer_init(&w, &k) == OK);
    while (reader_left(&r) && !r.failed)
        len += step(&w, &r, wire + len, WIRE - len);
    tls_writer_fini(&w);
    struct told a = {.bytes = first};
    struct told b = {.bytes = second};
    bool is_client = data[1] & 1;
    run(&k, is_client, view_of(wire, len), len, &a);
    run(&k, is_client, view_of(wire, len), data[0] + 1u, &b);
    CHECK(a.len == b.len && memcmp(first, second, a.len) == 0);
    CHECK(a.e == b.e && a.closed == b.closed && a.updates == b.updates);
    CHECK(a.alert == b.alert && a.peer_alert == b.peer_alert);
    return 0;
}
