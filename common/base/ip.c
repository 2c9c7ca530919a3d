#include "common/base/ip.h"

#include <arpa/inet.h>

#include "common/base/check.h"
#include "common/base/text.h"

enum { SOURCE_NETWORK_LEN = 8 };

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct ip ip_of_bytes(struct view bytes)
{
    struct ip ip = {.len = (uint8_t)bytes.len};
    CHECK(bytes.len == 4 || bytes.len == 16);
    if (bytes.len == 16 && memcmp(bytes.ptr, mapped_prefix, sizeof mapped_prefix) == 0) {
        bytes = view_skip(bytes, sizeof mapped_prefix);
        ip.len = 4;
    }
    memcpy(ip.bytes, bytes.ptr, ip.len);
    return ip;
}

enum err ip_parse(struct view text, struct ip *out)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, 0, text.len))
        return ERR_SYNTAX;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, bytes) == 1)
        *out = ip_of_bytes(view_of(bytes, 4));
    else if (inet_pton(AF_INET6, copy, bytes) == 1)
        *out = ip_of_bytes(view_of(bytes, 16));
    else
        return ERR_SYNTAX;
    return OK;
}

enum err ip_parse_zoned(struct view text, struct ip *out)
{
    struct ip ip;
    ptrdiff_t percent = view_find(text, '%');
    TRY(ip_parse(percent < 0 ? text : view_take(text, (size_t)percent), &ip));
    if (percent >= 0 && (ip.len != 16 || (size_t)percent + 1 == text.len))
        return ERR_SYNTAX;
    *out = ip;
    return OK;
}

struct view ip_source(const struct ip *address)
{
    return view_of(address->bytes, address->len == 16 ? SOURCE_NETWORK_LEN : address->len);
}

enum err ip_net_parse(struct view text, struct ip_net *out)
{
    struct ip_net net;
    ptrdiff_t slash = view_find(text, '/');
    TRY(ip_parse(slash < 0 ? text : view_take(text, (size_t)slash), &net.address));
    uint64_t bits = net.address.len * 8U;
    if (slash >= 0) {
        /* ::ffff:10.0.0.0/104 counts the bits of the mapped form. */
        bool mapped = net.address.len == 4 && view_find(text, ':') >= 0;
        uint64_t max = mapped ? 128 : bits;
        uint64_t given;
        if (text_u64(view_skip(text, (size_t)slash + 1), max, &given) != OK)
            return ERR_SYNTAX;
        if (mapped && given < 96)
            return ERR_SYNTAX;
        bits = mapped ? given - 96 : given;
    }
    net.prefix = (uint8_t)bits;
    *out = net;
    return OK;
}

bool ip_net_has(const struct ip_net *net, const struct ip *address)
{
    if (address->len == 0 || net->address.len != address->len)
        return false;
    size_t whole = net->prefix / 8;
    unsigned rest = net->prefix % 8;
    if (memcmp(net->address.bytes, address->bytes, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff00U >> rest);
    return ((net->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool ip_list_has(struct view list, const struct ip *address)
{
    struct view part;
    bool found = false;
    while (view_next(&list, ',', &part)) {
        struct ip_net net;
        if (ip_net_parse(view_trim(part), &net) != OK)
            return false;
        found = found || ip_net_has(&net, address);
    }
    return found;
}
