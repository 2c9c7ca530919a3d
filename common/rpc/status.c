#include "common/rpc/status.h"

#include "common/base/check.h"

struct status_row {
    enum err err;
    enum rpc_status status;
};

/* Both ways by the first row that fits. */
static const struct status_row status_rows[] = {
    {OK, RPC_OK},
    {ERR_CANCELLED, RPC_CANCELLED},
    {ERR_SYNTAX, RPC_INVALID_ARGUMENT},
    {ERR_TIMEOUT, RPC_DEADLINE_EXCEEDED},
    {ERR_NOT_FOUND, RPC_NOT_FOUND},
    {ERR_EXISTS, RPC_ALREADY_EXISTS},
    {ERR_DENIED, RPC_PERMISSION_DENIED},
    {ERR_LIMIT, RPC_RESOURCE_EXHAUSTED},
    {ERR_PRECONDITION, RPC_FAILED_PRECONDITION},
    {ERR_MISMATCH, RPC_ABORTED},
    {ERR_RANGE, RPC_OUT_OF_RANGE},
    {ERR_UNSUPPORTED, RPC_UNIMPLEMENTED},
    {ERR_INTERNAL, RPC_INTERNAL},
    {ERR_UNAVAILABLE, RPC_UNAVAILABLE},
    {ERR_DAMAGED, RPC_DATA_LOSS},
    {ERR_VERIFY, RPC_UNAUTHENTICATED},
    {ERR_BUSY, RPC_RESOURCE_EXHAUSTED},
    {ERR_FULL, RPC_RESOURCE_EXHAUSTED},
    {ERR_PROTOCOL, RPC_INVALID_ARGUMENT},
    {ERR_EXPIRED, RPC_PERMISSION_DENIED},
    {ERR_CLOSED, RPC_UNAVAILABLE},
    {ERR_IO, RPC_UNAVAILABLE},
    {ERR_STATE, RPC_INTERNAL},
    {ERR_INTERNAL, RPC_UNKNOWN},
};

static const char *const status_names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

enum rpc_status rpc_status_of(enum err e)
{
    for (size_t i = 0; i < ARRAY_LEN(status_rows); i++)
        if (status_rows[i].err == e)
            return status_rows[i].status;
    return RPC_UNKNOWN;
}

enum err rpc_status_err(enum rpc_status status)
{
    for (size_t i = 0; i < ARRAY_LEN(status_rows); i++)
        if (status_rows[i].status == status)
            return status_rows[i].err;
    return ERR_INTERNAL;
}

const char *rpc_status_name(enum rpc_status status)
{
    return (size_t)status < ARRAY_LEN(status_names) ? status_names[status] : "UNKNOWN";
}
