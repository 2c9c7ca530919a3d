#include "proxy/ssh/msg.h"

#include "common/base/check.h"
#include "common/base/text.h"

static const char *const names[256] = {
    [MSG_DISCONNECT] = "DISCONNECT",
    [MSG_IGNORE] = "IGNORE",
    [MSG_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [MSG_DEBUG] = "DEBUG",
    [MSG_SERVICE_REQUEST] = "SERVICE_REQUEST",
    [MSG_SERVICE_ACCEPT] = "SERVICE_ACCEPT",
    [MSG_EXT_INFO] = "EXT_INFO",
    [MSG_KEXINIT] = "KEXINIT",
    [MSG_NEWKEYS] = "NEWKEYS",
    [MSG_KEX_ECDH_INIT] = "KEX_ECDH_INIT",
    [MSG_KEX_ECDH_REPLY] = "KEX_ECDH_REPLY",
    [MSG_USERAUTH_REQUEST] = "USERAUTH_REQUEST",
    [MSG_USERAUTH_FAILURE] = "USERAUTH_FAILURE",
    [MSG_USERAUTH_SUCCESS] = "USERAUTH_SUCCESS",
    [MSG_USERAUTH_BANNER] = "USERAUTH_BANNER",
    [MSG_USERAUTH_INFO_REQUEST] = "USERAUTH_INFO_REQUEST",
    [MSG_USERAUTH_INFO_RESPONSE] = "USERAUTH_INFO_RESPONSE",
    [MSG_GLOBAL_REQUEST] = "GLOBAL_REQUEST",
    [MSG_REQUEST_SUCCESS] = "REQUEST_SUCCESS",
    [MSG_REQUEST_FAILURE] = "REQUEST_FAILURE",
    [MSG_CHANNEL_OPEN] = "CHANNEL_OPEN",
    [MSG_CHANNEL_OPEN_CONFIRMATION] = "CHANNEL_OPEN_CONFIRMATION",
    [MSG_CHANNEL_OPEN_FAILURE] = "CHANNEL_OPEN_FAILURE",
    [MSG_CHANNEL_WINDOW_ADJUST] = "CHANNEL_WINDOW_ADJUST",
    [MSG_CHANNEL_DATA] = "CHANNEL_DATA",
    [MSG_CHANNEL_EXTENDED_DATA] = "CHANNEL_EXTENDED_DATA",
    [MSG_CHANNEL_EOF] = "CHANNEL_EOF",
    [MSG_CHANNEL_CLOSE] = "CHANNEL_CLOSE",
    [MSG_CHANNEL_REQUEST] = "CHANNEL_REQUEST",
    [MSG_CHANNEL_SUCCESS] = "CHANNEL_SUCCESS",
    [MSG_CHANNEL_FAILURE] = "CHANNEL_FAILURE",
    [MSG_PING] = "PING",
    [MSG_PONG] = "PONG",
};

const char *msg_name(uint8_t number)
{
    return names[number] ? names[number] : "unknown message";
}

/* RFC 4250 §4.2.2. What is not listed is a matter of ours: BY_APPLICATION. */
static const struct {
    enum err err;
    enum msg_reason reason;
} reasons[] = {
    {ERR_PROTOCOL, REASON_PROTOCOL_ERROR},
    {ERR_SYNTAX, REASON_PROTOCOL_ERROR},
    {ERR_RANGE, REASON_PROTOCOL_ERROR},
    {ERR_NEGOTIATION, REASON_KEY_EXCHANGE_FAILED},
    {ERR_MAC, REASON_MAC_ERROR},
    {ERR_UNSUPPORTED, REASON_VERSION_NOT_SUPPORTED},
    {ERR_VERIFY, REASON_HOST_KEY_NOT_VERIFIABLE},
    {ERR_MISMATCH, REASON_HOST_KEY_NOT_VERIFIABLE},
    {ERR_DENIED, REASON_NO_MORE_AUTH_METHODS},
    {ERR_LIMIT, REASON_TOO_MANY_CONNECTIONS},
    {ERR_BUSY, REASON_TOO_MANY_CONNECTIONS},
    {ERR_UNAVAILABLE, REASON_SERVICE_NOT_AVAILABLE},
    {ERR_CLOSED, REASON_CONNECTION_LOST},
    {ERR_IO, REASON_CONNECTION_LOST},
};

enum msg_reason msg_reason_of(enum err e)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].err == e)
            return reasons[i].reason;
    }
    return REASON_BY_APPLICATION;
}

static bool is_continuation(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

enum err msg_text_clean(struct view text, struct buf *out)
{
    if (text.len > MSG_TEXT_MAX) {
        size_t n = MSG_TEXT_MAX;
        while (n > 0 && is_continuation(text.ptr[n]))
            n--;
        text = view_take(text, n);
    }
    return text_printable(text, out);
}

enum err msg_disconnect_write(struct buf *out, uint32_t reason, struct view text)
{
    struct writer w = writer_to(out);
    write_u8(&w, MSG_DISCONNECT);
    write_u32(&w, reason);
    size_t mark = write_begin(&w);
    if (w.err == OK)
        w.err = msg_text_clean(text, out);
    write_end(&w, mark);
    write_cstring(&w, "");
    return writer_done(&w);
}

enum err msg_disconnect_parse(struct view payload, struct msg_disconnect *out)
{
    struct reader r = reader_of(payload);
    (void)read_u8(&r);
    struct msg_disconnect d = {.reason = read_u32(&r)};
    TRY(reader_ok(&r));
    d.text = view_take(read_string(&r), MSG_TEXT_MAX);
    *out = d;
    return OK;
}

/* OpenSSH's extensions carry a version as text; only "0" is known. */
static bool is_zero(struct view value)
{
    return view_eq_str(value, "0");
}

enum err msg_ext_info_parse(struct view payload, struct msg_ext_info *out)
{
    struct reader r = reader_of(payload);
    struct msg_ext_info info = {0};
    (void)read_u8(&r);
    uint32_t count = read_u32(&r);
    if (count > MSG_EXT_MAX)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        struct view name = read_string(&r);
        struct view value = read_string(&r);
        if (view_eq_str(name, "server-sig-algs") && msg_list_valid(value))
            info.server_sig_algs = value;
        else if (view_eq_str(name, "ping@openssh.com"))
            info.has_ping = is_zero(value);
        else if (view_eq_str(name, "publickey-hostbound@openssh.com"))
            info.has_hostbound = is_zero(value);
        else if (view_eq_str(name, "ext-info-in-auth@openssh.com"))
            info.has_in_auth = is_zero(value);
    }
    TRY(reader_done(&r));
    *out = info;
    return OK;
}

bool msg_list_pick(struct view wanted, struct view offered, struct view *out_name)
{
    struct view rest = wanted;
    struct view name;
    while (view_next(&rest, ',', &name)) {
        if (name.len && view_list_has(offered, name)) {
            *out_name = name;
            return true;
        }
    }
    return false;
}

bool msg_list_valid(struct view list)
{
    /* RFC 4251 §5 and §6: names are not empty, US-ASCII without control characters or blanks. */
    if (list.len == 0)
        return true;
    if (list.ptr[0] == ',' || list.ptr[list.len - 1] == ',')
        return false;
    for (size_t i = 0; i < list.len; i++) {
        if (list.ptr[i] <= ' ' || list.ptr[i] > '~')
            return false;
        if (list.ptr[i] == ',' && list.ptr[i + 1] == ',')
            return false;
    }
    return true;
}
