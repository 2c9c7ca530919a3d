#include "proxy/ssh/auth_msg.h"

#include "common/base/mem.h"
#include "common/base/wire.h"

enum { AUTH_MSG_MAX = 32768 };

static enum err send_built(const struct sink *out, const struct writer *w)
{
    TRY(writer_done(w));
    return sink_send(out, buf_view(w->buf));
}

enum err auth_msg_service(const struct sink *out, enum msg type, struct view service)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, AUTH_MSG_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, (uint8_t)type);
    write_string(&w, service);
    return send_built(out, &w);
}

enum err auth_msg_failure(const struct sink *out, const char *methods, bool partial)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, AUTH_MSG_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_USERAUTH_FAILURE);
    write_cstring(&w, methods);
    write_bool(&w, partial);
    return send_built(out, &w);
}

enum err auth_msg_success(const struct sink *out)
{
    const uint8_t payload[] = {MSG_USERAUTH_SUCCESS};
    return sink_send(out, view_of(payload, sizeof payload));
}

enum err auth_msg_banner(const struct sink *out, struct view text)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, AUTH_MSG_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_USERAUTH_BANNER);
    write_string(&w, text);
    write_cstring(&w, "");
    return send_built(out, &w);
}

enum err auth_msg_pk_ok(const struct sink *out, struct view algorithm, struct view blob)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, AUTH_MSG_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_USERAUTH_PK_OK);
    write_string(&w, algorithm);
    write_string(&w, blob);
    return send_built(out, &w);
}

enum err auth_msg_info_request(const struct sink *out, struct view name, struct view instruction)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, AUTH_MSG_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_USERAUTH_INFO_REQUEST);
    write_string(&w, name);
    write_string(&w, instruction);
    write_cstring(&w, "");
    write_u32(&w, 0);
    return send_built(out, &w);
}

enum err auth_msg_publickey(struct buf *out, struct view user, struct view algorithm,
                            struct view blob)
{
    struct writer w = writer_to(out);
    write_u8(&w, MSG_USERAUTH_REQUEST);
    write_string(&w, user);
    write_cstring(&w, "ssh-connection");
    write_cstring(&w, "publickey");
    write_bool(&w, true);
    write_string(&w, algorithm);
    write_string(&w, blob);
    return writer_done(&w);
}
