/* The sentences that users meet, by name (common/base/messages.def). */
#ifndef COMMON_BASE_MESSAGES_H
#define COMMON_BASE_MESSAGES_H

#include <stddef.h>

enum message {
#define M(name, text, cause, remedy) MESSAGE_##name,
#include "common/base/messages.def"
#undef M
    MESSAGE_COUNT
};

/* Static texts. Never NULL. */
const char *message_name(enum message m);
const char *message_text(enum message m);
const char *message_cause(enum message m);
const char *message_remedy(enum message m);

/*
 * The sentence with its %s replaced, in order, by the NULL terminated list of arguments; a missing
 * argument gives "". Fresh memory, never NULL.
 */
char *message_format(enum message m, ...);

#endif
