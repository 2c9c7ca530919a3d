/*
 * The match code of a sign-in: eight letters that the terminal and the approval page both show, so
 * that a person sees that they belong together. Derived from the code of the link, one way.
 */
#ifndef COMMON_CRYPTO_MATCH_CODE_H
#define COMMON_CRYPTO_MATCH_CODE_H

#include "common/base/view.h"

enum { MATCH_CODE_SIZE = 10 }; /* "XXXX-XXXX" and NUL */

/* Consonants only: nothing that looks like a digit or makes a word. */
void match_code(struct view code, char out[MATCH_CODE_SIZE]);

#endif
