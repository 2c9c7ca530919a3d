/*
 * The table of all keys (keys.def) and the small types that their values have. A key knows which
 * services read it: the others check its form and forget it.
 */
#ifndef COMMON_CONFIG_KEYS_H
#define COMMON_CONFIG_KEYS_H

#include "common/base/diag.h"
#include "common/base/secret.h"
#include "common/config/tree.h"

enum config_service {
    CONFIG_AUTHENTICATE = 1,
    CONFIG_AUTHORIZE = 2,
    CONFIG_PROXY = 4,
    CONFIG_DATABROKER = 8,
    CONFIG_CLI = 16,
    CONFIG_DAEMONS = 15,
    CONFIG_ALL = 31,
};

/* "authenticate", "authorize", "proxy", "databroker", "cli". */
const char *config_service_name(enum config_service s);

struct config_item {
    const char *text;
    struct diag_place at;
};

struct config_list {
    struct config_item *items;
    size_t count;
};

/* A map of strings. */
struct config_pair {
    const char *name;
    const char *value;
};

struct config_pairs {
    struct config_pair *items;
    size_t count;
};

/*
 * What a file held or what was written inline. Empty text: the key was not given. Else a NUL byte
 * follows the text, so .text.data may be used as a string.
 */
struct config_blob {
    struct secret text;
    const char *file;     /* NULL when it was inline */
    const char *key;      /* the key that named it, for messages */
    struct diag_place at; /* where that key's value is */
};

struct config_blobs {
    struct config_blob *items;
    size_t count;
};

/* An absolute http or https URL without user information, query or fragment. */
struct config_url {
    const char *text; /* as written; service URLs without a trailing slash. NULL: not given */
    bool https;
    const char *host;      /* lower case, without brackets */
    uint16_t port;         /* given or the scheme's */
    const char *path;      /* "" or "/…" */
    const char *authority; /* as in a Host header: host, and the port unless it is the scheme's */
    const char *target;    /* host:port or [host]:port, to connect to */
    bool loopback;         /* localhost, 127.0.0.0/8 or ::1 */
    struct diag_place at;
};

struct config_urls {
    struct config_url *items;
    size_t count;
};

enum config_type {
    CONFIG_TYPE_STRING,   /* const char *; "" when absent */
    CONFIG_TYPE_BOOL,     /* bool */
    CONFIG_TYPE_DURATION, /* uint64_t, milliseconds */
    CONFIG_TYPE_CHOICE,   /* int, position in config_key.choices */
    CONFIG_TYPE_LIST,     /* struct config_list; a scalar is split at commas */
    CONFIG_TYPE_PAIRS,    /* struct config_pairs */
    CONFIG_TYPE_ADDRESS,  /* const char *, "host:port" or ":port"; "" when absent */
    CONFIG_TYPE_URL,      /* struct config_url */
    CONFIG_TYPE_URLS,     /* struct config_urls; the singular key's value too */
    CONFIG_TYPE_SECRET,   /* struct secret, text without the newline at its end */
    CONFIG_TYPE_KEY32,    /* struct secret, 32 bytes, base64 in the file */
    CONFIG_TYPE_BLOB,  /* struct config_blob: PEM, keys; inline text or, by its file form, a file */
    CONFIG_TYPE_BLOBS, /* struct config_blobs */
    CONFIG_TYPE_CUSTOM, /* has its own parser (custom.c) */
};

enum {
    CONFIG_FILE_FORM = 1,     /* NAME_file names a file that holds the value */
    CONFIG_FILE_ONLY = 2,     /* NAME itself names a file */
    CONFIG_FILE_TIGHT = 4,    /* the file must not be open to group or others (mode & 077) */
    CONFIG_HIDDEN = 8,        /* the value is secret: not part of the public hash */
    CONFIG_POSITIVE = 16,     /* a duration that may not be 0 */
    CONFIG_DERIVES = 32,      /* read by all when the service identities are derived from it */
    CONFIG_PORT_22 = 64,      /* an address whose port may be missing */
    CONFIG_SERVICE_URL = 128, /* a URL without a path */
};

struct config_key {
    const char *name;
    enum config_type type;
    unsigned services;   /* who reads it */
    size_t offset;       /* in struct config */
    const char *initial; /* default as text, NULL for none */
    unsigned flags;
    const char *choices; /* CHOICE: words in order, "a|b,c": b and c mean the same */
    const char *what;    /* "ssh host key" in messages, or NULL */
    const char *note;    /* for people: what the key does */
};

/* All rows, in the order of the documentation. */
const struct config_key *config_keys(size_t *out_count);

/*
 * The row that `name` belongs to, or NULL. *out_file_form: it is the NAME_file form, so the value
 * is the name of a file that holds the value.
 */
const struct config_key *config_key_find(const char *name, bool *out_file_form);

/*
 * Why a key of Pomerium does nothing here; NULL when it is no key of Pomerium that we know.
 * *out_refused is true when ignoring it would let in more than its writer meant.
 */
const char *config_unsupported(const char *name, bool *out_refused);
/* The same for keys of routes: of tunnels (tcp, udp) or of ssh. */
const char *route_unsupported(const char *name, bool tunnel, bool *out_refused);

/* Keeps in *best the candidate closest to `name`, when it is close enough to be meant. */
struct closest {
    const char *best; /* NULL when nothing is close */
    size_t distance;
};
void closest_offer(struct closest *c, const char *name, const char *candidate);

/* The key that `name` may have been meant to be, or NULL. */
const char *config_key_closest(const char *name);

#endif
