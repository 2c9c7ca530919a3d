/* What the worker is told of the configuration: the proxy's keys and nothing else. */
#ifndef PROXY_SUPERVISOR_DESCRIBE_H
#define PROXY_SUPERVISOR_DESCRIBE_H

#include "common/base/diag.h"
#include "common/config/config.h"
#include "proxy/supervisor/worker_message.h"

/* Without certificates and host keys (keyring_describe) and listeners. */
struct worker_config *describe_config(const struct config *config);

/* What the worker could not work with. */
void describe_check(const struct config *config, struct diag *d);

#endif
