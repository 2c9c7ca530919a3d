/* What a criterion of PPL is; one file per criterion, one row each in criteria.c. */
#ifndef AUTHORIZE_POLICY_CRITERION_H
#define AUTHORIZE_POLICY_CRITERION_H

#include "authorize/policy/facts.h"
#include "authorize/policy/keyset.h"
#include "authorize/policy/matcher.h"
#include "authorize/policy/reason.h"

/* Which facts decide it. Bits. */
enum criterion_about {
    CRITERION_ABOUT_NOTHING = 0, /* constant */
    CRITERION_ABOUT_PERSON = 1,  /* needs a session: false (user-unauthenticated) without */
    CRITERION_ABOUT_KEY = 2,     /* the key or certificate, the login and address it is for */
    CRITERION_ABOUT_REQUEST = 4, /* address, login */
};

struct criterion_type;

/* Compiled. A zeroed one with its type set matches as the type does without data. */
struct criterion {
    const struct criterion_type *type;
    char *path; /* behind the first '/', or a claim's name; may be NULL */
    struct matcher matcher;
    struct keyset keys;
    struct ip_net *nets;
    size_t net_count;
};

struct criterion_type {
    const char *name;
    unsigned about;
    bool takes_path; /* NAME/PATH */
    enum reason ok;
    enum reason not_ok;
    /* NULL: any data will do. Errors go to the source's diag. */
    void (*parse)(struct criterion *c, const struct policy_source *s, const struct node *data);
    /* PERSON: called with a session only. */
    bool (*match)(const struct criterion *c, const struct facts *f);
};

extern const struct criterion_type criterion_accept;
extern const struct criterion_type criterion_reject;
extern const struct criterion_type criterion_authenticated_user;
extern const struct criterion_type criterion_user;
extern const struct criterion_type criterion_email;
extern const struct criterion_type criterion_domain;
extern const struct criterion_type criterion_claim;
extern const struct criterion_type criterion_groups;
extern const struct criterion_type criterion_source_ip;
extern const struct criterion_type criterion_ssh_publickey;
extern const struct criterion_type criterion_ssh_ca;
extern const struct criterion_type criterion_ssh_username;
extern const struct criterion_type criterion_ssh_username_matches_email;
extern const struct criterion_type criterion_ssh_username_matches_claim;

/* By name (without a path); NULL when unknown. */
const struct criterion_type *criterion_type_find(struct view name);

void criterion_fini(struct criterion *c);

/* Parsers that several criteria share. */
void criterion_parse_string(struct criterion *c, const struct policy_source *s,
                            const struct node *data);
void criterion_parse_list(struct criterion *c, const struct policy_source *s,
                          const struct node *data);

#endif
