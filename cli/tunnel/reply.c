#include "cli/tunnel/reply.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/jose/jwt.h"
#include "common/json/json.h"

enum { SAID_MAX = 1000 };

enum reply reply_of(unsigned status)
{
    static const struct {
        unsigned status;
        enum reply reply;
    } rows[] = {
        {101, REPLY_OPEN},        {200, REPLY_OPEN},        {301, REPLY_LOGIN},
        {302, REPLY_LOGIN},       {307, REPLY_LOGIN},       {308, REPLY_LOGIN},
        {401, REPLY_LOGIN},       {403, REPLY_DENIED},      {404, REPLY_NO_ROUTE},
        {495, REPLY_CERTIFICATE}, {503, REPLY_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].status == status)
            return rows[i].reply;
    }
    return REPLY_OTHER;
}

int reply_exit_status(enum reply r)
{
    switch (r) {
    case REPLY_OPEN:
        return 0;
    case REPLY_LOGIN:
        return EXIT_LOGIN;
    case REPLY_DENIED:
    case REPLY_CERTIFICATE:
        return EXIT_DENIED;
    case REPLY_UNAVAILABLE:
        return EXIT_TARGET;
    case REPLY_NO_ROUTE:
    case REPLY_OTHER:
        return 1;
    }
    return 1;
}

char *reply_sentence(unsigned status, const char *target, const char *gateway, struct view said)
{
    const char *colon = said.len ? ": " : "";
    switch (reply_of(status)) {
    case REPLY_OPEN:
        return mem_printf("%s is open", target);
    case REPLY_LOGIN:
        return mem_printf("%s does not take this sign-in for %s%s%.*s", gateway, target, colon,
                          VIEW_FMT(said));
    case REPLY_DENIED:
        return mem_printf("%s: you may not use this route of %s%s%.*s", target, gateway, colon,
                          VIEW_FMT(said));
    case REPLY_NO_ROUTE:
        return mem_printf("%s has no route %s; write host and port as in the route's from", gateway,
                          target);
    case REPLY_CERTIFICATE:
        return mem_printf(
            "%s wants a client certificate for %s (--client-cert, --client-key)%s%.*s", gateway,
            target, colon, VIEW_FMT(said));
    case REPLY_UNAVAILABLE:
        return mem_printf("%s: %s cannot open it now%s%.*s", target, gateway, colon,
                          VIEW_FMT(said));
    case REPLY_OTHER:
        break;
    }
    return mem_printf("%s: %s answered with HTTP status %u%s%.*s", target, gateway, status, colon,
                      VIEW_FMT(said));
}

char *reply_said(struct view body)
{
    static const char *const names[] = {"message", "error", "description", "statusText"};
    AUTO(json_free_ptr) struct json *v = NULL;
    if (body.len == 0 || json_parse(body, &v) != OK)
        return mem_strdup("");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct view text = json_get_str(v, names[i]);
        AUTO(buf_fini) struct buf b;
        buf_init(&b, (size_t)4 * SAID_MAX);
        if (text.len && text_printable(view_take(text, SAID_MAX), &b) == OK)
            return buf_to_str(&b);
    }
    return mem_strdup("");
}

uint64_t backoff_ms(unsigned failed, uint32_t random)
{
    uint64_t step = BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < failed && step < BACKOFF_MAX_MS; i++)
        step *= 2;
    if (step > BACKOFF_MAX_MS)
        step = BACKOFF_MAX_MS;
    /* Up to a quarter less, so that clients of a gateway that comes back do not come as one. */
    return step - random % (step / 4 + 1);
}

enum err token_expiry(struct view token, uint64_t *out_ms)
{
    struct jws jws;
    TRY(jws_parse(token, &jws));
    struct json *claims = NULL;
    enum err e = jwt_claims(&jws, &claims);
    jws_fini(&jws);
    if (e != OK)
        return e;
    int64_t seconds = 0;
    e = json_get_i64(claims, "exp", &seconds);
    json_free(claims);
    if (e != OK && e != ERR_NOT_FOUND)
        return ERR_SYNTAX;
    *out_ms = e == OK && seconds > 0 && seconds < INT64_MAX / 1000 ? (uint64_t)seconds * 1000 : 0;
    return OK;
}
