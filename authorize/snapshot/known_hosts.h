/*
 * OpenSSH known_hosts files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): which keys and authorities
 * are known for a target. Names may be hashed.
 */
#ifndef AUTHORIZE_SNAPSHOT_KNOWN_HOSTS_H
#define AUTHORIZE_SNAPSHOT_KNOWN_HOSTS_H

#include "common/base/diag.h"
#include "common/crypto/digest.h"
#include "common/crypto/key.h"

enum known_hosts_kind {
    KNOWN_HOSTS_KEY,
    KNOWN_HOSTS_CA,      /* @cert-authority */
    KNOWN_HOSTS_REVOKED, /* @revoked */
};

struct known_host {
    enum known_hosts_kind kind;
    char *patterns; /* comma separated, as written; unless hashed */
    struct public_key key;
    bool is_hashed; /* one name, as its HMAC under the salt */
    uint8_t salt[DIGEST_SHA1_LEN];
    uint8_t hash[DIGEST_SHA1_LEN];
};

/* A zeroed struct knows nobody. */
struct known_hosts {
    struct known_host *items;
    size_t count;
};

/* Lines that cannot be used are warnings in `d`, at `at` with the line added to the sentence. */
void known_hosts_parse(struct known_hosts *k, struct view text, struct diag_place at,
                       struct diag *d);
void known_hosts_fini(struct known_hosts *k);

/*
 * Is there a row of this kind for the target with this key? The name is "host" for port 22, else
 * "[host]:port"; patterns have * and ?, and ! excludes. Authorities and revoked keys are looked for
 * by the bare host too: what an authority signs has no ports, and a revoked key is good nowhere.
 */
bool known_hosts_has(const struct known_hosts *k, enum known_hosts_kind kind, const char *host,
                     uint16_t port, const struct public_key *key);

/* Is there an authority for the target? */
bool known_hosts_has_ca(const struct known_hosts *k, const char *host, uint16_t port);

/* The types of keys recorded for the target, as bits by enum key_type. */
unsigned known_hosts_types(const struct known_hosts *k, const char *host, uint16_t port);

#endif
