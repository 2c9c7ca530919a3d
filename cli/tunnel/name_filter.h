/*
 * The filters of --client-cert-issuer and --client-cert-subject: ATTRIBUTE=VALUE, one attribute of
 * an X.509 name by its long or short name. Pure.
 */
#ifndef CLI_TUNNEL_NAME_FILTER_H
#define CLI_TUNNEL_NAME_FILTER_H

#include "common/base/err.h"
#include "common/base/view.h"

struct name_filter {
    const char *attribute; /* the long name, "commonName" */
    struct view value;     /* into the text; exact, case matters */
};

/* ERR_SYNTAX with a sentence in *out_why, fresh memory. */
enum err name_filter_parse(const char *text, struct name_filter *out, char **out_why);

#endif
