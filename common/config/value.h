/*
 * Inside common/config: from a node to a field of struct config, by the type of the key. Errors go
 * to the diag; the field then keeps what it had.
 */
#ifndef COMMON_CONFIG_VALUE_H
#define COMMON_CONFIG_VALUE_H

#include "common/config/config.h"

/* What a config owns besides its fields. */
struct config_internal {
    _Atomic unsigned refs;
    struct tree *arena;    /* all strings and arrays */
    struct tree *trees[8]; /* parsed documents that fields point into */
    size_t tree_count;
    struct buf canonical;
};

struct parse {
    struct config *config;
    const struct config_source *source;
    struct diag *diag;
    struct tree *arena;
    struct node *root;         /* file and environment merged: a map */
    const struct node *routes; /* of the key routes, then of policy */
    const struct node *policy;
};

struct value {
    const struct config_key *key;
    const char *name; /* as written: key->name or its file form */
    const struct node *node;
    void *field;
    bool file; /* the value names a file */
    bool own;  /* this service reads it: else no file is opened */
};

/* By key->type, but CUSTOM. */
void value_apply(struct parse *p, const struct value *v);

/* An address into the const char * that is the field. */
void value_address(struct parse *p, const struct value *v);

/* By key->name: the keys of type CUSTOM. */
void custom_apply(struct parse *p, const struct value *v);

/* downstream_mtls (mtls.c), and what it means together with other keys. */
void mtls_apply(struct parse *p, const struct value *v);
void mtls_check(struct parse *p);

/* Releases what a field holds outside the arena. */
void value_fini(enum config_type type, void *field);

/* "expected WHAT, got …"; the value is told unless the key is secret. */
void value_expected(struct parse *p, const struct value *v, const char *what);

/*
 * Reads the file that `node` names into *out. False after an error was reported, or when files are
 * not opened here (source->read is NULL). *out_path lives with the config.
 */
bool value_read_file(struct parse *p, const struct value *v, const struct node *node,
                     struct secret *out, const char **out_path);

/* Inline PEM, or base64 of it, with a newline at its end. */
void value_inline_text(struct view text, struct config_blob *out);

/* value_read_file into a blob. */
bool value_blob_file(struct parse *p, const struct value *v, const struct node *node,
                     struct config_blob *out);

/* Moves the text of a blob from the heap into `t`, which wipes it: the blob needs no value_fini. */
void value_blob_keep(struct tree *t, struct config_blob *blob);

/* A copy in the arena. */
const char *value_str(struct parse *p, struct view text);

/* A list of strings, or a scalar split at commas. False after an error. */
bool value_list(struct parse *p, const struct value *v, struct config_list *out);

/* Cross checks and derived fields, after all keys were applied (rules.c). */
void rules_apply(struct parse *p);

/* Is the key, or its file form, in the file or the environment? */
const struct node *parse_given(const struct parse *p, const char *key);

#endif
