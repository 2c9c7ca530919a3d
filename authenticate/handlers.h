/* What answers which path. Each consumes the exchange. */
#ifndef AUTHENTICATE_HANDLERS_H
#define AUTHENTICATE_HANDLERS_H

#include "authenticate/exchange.h"

void handle_home(struct exchange *x);
void handle_robots(struct exchange *x);
void handle_style(struct exchange *x);
void handle_script(struct exchange *x);
void handle_account(struct exchange *x);
void handle_sign_in(struct exchange *x);
void handle_callback(struct exchange *x);    /* idp_oidc.c */
void handle_local_login(struct exchange *x); /* idp_local.c */
void handle_sign_out(struct exchange *x);
void handle_signed_out(struct exchange *x);
void handle_bindings(struct exchange *x);
void handle_binding_revoke(struct exchange *x);
void handle_identity_revoke(struct exchange *x);

/* For programs, and for the hosts of routes. */
void handle_api_login(struct exchange *x);
void handle_sign_in_redirect(struct exchange *x); /* api_login.c: of handle_sign_in */
void handle_route_callback(struct exchange *x);
void handle_user(struct exchange *x);
void handle_api_logout(struct exchange *x);
void handle_device_login(struct exchange *x); /* device.c */
void handle_device_token(struct exchange *x);
void handle_well_known(struct exchange *x);

#endif
