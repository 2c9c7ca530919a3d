/* What a worker is told of a decision. */
#ifndef AUTHORIZE_ANSWER_H
#define AUTHORIZE_ANSWER_H

#include "authorize/connection.h"

/* A refusal before there is a connection. */
void answer_check(struct authorize *a, struct worker *w, const struct stream_check *m,
                  enum message sentence, enum stream_cause cause);

/* It could not be decided, or no sign-in could be begun. */
void answer_unavailable(struct authorize *a, struct connection *c, enum message sentence);

/* A deny or another key; of all but SSH also a login, which nothing waits for here. */
void answer_refusal(struct authorize *a, struct connection *c, const struct decision *d);

/* `c` has what the decision says of who and where, unless it is http. */
void answer_allow(struct authorize *a, struct connection *c, const struct decision *d);

/* SSH: the link to sign in by; `c` has its code. */
void answer_login(struct authorize *a, const struct connection *c);

#endif
