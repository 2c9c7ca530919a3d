/* Certify: judges the target's host key and makes the user certificate. */
#ifndef AUTHORIZE_CERTIFY_H
#define AUTHORIZE_CERTIFY_H

#include "authorize/connection.h"

/* Answers, later, with Certificate or Refusal. */
void certify(struct authorize *a, struct worker *w, const struct stream_certify *m);

#endif
