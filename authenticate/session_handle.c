#include "authenticate/session_handle.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/jose/jwt.h"

enum { CLAIMS_MAX = 3000, NUMBER_MAX = 24 };

/* JSON numbers lose bits above 2^53: 64-bit ones are strings, as in protobuf's JSON. */
static enum err set_u64(struct json *claims, const char *name, uint64_t value)
{
    char text[NUMBER_MAX];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return json_set_str(claims, name, view_str(text));
}

static enum err fill(struct json *claims, const struct session_handle *h)
{
    struct json *audience = json_new_array();
    enum err e = OK;
    for (size_t i = 0; i < ARRAY_LEN(h->audience) && e == OK; i++) {
        if (h->audience[i])
            e = json_add_str(audience, view_str(h->audience[i]));
    }
    if (e != OK) {
        json_free(audience);
        return e;
    }
    TRY(json_set(claims, "aud", audience));
    TRY(json_set_str(claims, "iss", view_str(h->issuer)));
    TRY(json_set_str(claims, "sub", view_str(h->user_id)));
    TRY(json_set_str(claims, "jti", view_str(h->session_id)));
    TRY(json_set_str(claims, "idp_id", view_str(h->idp_id)));
    TRY(json_set_i64(claims, "iat", (int64_t)(h->issued_ms / 1000)));
    TRY(json_set_i64(claims, "exp", (int64_t)(h->expires_ms / 1000)));
    TRY(set_u64(claims, "databroker_server_version", h->server_version));
    return set_u64(claims, "databroker_record_version", h->record_version);
}

enum err session_handle_write(const struct session_handle *h, const struct secret *secret,
                              struct buf *out)
{
    AUTO(json_free_ptr) struct json *claims = json_new_object();
    AUTO(buf_fini) struct buf payload;
    buf_init(&payload, CLAIMS_MAX);
    TRY(fill(claims, h));
    TRY(json_write(claims, JSON_ORDER_INSERTED, &payload));
    return jws_sign_hs256(buf_view(&payload), "JWT", NULL, secret_view(secret), out);
}

static enum err verify(const struct jws *t, const struct secret *secret,
                       const struct secret *previous)
{
    enum err e = jws_verify_hs256(t, secret_view(secret));
    return e == ERR_VERIFY && previous->len ? jws_verify_hs256(t, secret_view(previous)) : e;
}

enum err session_handle_read(struct view token, const struct secret *secret,
                             const struct secret *previous, uint64_t now_ms, char **out_session_id)
{
    const struct jwt_expect expect = {.now_ms = now_ms,
                                      .leeway_ms = SESSION_HANDLE_LEEWAY_MS,
                                      .need_exp = true,
                                      .need_sub = true};
    AUTO(jws_fini) struct jws t = {0};
    AUTO(json_free_ptr) struct json *claims = NULL;
    if (token.len > SESSION_HANDLE_MAX)
        return ERR_LIMIT;
    TRY(jws_parse(token, &t));
    TRY(verify(&t, secret, previous));
    TRY(jwt_claims(&t, &claims));
    TRY(jwt_check(claims, &expect, NULL));
    struct view id = json_str(json_member(claims, VIEW("jti")));
    if (id.len == 0)
        return ERR_MISMATCH;
    *out_session_id = mem_strndup(id.ptr, id.len);
    return OK;
}
