/*
 * SSH on the wire: message numbers, disconnect reasons, names, and the small codecs that the
 * parts of the engine share. RFC 4250 §4, 4252, 4253, 4254, 4256, 8308; OpenSSH's PROTOCOL.
 */
#ifndef PROXY_SSH_MSG_H
#define PROXY_SSH_MSG_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/base/wire.h"

enum msg {
    MSG_DISCONNECT = 1,
    MSG_IGNORE = 2,
    MSG_UNIMPLEMENTED = 3,
    MSG_DEBUG = 4,
    MSG_SERVICE_REQUEST = 5,
    MSG_SERVICE_ACCEPT = 6,
    MSG_EXT_INFO = 7,
    MSG_KEXINIT = 20,
    MSG_NEWKEYS = 21,
    MSG_KEX_ECDH_INIT = 30, /* RFC 5656 §4; the hybrid kex uses the same pair */
    MSG_KEX_ECDH_REPLY = 31,
    MSG_USERAUTH_REQUEST = 50,
    MSG_USERAUTH_FAILURE = 51,
    MSG_USERAUTH_SUCCESS = 52,
    MSG_USERAUTH_BANNER = 53,
    MSG_USERAUTH_PK_OK = 60,
    MSG_USERAUTH_INFO_REQUEST = 60,
    MSG_USERAUTH_INFO_RESPONSE = 61,
    MSG_GLOBAL_REQUEST = 80,
    MSG_REQUEST_SUCCESS = 81,
    MSG_REQUEST_FAILURE = 82,
    MSG_CHANNEL_OPEN = 90,
    MSG_CHANNEL_OPEN_CONFIRMATION = 91,
    MSG_CHANNEL_OPEN_FAILURE = 92,
    MSG_CHANNEL_WINDOW_ADJUST = 93,
    MSG_CHANNEL_DATA = 94,
    MSG_CHANNEL_EXTENDED_DATA = 95,
    MSG_CHANNEL_EOF = 96,
    MSG_CHANNEL_CLOSE = 97,
    MSG_CHANNEL_REQUEST = 98,
    MSG_CHANNEL_SUCCESS = 99,
    MSG_CHANNEL_FAILURE = 100,
    MSG_PING = 192, /* ping@openssh.com */
    MSG_PONG = 193,
};

/* RFC 4250 §4.2.2. */
enum msg_reason {
    REASON_HOST_NOT_ALLOWED = 1,
    REASON_PROTOCOL_ERROR = 2,
    REASON_KEY_EXCHANGE_FAILED = 3,
    REASON_MAC_ERROR = 5,
    REASON_COMPRESSION_ERROR = 6,
    REASON_SERVICE_NOT_AVAILABLE = 7,
    REASON_VERSION_NOT_SUPPORTED = 8,
    REASON_HOST_KEY_NOT_VERIFIABLE = 9,
    REASON_CONNECTION_LOST = 10,
    REASON_BY_APPLICATION = 11,
    REASON_TOO_MANY_CONNECTIONS = 12,
    REASON_AUTH_CANCELLED = 13,
    REASON_NO_MORE_AUTH_METHODS = 14,
    REASON_ILLEGAL_USER_NAME = 15,
};

/* RFC 4254 §5.1. */
enum msg_open_failure {
    OPEN_ADMINISTRATIVELY_PROHIBITED = 1,
    OPEN_CONNECT_FAILED = 2,
    OPEN_UNKNOWN_CHANNEL_TYPE = 3,
    OPEN_RESOURCE_SHORTAGE = 4,
};

enum {
    MSG_TEXT_MAX = 512, /* bytes of a DISCONNECT text, both ways */
    MSG_EXTENDED_STDERR = 1,
    MSG_EXT_MAX = 64, /* extensions of one EXT_INFO */
};

/* "KEXINIT", "CHANNEL_DATA"; "unknown message" without a name. Static, never NULL. */
const char *msg_name(uint8_t number);

/* The one map from our errors to DISCONNECT reasons. */
enum msg_reason msg_reason_of(enum err e);

/* Text for a terminal or a log: printable, at most MSG_TEXT_MAX bytes, cut at a character. */
enum err msg_text_clean(struct view text, struct buf *out);

/* DISCONNECT with its number byte; the text is cleaned. RFC 4253 §11.1. */
enum err msg_disconnect_write(struct buf *out, uint32_t reason, struct view text);

struct msg_disconnect {
    uint32_t reason;
    struct view text; /* raw, at most MSG_TEXT_MAX bytes; inside the payload */
};
/* `payload` starts with the number byte. A missing language tag or text is forgiven. */
enum err msg_disconnect_parse(struct view payload, struct msg_disconnect *out);

/* What we understand of an EXT_INFO; views into the payload. RFC 8308 §2.3. */
struct msg_ext_info {
    struct view server_sig_algs; /* ptr NULL when absent */
    bool has_ping;               /* ping@openssh.com "0" */
    bool has_hostbound;          /* publickey-hostbound@openssh.com "0" */
    bool has_in_auth;            /* ext-info-in-auth@openssh.com "0" */
};
enum err msg_ext_info_parse(struct view payload, struct msg_ext_info *out);

/* The name of `wanted`'s first element that is in `offered` too; false when there is none. */
bool msg_list_pick(struct view wanted, struct view offered, struct view *out_name);

/* True for a well formed name-list: no empty names, printable ASCII without blanks. */
bool msg_list_valid(struct view list);

#endif
