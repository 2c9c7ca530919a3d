/* What kind of answer a client wants, by its Accept fields (RFC 9110 §12.5.1). */
#ifndef COMMON_HTTP_ACCEPT_H
#define COMMON_HTTP_ACCEPT_H

#include "common/base/view.h"
#include "common/http/fields.h"

enum accept_kind {
    ACCEPT_NONE, /* no Accept at all */
    ACCEPT_HTML,
    ACCEPT_JSON,
    ACCEPT_PLAIN,
    ACCEPT_GRPC,
};

/* By quality; among equals the first one written. "*" alone counts as HTML, none of these too. */
enum accept_kind accept_kind(const struct fields *f);

#endif
