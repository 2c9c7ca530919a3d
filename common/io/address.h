/*
 * IP addresses with ports as values. IPv4-mapped IPv6 addresses become IPv4 when they come in,
 * so that one address has one form. Pure.
 */
#ifndef COMMON_IO_ADDRESS_H
#define COMMON_IO_ADDRESS_H

#include <sys/socket.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/ip.h"
#include "common/base/view.h"

enum address_family { ADDRESS_NONE, ADDRESS_V4, ADDRESS_V6 };

enum {
    ADDRESS_TEXT_MAX = 64, /* "[ip%zone]:port" and its NUL */
    ADDRESS_HOST_MAX = 255,
};

struct address {
    enum address_family family;
    uint8_t ip[16]; /* network order; 4 bytes used by V4 */
    uint32_t scope; /* of a link-local V6 address */
    uint16_t port;
};

/* A numeric IP without port or brackets. ERR_SYNTAX. */
enum err address_parse_ip(struct view text, struct address *out);

/* "1.2.3.4:5" or "[::1]:5". ERR_SYNTAX. */
enum err address_parse(struct view text, struct address *out);

/* The IP alone, and "ip:port" ("[ip]:port" for V6); ADDRESS_NONE gives "unknown". */
void address_ip_text(const struct address *a, char out[ADDRESS_TEXT_MAX]);
void address_text(const struct address *a, char out[ADDRESS_TEXT_MAX]);

/* IP and, for address_eq, port. */
bool address_eq_ip(const struct address *a, const struct address *b);
bool address_eq(const struct address *a, const struct address *b);
bool address_is_loopback(const struct address *a);

/* Families other than IP give ADDRESS_NONE. */
struct address address_of_sockaddr(const struct sockaddr *sa);

/* Returns the length, 0 for ADDRESS_NONE. */
socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *out);

/*
 * Splits "host:port", "[v6]:port", ":port" (empty host) and, when `default_port` is not 0, a bare
 * "host" or "v6". The host is a view into `text` without brackets. ERR_SYNTAX; ERR_RANGE for port
 * 0 or above 65535.
 */
enum err address_split(struct view text, uint16_t default_port, struct view *out_host,
                       uint16_t *out_port);

/* Without port and scope, as networks and policies take it. */
struct ip address_to_ip(const struct address *a);
struct address address_of_ip(const struct ip *ip, uint16_t port);

#endif
