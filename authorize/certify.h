/* Certify: judges the target's host key and makes the user certificate. */
#ifndef AUTHORIZE_CERTIFY_H
#define AUTHORIZE_CERTIFY_H

#include "authorize/connection.h"

/* Answers, later, with Certificate or Refusal. */
void certify(struct authorize *a, struct worker *w, const struct stream_certify *m);

/* `c` is not held any more: its Certify, which waited for that, goes on. */
void certify_unheld(struct authorize *a, const struct connection *c);

/* Refuses those that have waited for too long. Each second. */
void certify_tick(struct authorize *a);

void certify_fini(struct authorize *a);

#endif
