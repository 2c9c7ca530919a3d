/*
 * What the frames between supervisor and worker say, as plain structs. The protobuf form of
 * worker.proto is known to worker_message.c alone. Parsed texts are checked to be UTF-8 by
 * nobody: what is not ours to trust is the worker's, and of that only keys and hashes matter.
 */
#ifndef PROXY_SUPERVISOR_WORKER_MESSAGE_H
#define PROXY_SUPERVISOR_WORKER_MESSAGE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum { WORKER_KEY_ID = 32, WORKER_CHECKS_MAX = 16 };

/* Names a private key in the supervisor: SHA-256 of the public blob, or of a chain's PEM. */
struct worker_key_id {
    uint8_t bytes[WORKER_KEY_ID];
};
struct worker_key_id worker_key_id(struct view public_form);

struct worker_texts {
    char **items;
    size_t count;
};

struct worker_certificate {
    struct worker_key_id id;
    char *chain_pem;
};

struct worker_san_match {
    char *kind;
    char *pattern;
};

/* As struct config_mtls. */
struct worker_mtls {
    char *ca;  /* PEM; NULL: client certificates are not asked for */
    char *crl; /* PEM, or "" */
    bool reject_connection;
    uint32_t max_verify_depth;
    struct worker_san_match *matches;
    size_t match_count;
};

/* One of the proxy's public host keys. */
struct worker_host_key {
    struct worker_key_id id;
    uint8_t *blob;
    size_t len;
};

/*
 * The proxy's configuration as its worker knows it: never changes, counted (any thread). Enums and
 * units as in common/config/config.h.
 */
struct worker_config {
    char *config_hash;
    int log_level;
    uint64_t shutdown_grace;
    uint64_t grpc_client_timeout;
    char *service_ca; /* PEM, as the next two */
    char *service_certificate;
    char *service_key;
    char *authenticate_host;   /* lower case, without port */
    char *authenticate_target; /* "host:port" */
    struct worker_texts authorize_targets;
    bool https_listener;
    bool ssh_listener;
    struct worker_certificate *certificates;
    size_t certificate_count;
    struct worker_host_key *host_keys;
    size_t host_key_count;
    int ssh_profile; /* enum ssh_profile */
    uint64_t ssh_login_grace_time;
    uint32_t ssh_max_startups_start;
    uint32_t ssh_max_startups_rate;
    uint32_t ssh_max_startups_full;
    uint64_t ssh_sign_in_timeout;
    int ssh_reveal_routes; /* enum ssh_reveal */
    uint64_t revocation_grace;
    uint64_t authorize_max_staleness;
    struct worker_texts access_log_fields;
    uint64_t access_log_interval;
    bool use_proxy_protocol;
    bool ssh_use_proxy_protocol;
    struct worker_texts proxy_protocol_trusted;
    char *cookie_name;
    bool insecure_server;   /* the HTTPS listener speaks plain HTTP: there are no certificates */
    bool self_signed;       /* the certificate is one that the supervisor made */
    bool redirect_listener; /* descriptor PROCESS_FD_REDIRECT is there */
    uint16_t https_port;    /* that redirects lead to */
    uint64_t timeout_read;
    uint64_t timeout_idle;
    struct worker_mtls downstream_mtls;
    void *refs; /* private */
};

/* Empty, with one reference; the owner fills it with memory of mem.h before it shares it. */
struct worker_config *worker_config_new(void);
const struct worker_config *worker_config_ref(const struct worker_config *c);
void worker_config_unref(const struct worker_config *c); /* wipes; NULL is fine */

/* Takes copies. */
void worker_texts_add(struct worker_texts *t, const char *text);
void worker_config_add_certificate(struct worker_config *c, const char *chain_pem);
void worker_config_add_san_match(struct worker_config *c, const char *kind, const char *pattern);
void worker_config_add_host_key(struct worker_config *c, struct view blob);

enum err worker_config_write(const struct worker_config *c, struct buf *out);
/* ERR_SYNTAX. */
enum err worker_config_parse(struct view body, struct worker_config **out);

/* The three requests in one struct: of which kind, the frame's type says. */
struct worker_sign_request {
    struct worker_key_id key;
    struct view algorithm;  /* SignKex, SignHostkeysProve: name */
    uint32_t tls_algorithm; /* SignTls */
    struct view input;      /* hash, session id or TLS input */
};

/* A parsed request, whose views live until worker_sign_fini. */
struct worker_sign_message {
    struct worker_sign_request request;
    void *message;
};

enum err worker_sign_write(uint8_t frame_type, const struct worker_sign_request *r,
                           struct buf *out);
enum err worker_sign_parse(uint8_t frame_type, struct view body, struct worker_sign_message *out);
void worker_sign_fini(struct worker_sign_message *m);

/* `error` NULL or "": the signature. */
enum err worker_signed_write(struct view signature, const char *error, struct buf *out);
/* Appends the signature to `out_signature`; ERR_DENIED when the supervisor refused to sign. */
enum err worker_signed_parse(struct view body, struct buf *out_signature);

struct worker_check {
    char *name;
    int state; /* enum health_state */
    char *error;
};

struct worker_status {
    bool ready;
    char *config_hash; /* "" before the first configuration */
    char *error;
    struct worker_check checks[WORKER_CHECKS_MAX];
    size_t check_count;
};
void worker_status_fini(struct worker_status *s); /* a zeroed struct is fine */
enum err worker_status_write(const struct worker_status *s, struct buf *out);
/* ERR_SYNTAX; ERR_LIMIT for too many checks. */
enum err worker_status_parse(struct view body, struct worker_status *out);

#endif
