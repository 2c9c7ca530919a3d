/* Public keys that a policy names, as wire blobs. */
#ifndef AUTHORIZE_POLICY_KEYSET_H
#define AUTHORIZE_POLICY_KEYSET_H

#include "authorize/policy/matcher.h"
#include "common/base/buf.h"

enum { KEYSET_BLOB_MAX = 64 * 1024 };

struct keyset {
    struct buf *blobs;
    size_t count;
};

/*
 * A string or a list of strings of authorized_keys lines ("TYPE BASE64 [COMMENT]"), several per
 * string allowed; empty lines and # comments are skipped. `plain` refuses certificates. Errors go
 * to the source's diag.
 */
void keyset_parse(struct keyset *k, const struct policy_source *s, const struct node *n,
                  bool plain);
void keyset_fini(struct keyset *k);

bool keyset_has(const struct keyset *k, struct view blob);

#endif
