#include "proxy/edge/proxy_protocol.h"

#include "common/base/check.h"
#include "common/base/text.h"
#include "common/base/wire.h"

enum {
    VERSION_COMMAND_AT = 12,
    LENGTH_AT = 14,
    COMMAND_LOCAL = 0x20,
    COMMAND_PROXY = 0x21,
    TLV_HEAD = 3,
    TLV_CRC32C = 0x03,
    CRC_LEN = 4,
    LEADING_IPV4 = 4,
    LEADING_IPV6 = 16,
    UNIX_LEN = 216,
};

static const struct view v1_signature = {(const uint8_t *)"PROXY ", 6};
static const struct view v2_signature = {(const uint8_t *)"\r\n\r\n\0\r\nQUIT\n", 12};

void proxy_protocol_init(struct proxy_protocol *p)
{
    *p = (struct proxy_protocol){.why = ""};
    buf_init(&p->in, PROXY_PROTOCOL_V2_MAX);
}

void proxy_protocol_fini(struct proxy_protocol *p)
{
    buf_fini(&p->in);
}

const char *proxy_protocol_why(const struct proxy_protocol *p)
{
    return p->why;
}

static enum err wrong(struct proxy_protocol *p, enum err e, const char *why)
{
    p->why = why;
    return e;
}

/* --- version 1 --- */

static enum err parse_port(struct view text, uint16_t *out)
{
    uint64_t port;
    /* §2.1: no leading zeroes. */
    if (text.len > 1 && text.ptr[0] == '0')
        return ERR_SYNTAX;
    TRY(text_u64(text, UINT16_MAX, &port));
    *out = (uint16_t)port;
    return OK;
}

static enum err parse_text_ip(struct view text, bool v6, struct ip *out)
{
    if ((view_find(text, ':') >= 0) != v6)
        return ERR_SYNTAX;
    return ip_parse(text, out);
}

/* §2.1: "PROXY TCP4 SOURCE DESTINATION PORT PORT", one space between two words. */
static enum err parse_addresses(struct view line, bool v6, struct proxy_protocol_header *out)
{
    struct proxy_protocol_header h = {.has_addresses = true};
    struct view words[4];
    struct view rest = line;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!view_next(&rest, ' ', &words[i]))
            return ERR_SYNTAX;
    }
    if (rest.ptr)
        return ERR_SYNTAX;
    TRY(parse_text_ip(words[0], v6, &h.source));
    TRY(parse_text_ip(words[1], v6, &h.destination));
    TRY(parse_port(words[2], &h.source_port));
    TRY(parse_port(words[3], &h.destination_port));
    *out = h;
    return OK;
}

static enum err parse_v1(struct proxy_protocol *p, struct proxy_protocol_header *out)
{
    struct view line = buf_view(&p->in);
    if (!view_ends_with(line, VIEW("\r\n")))
        return wrong(p, ERR_SYNTAX, "the line of version 1 does not end with CRLF");
    line = view_skip(view_take(line, line.len - 2), v1_signature.len);
    /* §2.1: whatever follows UNKNOWN is ignored. */
    if (view_eq(line, VIEW("UNKNOWN")) || view_starts_with(line, VIEW("UNKNOWN "))) {
        *out = (struct proxy_protocol_header){0};
        return OK;
    }
    bool v6 = view_starts_with(line, VIEW("TCP6 "));
    if (!v6 && !view_starts_with(line, VIEW("TCP4 ")))
        return wrong(p, ERR_UNSUPPORTED, "version 1 knows TCP4, TCP6 and UNKNOWN");
    if (parse_addresses(view_skip(line, 5), v6, out) != OK)
        return wrong(p, ERR_SYNTAX, "malformed addresses or ports in version 1");
    return OK;
}

/* --- version 2 --- */

static uint32_t crc32c_add(uint32_t crc, uint8_t byte)
{
    static const uint32_t reversed_polynomial = 0x82f63b78;
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? reversed_polynomial : 0);
    return crc;
}

/* §2.2.4: over the whole header, the four bytes of the checksum itself taken as zero. */
static bool crc_is_right(struct view header, size_t at)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < header.len; i++)
        crc = crc32c_add(crc, i >= at && i < at + CRC_LEN ? 0 : header.ptr[i]);
    return load_u32(header.ptr + at) == ~crc;
}

/* §2.2: each is type, length, value; of the types only the checksum matters here. */
static enum err check_tlvs(struct proxy_protocol *p, size_t at)
{
    struct view all = buf_view(&p->in);
    bool has_crc = false;
    while (at < all.len) {
        if (all.len - at < TLV_HEAD)
            return wrong(p, ERR_SYNTAX, "a TLV is cut off");
        uint8_t type = all.ptr[at];
        size_t len = (size_t)all.ptr[at + 1] << 8 | all.ptr[at + 2];
        at += TLV_HEAD;
        if (len > all.len - at)
            return wrong(p, ERR_SYNTAX, "a TLV is longer than the header");
        if (type == TLV_CRC32C) {
            if (has_crc || len != CRC_LEN)
                return wrong(p, ERR_SYNTAX, "malformed checksum");
            if (!crc_is_right(all, at))
                return wrong(p, ERR_VERIFY, "the checksum is wrong");
            has_crc = true;
        }
        at += len;
    }
    return OK;
}

static enum err parse_inet(struct proxy_protocol *p, size_t ip_len,
                           struct proxy_protocol_header *out)
{
    struct reader r = reader_of(view_skip(buf_view(&p->in), PROXY_PROTOCOL_V2_FIXED));
    struct view source = read_bytes(&r, ip_len);
    struct view destination = read_bytes(&r, ip_len);
    struct proxy_protocol_header h = {.has_addresses = true};
    h.source_port = read_u16(&r);
    h.destination_port = read_u16(&r);
    if (reader_ok(&r) != OK)
        return wrong(p, ERR_SYNTAX, "the header is too short for its addresses");
    h.source = ip_of_bytes(source);
    h.destination = ip_of_bytes(destination);
    TRY(check_tlvs(p, p->in.len - reader_left(&r)));
    *out = h;
    return OK;
}

static enum err parse_v2(struct proxy_protocol *p, struct proxy_protocol_header *out)
{
    const uint8_t *head = buf_view(&p->in).ptr;
    /* §2.2: the family and the addresses of LOCAL, and what UNSPEC has, are skipped unseen. */
    if (head[VERSION_COMMAND_AT] == COMMAND_LOCAL || head[VERSION_COMMAND_AT + 1] == 0x00) {
        *out = (struct proxy_protocol_header){0};
        return OK;
    }
    switch (head[VERSION_COMMAND_AT + 1]) {
    case 0x11:
        return parse_inet(p, LEADING_IPV4, out);
    case 0x21:
        return parse_inet(p, LEADING_IPV6, out);
    case 0x31:
        if (p->in.len < PROXY_PROTOCOL_V2_FIXED + UNIX_LEN)
            return wrong(p, ERR_SYNTAX, "the header is too short for its addresses");
        TRY(check_tlvs(p, PROXY_PROTOCOL_V2_FIXED + UNIX_LEN));
        *out = (struct proxy_protocol_header){0};
        return OK;
    default: /* datagrams, which do not come over TCP, and what is not assigned */
        return wrong(p, ERR_UNSUPPORTED, "a family or transport that is not served");
    }
}

/* --- both --- */

static size_t v2_len(const struct proxy_protocol *p)
{
    const uint8_t *head = buf_view(&p->in).ptr;
    return PROXY_PROTOCOL_V2_FIXED + ((size_t)head[LENGTH_AT] << 8 | head[LENGTH_AT + 1]);
}

static bool is_v1(const struct proxy_protocol *p)
{
    return p->in.len && buf_view(&p->in).ptr[0] == v1_signature.ptr[0];
}

/* How many of `bytes` are the header's for sure. */
static size_t wanted(const struct proxy_protocol *p, struct view bytes)
{
    size_t max = 1;
    if (is_v1(p)) {
        ptrdiff_t newline = view_find(bytes, '\n');
        max = PROXY_PROTOCOL_V1_MAX - p->in.len;
        if (newline >= 0 && (size_t)newline < max)
            max = (size_t)newline + 1;
    } else if (p->in.len) {
        max = p->in.len < PROXY_PROTOCOL_V2_FIXED ? PROXY_PROTOCOL_V2_FIXED : v2_len(p);
        max -= p->in.len;
    }
    return max < bytes.len ? max : bytes.len;
}

/* What has come so far: no use in waiting for the rest of something else. */
static enum err check_start(struct proxy_protocol *p)
{
    struct view in = buf_view(&p->in);
    struct view signature = is_v1(p) ? v1_signature : v2_signature;
    if (!view_eq(view_take(in, signature.len), view_take(signature, in.len)))
        return wrong(p, ERR_SYNTAX, "no PROXY header");
    if (is_v1(p) || in.len <= VERSION_COMMAND_AT)
        return OK;
    uint8_t command = in.ptr[VERSION_COMMAND_AT];
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return wrong(p, ERR_UNSUPPORTED, "a version or command that is not known");
    if (in.len >= PROXY_PROTOCOL_V2_FIXED && v2_len(p) > PROXY_PROTOCOL_V2_MAX)
        return wrong(p, ERR_LIMIT, "the header is too long");
    return OK;
}

static enum err try_parse(struct proxy_protocol *p, struct proxy_protocol_header *out)
{
    TRY(check_start(p));
    struct view in = buf_view(&p->in);
    if (is_v1(p)) {
        if (in.ptr[in.len - 1] == '\n')
            return parse_v1(p, out);
        if (in.len == PROXY_PROTOCOL_V1_MAX)
            return wrong(p, ERR_LIMIT, "the line of version 1 is too long");
        return ERR_MORE;
    }
    if (in.len < PROXY_PROTOCOL_V2_FIXED || in.len < v2_len(p))
        return ERR_MORE;
    return parse_v2(p, out);
}

enum err proxy_protocol_feed(struct proxy_protocol *p, struct view bytes, size_t *out_used,
                             struct proxy_protocol_header *out)
{
    size_t used = 0;
    enum err e = ERR_MORE;
    while (used < bytes.len && e == ERR_MORE) {
        struct view part = view_skip(bytes, used);
        part = view_take(part, wanted(p, part));
        TRY(buf_append(&p->in, part));
        used += part.len;
        e = try_parse(p, out);
    }
    *out_used = used;
    return e;
}
