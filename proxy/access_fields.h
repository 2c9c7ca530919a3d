/* A line of the access log: the fields that access_log_fields wants. */
#ifndef PROXY_ACCESS_FIELDS_H
#define PROXY_ACCESS_FIELDS_H

#include "common/daemon/log.h"
#include "proxy/supervisor/worker_message.h"

enum { ACCESS_FIELDS_MAX = 32 };

struct access_fields {
    const struct worker_texts *wanted; /* none: all are */
    struct log_field items[ACCESS_FIELDS_MAX];
    size_t count;
};

/* At most ACCESS_FIELDS_MAX - 1 of them; texts live until the line is written. */
void access_fields_add(struct access_fields *f, struct log_field field);
void access_fields_write(struct access_fields *f, const char *message);

#endif
