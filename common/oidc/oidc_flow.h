/* The inside of a flow, shared by oidc*.c. */
#ifndef COMMON_OIDC_OIDC_FLOW_H
#define COMMON_OIDC_OIDC_FLOW_H

#include "common/oidc/oidc.h"

enum oidc_flow_kind {
    OIDC_FLOW_BEGIN,
    OIDC_FLOW_FINISH,
    OIDC_FLOW_REFRESH,
};

/*
 * A flow asks again and again "what is missing?" (oidc_next) and stores what it gets
 * (oidc_fetched), so there is no other state than what it has.
 */
struct oidc_flow {
    enum oidc_flow_kind kind;
    struct oidc_provider *provider;
    struct oidc_login login;
    char *code;
    char *state;
    char *error;
    char *error_description;
    char *iss;           /* NULL when the callback had none */
    char *refresh_token; /* REFRESH: the old one */
    char *subject;       /* REFRESH: whose it is */

    bool fetching;
    bool ended;
    bool asked_discovery;
    bool asked_keys;
    bool asked_userinfo;
    bool partial; /* goes on without userinfo */
    enum oidc_purpose purpose;

    struct buf url;
    struct fields headers;
    struct buf body;

    struct json *token;    /* the token endpoint's answer */
    struct json *claims;   /* of the verified id_token */
    struct json *userinfo; /* sub was compared */
    uint64_t token_at;
    struct json *tree; /* both together */
    struct claims flat;
    struct oidc_result result;

    enum err err; /* not OK: the flow has failed */
    char *text;
};

/* Ends the flow as failed. The text is made printable. */
[[gnu::format(printf, 3, 4)]] void oidc_fail(struct oidc_flow *f, enum err e, const char *format,
                                             ...);

/* The fetch of that purpose, in f->url, headers and body. */
enum err oidc_token_request(struct oidc_flow *f);
enum err oidc_userinfo_request(struct oidc_flow *f);

enum err oidc_authorization_url(const struct oidc_provider *p, const struct oidc_login *login,
                                struct buf *out);

/* The answers. They fail the flow where that is due. */
void oidc_token_answer(struct oidc_flow *f, unsigned status, struct view body, uint64_t now_ms);
void oidc_userinfo_answer(struct oidc_flow *f, unsigned status, struct view body);

/* An error code of RFC 6749 §4.1.2.1 or §5.2, with its description. */
void oidc_provider_error(struct oidc_flow *f, struct view code, struct view description);

/*
 * Checks f->token's id_token and sets f->claims. ERR_NOT_FOUND and ERR_VERIFY may be cured by new
 * keys; then the flow has not failed yet. *out_why is static.
 */
enum err oidc_check_id_token(struct oidc_flow *f, uint64_t now_ms, const char **out_why);

/* f->result of what was gathered. */
enum err oidc_finish_result(struct oidc_flow *f);

#endif
