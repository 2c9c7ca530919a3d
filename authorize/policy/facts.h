/*
 * What a policy is evaluated on. Everything is borrowed and stays as it is during the evaluation;
 * who fills it has parsed keys and certificates and checked signatures before.
 */
#ifndef AUTHORIZE_POLICY_FACTS_H
#define AUTHORIZE_POLICY_FACTS_H

#include "common/base/ip.h"
#include "common/base/view.h"

/* One claim, flattened: {"a": {"b": ["x", 1]}} is the name "a.b" with the values "x" and "1". */
struct claim {
    const char *name;
    const char *const *values;
    size_t count;
};

struct claims {
    const struct claim *items;
    size_t count;
};

/* A critical option of a certificate. */
struct facts_option {
    struct view name;
    struct view value;
};

/* The certificate that was offered, if the key is one. */
struct facts_certificate {
    bool is_user;       /* type 1; a host certificate never counts */
    bool is_verified;   /* the signature of `ca_key` over the certificate was checked */
    struct view ca_key; /* wire blob */
    uint64_t valid_after_s;
    uint64_t valid_before_s;
    const struct view *principals;
    size_t principal_count;
    const struct facts_option *critical;
    size_t critical_count;
};

struct facts_names {
    const char *const *items;
    size_t count;
};

/* What a client showed in TLS, as downstream_mtls judged it (common/crypto/x509_client.h). */
struct facts_client {
    bool presented;
    bool valid;
    struct view fingerprint; /* SHA-256 of the certificate, 32 bytes */
    struct view spki_hash;   /* SHA-256 of its key, 32 bytes */
    struct facts_names emails;
    struct facts_names dns;
    struct facts_names uris;
};

struct facts {
    /* Who: nothing of this counts without a session. A service account is one too. */
    bool has_session;
    bool is_service_account;
    struct view user_id;
    struct view email; /* the directory's, else the user's */
    struct claims user_claims;
    struct claims session_claims; /* where the user has no claim of that name */
    bool has_directory;
    const char *const *directory_groups;
    size_t directory_group_count;

    /* Where from, with what. */
    struct ip source;
    struct view login;
    struct view key;                             /* wire blob as offered */
    const struct facts_certificate *certificate; /* NULL: a plain key */
    uint64_t now_s;

    /* A request on the HTTPS listener: login, key and certificate above are those of SSH. */
    bool is_http;
    struct view method;
    struct view path;                  /* "" for CONNECT */
    const struct facts_client *client; /* NULL: nothing was presented */
};

/* The values of a claim by its path; '.' and '/' are the same. NULL when there is none. */
const struct claim *facts_claim(const struct facts *f, struct view path);

#endif
