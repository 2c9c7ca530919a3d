/* IP addresses and networks without port or zone; an IPv4-mapped IPv6 address is its IPv4 one. */
#ifndef COMMON_BASE_IP_H
#define COMMON_BASE_IP_H

#include "common/base/err.h"
#include "common/base/view.h"

/* A zeroed struct ip is no address: it is in no network. */
struct ip {
    uint8_t len; /* 4 or 16; 0 = none */
    uint8_t bytes[16];
};

struct ip_net {
    struct ip address;
    uint8_t prefix; /* bits */
};

/* Of 4 or 16 bytes in network order. */
struct ip ip_of_bytes(struct view bytes);

/* Textual address without port, zone or brackets. ERR_SYNTAX. */
enum err ip_parse(struct view text, struct ip *out);

/*
 * As ip_parse; a zone ("fe80::1%2") is left out, since which link an address is on is no part of
 * what networks name.
 */
enum err ip_parse_zoned(struct view text, struct ip *out);

/*
 * Whom `address` stands for where tries are counted: an IPv4 address itself, of an IPv6 one the
 * first 64 bits, since whoever has one has as many of the others as he likes. A view into it.
 */
struct view ip_source(const struct ip *address);

/* "ADDRESS" or "ADDRESS/BITS"; bits behind the prefix are ignored. ERR_SYNTAX. */
enum err ip_net_parse(struct view text, struct ip_net *out);

bool ip_net_has(const struct ip_net *net, const struct ip *address);

/*
 * Is `address` in one of the comma separated networks of an OpenSSH `source-address` option? A list
 * that cannot be read has nothing in it.
 */
bool ip_list_has(struct view list, const struct ip *address);

#endif
