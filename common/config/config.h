/*
 * The one configuration that all services share, parsed for one of them. Keys are named as in the
 * file. Only keys that the service reads are set from it (and only their files opened); the others
 * are checked for their form and keep their defaults.
 *
 * A parsed config never changes. It is counted: config_ref before another thread or a later
 * callback uses it, config_unref (which wipes) afterwards. All pointers in it live as long.
 */
#ifndef COMMON_CONFIG_CONFIG_H
#define COMMON_CONFIG_CONFIG_H

#include "common/base/diag.h"
#include "common/base/err.h"
#include "common/base/secret.h"
#include "common/config/keys.h"
#include "common/config/routes.h"
#include "common/config/tree.h"

enum ssh_profile { SSH_PROFILE_COMPAT, SSH_PROFILE_STRICT };
enum ssh_reveal { SSH_REVEAL_SIGNED_IN, SSH_REVEAL_ANYONE };
enum storage_type { STORAGE_MEMORY, STORAGE_FILE };
enum same_site { SAME_SITE_DEFAULT, SAME_SITE_LAX, SAME_SITE_STRICT, SAME_SITE_NONE };

/* Values of log_level; common/daemon/log.h uses them too. */
enum config_log_level {
    CONFIG_LOG_TRACE,
    CONFIG_LOG_DEBUG,
    CONFIG_LOG_INFO,
    CONFIG_LOG_WARN,
    CONFIG_LOG_ERROR,
    CONFIG_LOG_NONE,
};

/* contracts.md §6: from `start` unauthenticated connections on, `rate` % are refused; `full`. */
struct ssh_max_startups {
    uint32_t start;
    uint32_t rate;
    uint32_t full;
};

/* PEM of a TLS certificate chain and its key. */
struct config_certificate {
    struct config_blob chain;
    struct config_blob key;
};

/* One user of the embedded provider. */
struct config_user {
    const char *email; /* lower case */
    const char *name;  /* "" when absent */
    struct config_list groups;
    const char *password_hash; /* "$scrypt$…" */
    struct diag_place at;
};

enum mtls_enforcement { MTLS_POLICY_WITH_DEFAULT_DENY, MTLS_POLICY, MTLS_REJECT_CONNECTION };

struct config_san_match {
    const char *kind;    /* dns, email, ip_address, uri, user_principal_name */
    const char *pattern; /* POSIX extended regular expression for the whole name; it compiles */
};

/* What client certificates on the HTTPS listener are judged by. */
struct config_mtls {
    bool given;            /* a CA was named: client certificates are asked for */
    struct config_blob ca; /* PEM; read by the proxy alone, as is the next */
    struct config_blob crl;
    int enforcement;           /* enum mtls_enforcement */
    uint32_t max_verify_depth; /* certificates above the leaf; 0: no limit */
    struct config_san_match *matches;
    size_t match_count;
};

struct config {
    /* --- where it comes from --- */
    enum config_service service;
    const char *file;
    char hash[65]; /* hex; equal for equal settings in all services; without secrets, and without
                      where a process listens */
    uint8_t content_hash[32]; /* of everything that was read; equal = nothing changed */
    struct config_list files; /* every file that was read besides `file` */

    /* --- all --- */
    struct config_list services; /* as written; empty means all */
    int log_level;               /* enum config_log_level */
    uint64_t shutdown_grace;
    const char *health_check_addr; /* with the service's default filled in */
    const char *metrics_address;   /* of this service; "" = off */
    struct diag_place metrics_address_at;
    uint64_t grpc_client_timeout;
    /*
     * PEM. Empty in files: common/daemon then fills them with an identity derived from
     * shared_secret and sets identity_derived.
     */
    struct config_blob service_certificate_authority;
    struct config_blob service_certificate;
    struct config_blob service_certificate_key;
    bool identity_derived;
    struct secret shared_secret; /* 32 bytes, or empty where it is not needed */
    struct secret shared_secret_previous;

    /* --- URLs of the services --- */
    struct config_url authenticate_service_url;
    struct config_url authenticate_internal_service_url;
    struct config_urls authorize_service_urls;  /* never empty */
    struct config_urls databroker_service_urls; /* never empty */
    const char *grpc_address;                   /* as written, "" when absent */
    const char *authenticate_address;           /* as written */
    /*
     * Rule 2: where this service listens for the other daemons, "127.0.0.1:5443" or ":5443"; NULL
     * for the proxy and the CLI.
     */
    const char *internal_listen;

    /* --- authenticate --- */
    struct secret cookie_secret; /* 32 bytes */
    uint64_t cookie_expire;
    const char *cookie_name; /* the proxy's too */
    const char *cookie_domain;
    int cookie_same_site;     /* enum same_site */
    const char *idp_provider; /* "oidc", "local" */
    struct config_url idp_provider_url;
    const char *idp_client_id;
    struct secret idp_client_secret;
    struct config_list idp_scopes; /* empty: the provider's default */
    struct config_pairs idp_request_params;
    struct config_blob idp_ca; /* key idp_ca_file */
    struct config_user *idp_local_users;
    size_t idp_local_user_count;
    struct config_list programmatic_redirect_domain_whitelist;

    /* --- proxy --- */
    const char *address;
    bool insecure_server;           /* plain HTTP on `address` */
    const char *http_redirect_addr; /* "" = none */
    uint64_t timeout_read;
    uint64_t timeout_idle;
    struct config_blob certificate; /* moved into certificates */
    struct config_blob certificate_key;
    struct config_certificate *certificates; /* certificate_file first, then certificates[] */
    size_t certificate_count;
    const char *ssh_address;           /* with port 22 if it has none; "" = no SSH */
    struct config_blobs ssh_host_keys; /* ssh_host_key_files[] first, then ssh_host_keys[] */
    bool use_proxy_protocol;           /* on the HTTPS listener */
    bool ssh_use_proxy_protocol;
    struct config_list proxy_protocol_trusted; /* addresses and networks that ip_net_parse takes */

    /* --- authorize --- */
    struct config_blob ssh_user_ca_key;
    int ssh_host_key_policy;            /* enum host_key_policy */
    struct config_blob ssh_known_hosts; /* key ssh_known_hosts_file */
    struct routes routes;

    /* --- proxy and authorize --- */
    struct config_mtls downstream_mtls;
    int ssh_profile; /* enum ssh_profile */
    uint64_t ssh_login_grace_time;
    struct ssh_max_startups ssh_max_startups;
    uint64_t ssh_sign_in_timeout;
    int ssh_reveal_routes; /* enum ssh_reveal */
    uint64_t revocation_grace;
    uint64_t authorize_max_staleness;
    struct config_list access_log_fields;
    struct config_list authorize_log_fields;
    uint64_t access_log_interval;

    /* --- databroker --- */
    int databroker_storage_type; /* enum storage_type */
    struct secret databroker_storage_connection_string;
    const char *databroker_storage_dir; /* of file:///DIR; NULL for memory */

    struct config_internal *internal;
};

/* Sets the text, with a NUL behind it (see config_blob). */
void config_blob_set(struct config_blob *b, struct view text);

/* What the pure parser needs from outside. */
struct config_source {
    const char *file; /* for messages */
    struct view yaml;
    enum config_service service;
    void *ctx;
    /* The value of an environment variable, or NULL. May be NULL. */
    const char *(*env)(void *ctx, const char *name);
    /*
     * Reads a file into an empty *out. `tight` refuses files that are open to group or others
     * (ERR_PERMISSION). On failure *out_reason is a static or long-lived sentence. NULL: files are
     * not opened, their keys stay empty and are not missed (for `config check` on another host).
     */
    enum err (*read)(void *ctx, const char *path, bool tight, struct secret *out,
                     const char **out_reason);
};

/*
 * ERR_CONFIG when `d` got an error; warnings do not fail. `hash` and `content_hash` are left to
 * the caller (common/daemon/config_file.h), for which config_canonical gives the bytes.
 */
enum err config_parse(const struct config_source *source, struct diag *d, struct config **out);

struct config *config_ref(const struct config *c);

/* NULL is fine. */
void config_unref(const struct config *c);

/* The bytes whose hash is config.hash: file and environment in normal form, without secrets and
 * listening addresses. */
struct view config_canonical(const struct config *c);

/* <authenticate_service_url>/oauth2/callback, which the provider must know; appended to `out`. */
enum err config_callback_url(const struct config *c, struct buf *out);

#endif
