/* The code of a sign-in link. Pure. */
#ifndef AUTHENTICATE_CODE_H
#define AUTHENTICATE_CODE_H

#include "common/base/view.h"

enum { CODE_MAX = 64 };

/* Letters, digits, "-" and "_", as many as CODE_MAX: fit for a URL, an id and a page. */
bool code_is_valid(struct view code);

#endif
