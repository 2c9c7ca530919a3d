/* The messages of ssh-userauth that we write, each straight into a sink. */
#ifndef PROXY_SSH_AUTH_MSG_H
#define PROXY_SSH_AUTH_MSG_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/sink.h"

/* SERVICE_REQUEST or SERVICE_ACCEPT, RFC 4253 §10. */
enum err auth_msg_service(const struct sink *out, enum msg type, struct view service);

/* RFC 4252 §5.1. */
enum err auth_msg_failure(const struct sink *out, const char *methods, bool partial);
enum err auth_msg_success(const struct sink *out);

/* RFC 4252 §5.4. */
enum err auth_msg_banner(const struct sink *out, struct view text);

/* RFC 4252 §7. */
enum err auth_msg_pk_ok(const struct sink *out, struct view algorithm, struct view blob);

/* RFC 4256 §3.2, without prompts. */
enum err auth_msg_info_request(const struct sink *out, struct view name, struct view instruction);

/*
 * A signed publickey request up to its signature, RFC 4252 §7, appended to `out`: what is signed
 * behind string(session id).
 */
enum err auth_msg_publickey(struct buf *out, struct view user, struct view algorithm,
                            struct view blob);

#endif
