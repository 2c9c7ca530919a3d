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
    CRITERION_ABOUT_REQUEST = 4, /* address, time, method, path, client certificate */
    CRITERION_ABOUT_LOGIN = 8,   /* the login name at an SSH target */
};

/* Where it can be true; elsewhere it is false, whatever its data. */
enum criterion_only { CRITERION_EVERYWHERE, CRITERION_SSH, CRITERION_HTTP };

struct criterion_type;
struct client_rule;
struct clock_rule;

/* Compiled. A zeroed one with its type set matches as the type does without data. */
struct criterion {
    const struct criterion_type *type;
    char *path; /* behind the first '/', or a claim's name; may be NULL */
    struct matcher matcher;
    struct keyset keys;
    struct ip_net *nets;
    size_t net_count;
    struct client_rule *client;
    struct clock_rule *clock;
};

struct criterion_type {
    const char *name;
    unsigned about;
    enum criterion_only only;
    bool takes_path; /* NAME/PATH */
    enum reason ok;
    enum reason not_ok;
    /* NULL: any data will do. Errors go to the source's diag. */
    void (*parse)(struct criterion *c, const struct policy_source *s, const struct node *data);
    /* PERSON: called with a session only. */
    bool (*match)(const struct criterion *c, const struct facts *f);
    /* NULL: `ok`. Why it matched, where there are several reasons. */
    enum reason (*why)(const struct facts *f);
    /* NULL: never. The next second after `now_s` in which `match` may say something else. */
    uint64_t (*next_edge)(const struct criterion *c, uint64_t now_s);
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
extern const struct criterion_type criterion_http_method;
extern const struct criterion_type criterion_http_path;
extern const struct criterion_type criterion_cors_preflight;
extern const struct criterion_type criterion_client_certificate;
extern const struct criterion_type criterion_invalid_client_certificate;
extern const struct criterion_type criterion_identity;
extern const struct criterion_type criterion_device;
extern const struct criterion_type criterion_date;
extern const struct criterion_type criterion_day_of_week;
extern const struct criterion_type criterion_time_of_day;

/* By name (without a path); NULL when unknown. */
const struct criterion_type *criterion_type_find(struct view name);

void criterion_fini(struct criterion *c);
void client_rule_free(struct client_rule *r);

/* Parsers that several criteria share. */
void criterion_parse_string(struct criterion *c, const struct policy_source *s,
                            const struct node *data);
void criterion_parse_list(struct criterion *c, const struct policy_source *s,
                          const struct node *data);

#endif
