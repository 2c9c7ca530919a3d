#include <string.h>

#include "common/base/check.h"
#include "common/base/wire.h"
#include "proxy/edge/proxy_protocol.h"

enum { V4_LEN = 4, V6_LEN = 16, V2_LOCAL = 0x20, V2_PROXY = 0x21, TCP4 = 0x11, TCP6 = 0x21 };

static bool is_v4(const struct proxy_protocol_header *h)
{
    return h->source.len == V4_LEN && h->destination.len == V4_LEN;
}

/* RFC 4291 §2.5.5.2. */
static void to_v6(const struct ip *a, uint8_t out[static V6_LEN])
{
    memset(out, 0, V6_LEN);
    if (a->len == V6_LEN) {
        memcpy(out, a->bytes, V6_LEN);
        return;
    }
    out[10] = out[11] = 0xff;
    memcpy(out + 12, a->bytes, V4_LEN);
}

static enum err print_ip(const struct ip *a, bool v4, struct buf *out)
{
    uint8_t v6[V6_LEN];
    if (v4)
        return buf_printf(out, "%u.%u.%u.%u ", a->bytes[0], a->bytes[1], a->bytes[2], a->bytes[3]);
    to_v6(a, v6);
    for (size_t i = 0; i < V6_LEN; i += 2)
        TRY(buf_printf(out, "%x%c", v6[i] << 8 | v6[i + 1], i == V6_LEN - 2 ? ' ' : ':'));
    return OK;
}

enum err proxy_protocol_write_v1(const struct proxy_protocol_header *h, struct buf *out)
{
    bool v4 = is_v4(h);
    if (!h->has_addresses)
        return buf_append_str(out, "PROXY UNKNOWN\r\n");
    TRY(buf_append_str(out, v4 ? "PROXY TCP4 " : "PROXY TCP6 "));
    TRY(print_ip(&h->source, v4, out));
    TRY(print_ip(&h->destination, v4, out));
    return buf_printf(out, "%u %u\r\n", h->source_port, h->destination_port);
}

enum err proxy_protocol_write_v2(const struct proxy_protocol_header *h, struct buf *out)
{
    struct writer w = writer_to(out);
    uint8_t v6[V6_LEN];
    bool v4 = is_v4(h);
    write_bytes(&w, VIEW("\r\n\r\n\0\r\nQUIT\n"));
    write_u8(&w, h->has_addresses ? V2_PROXY : V2_LOCAL);
    if (!h->has_addresses) {
        write_u8(&w, 0);
        write_u16(&w, 0);
        return writer_done(&w);
    }
    write_u8(&w, v4 ? TCP4 : TCP6);
    write_u16(&w, (uint16_t)(2 * (v4 ? V4_LEN : V6_LEN) + 4));
    const struct ip *ips[] = {&h->source, &h->destination};
    for (size_t i = 0; i < ARRAY_LEN(ips); i++) {
        to_v6(ips[i], v6);
        write_bytes(&w, v4 ? view_of(ips[i]->bytes, V4_LEN) : view_of(v6, V6_LEN));
    }
    write_u16(&w, h->source_port);
    write_u16(&w, h->destination_port);
    return writer_done(&w);
}
