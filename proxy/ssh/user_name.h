/* The SSH user name as people type it: LOGIN@ROUTE, split at the last '@'. */
#ifndef PROXY_SSH_USER_NAME_H
#define PROXY_SSH_USER_NAME_H

#include "common/base/err.h"
#include "common/base/view.h"

struct user_name {
    struct view login; /* all of it where there is no '@' */
    struct view route; /* as typed but for a ":PORT" at its end, which is dropped; may be empty */
};

/* Views into `text`. ERR_SYNTAX when it holds control bytes or is no UTF-8. */
enum err user_name_split(struct view text, struct user_name *out);

#endif
