/*
 * OpenSSH certificates (PROTOCOL.certkeys, -cert-v01@openssh.com): parsed with bounds, verified,
 * and user certificates made. Times are seconds since 1970, as on the wire.
 */
#ifndef COMMON_CRYPTO_CERT_H
#define COMMON_CRYPTO_CERT_H

#include "common/crypto/key.h"

enum cert_kind {
    CERT_USER = 1,
    CERT_HOST = 2,
};

enum {
    CERT_BLOB_MAX = 64 * 1024,
    CERT_PRINCIPALS_MAX = 256,
    CERT_OPTIONS_MAX = 64, /* critical options and extensions each */
    CERT_KEY_ID_MAX = 1024,
};

/* `data` is raw: empty for a flag; where an option has an argument, one encoded string. */
struct cert_option {
    struct view name;
    struct view data;
};

struct cert {
    struct public_key key; /* what is certified */
    struct public_key ca;  /* who signed; a plain key by construction (CVE-2025-49825) */
    enum cert_kind kind;
    uint64_t serial;
    struct view key_id;
    struct view *principals;
    size_t principals_len;
    uint64_t valid_after;  /* first second */
    uint64_t valid_before; /* first second after */
    struct cert_option *critical;
    size_t critical_len;
    struct cert_option *extensions;
    size_t extensions_len;
    struct view signed_part; /* what the signature covers */
    struct view signature;   /* signature blob */
    uint8_t *blob;           /* owned copy that the views point into */
    size_t blob_len;
};

/*
 * ERR_SYNTAX (also: names of options not ascending, trailing bytes), ERR_UNSUPPORTED (not a
 * certificate type we know, or a CA key that is one), ERR_RANGE, ERR_LIMIT. The signature is not
 * checked yet. Certificates for security keys are parsed too.
 */
enum err cert_parse(struct cert *c, struct view blob);
void cert_fini(struct cert *c);

/*
 * The signature by c->ca, with any algorithm of that key (never SHA-1). Whether that CA is trusted
 * is the caller's question.
 */
enum err cert_verify(const struct cert *c);

/*
 * Kind, time and principal in one: ERR_MISMATCH (kind or principal; an empty list of principals
 * matches nobody), ERR_EXPIRED (before or after its time), ERR_UNSUPPORTED (a critical option that
 * is not in `known`, a NULL terminated list; NULL = none known). Not the signature.
 */
enum err cert_check(const struct cert *c, enum cert_kind kind, struct view principal,
                    uint64_t now_s, const char *const *known);

/* The argument of an option: the string within its data. ERR_SYNTAX. */
enum err cert_option_text(const struct cert_option *o, struct view *out);

/* NULL when absent. */
const struct cert_option *cert_find_critical(const struct cert *c, const char *name);
const struct cert_option *cert_find_extension(const struct cert *c, const char *name);

struct cert_spec {
    enum cert_kind kind;
    const struct public_key *key;
    uint64_t serial;
    struct view key_id;
    const struct view *principals;
    size_t principals_len;
    uint64_t valid_after;
    uint64_t valid_before;
    const struct cert_option *critical; /* any order; sorted when written */
    size_t critical_len;
    const struct cert_option *extensions;
    size_t extensions_len;
};

/*
 * The five that ssh-keygen gives a user certificate: permit-X11-forwarding,
 * permit-agent-forwarding, permit-port-forwarding, permit-pty, permit-user-rc.
 */
enum { CERT_PERMITS = 5 };
extern const struct cert_option cert_permits[CERT_PERMITS];

/*
 * Appends the signed certificate blob to `out`. An RSA CA signs with rsa-sha2-512. ERR_RANGE: a
 * bound above, or valid_after >= valid_before. A user certificate without principals would be good
 * for every login, so it is ERR_RANGE too.
 */
enum err cert_sign(const struct cert_spec *spec, const struct private_key *ca,
                   const struct rng *rng, struct buf *out);

/* "ssh-ed25519-cert-v01@openssh.com", … The type name inside a blob (RSA: ssh-rsa-cert-…). */
const char *cert_type_name(enum key_type type);

/* ERR_UNSUPPORTED when `name` is no certificate type name. */
enum err cert_type_find(struct view name, enum key_type *out_type);

/* Appends "TYPE BASE64 COMMENT", a -cert.pub line without newline. */
enum err cert_write_line(struct view blob, const char *comment, struct buf *out);

#endif
