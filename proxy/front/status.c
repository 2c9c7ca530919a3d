#include "proxy/front/status.h"

#include <stdbool.h>

static bool may_be_browser(enum accept_kind accept)
{
    return accept == ACCEPT_NONE || accept == ACCEPT_HTML;
}

uint16_t status_of(enum tunnel_cause cause, enum tunnel_token_place place, enum accept_kind accept)
{
    bool in_field = place == TUNNEL_TOKEN_HEADER || place == TUNNEL_TOKEN_QUERY;
    switch (cause) {
    case TUNNEL_UNAUTHENTICATED:
    case TUNNEL_TOKEN_INVALID:
        return !in_field && may_be_browser(accept) ? 302 : 401;
    case TUNNEL_DENIED:
        return 403;
    case TUNNEL_ROUTE_NOT_FOUND:
        return 404;
    case TUNNEL_CLIENT_CERTIFICATE:
        return 495;
    case TUNNEL_UPSTREAM:
    case TUNNEL_UNDECIDED:
    case TUNNEL_BUSY:
        return 503;
    }
    return 500;
}
