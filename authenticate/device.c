/*
 * Sign-in of a program on a machine without a browser: device_login gives a link that somebody
 * opens elsewhere (Verify Sign In, signin.c), and device_token the token once that was authorized.
 * Only who asked can fetch it (challenge.h), and once: the binding goes with it.
 */
#include "authenticate/challenge.h"
#include "authenticate/code.h"
#include "authenticate/convert.h"
#include "authenticate/handlers.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/match_code.h"
#include "common/daemon/log.h"

enum {
    CODE_BYTES = 16,
    CLIENT_MAX = 200,
    DEVICE_LOGIN_MS = 15 * 60 * 1000, /* as long as the databroker keeps such a record */
    POLL_INTERVAL_S = 2,
};

static bool may_try(struct exchange *x, struct rate *rate)
{
    uint8_t key[RATE_ADDRESS_KEY];
    return rate_take(rate, rate_address_key(x->address, key), loop_now_ms(x->server->loop));
}

static void answer_status(struct exchange *x, unsigned status, const char *name, const char *value)
{
    struct json *body = json_new_object();
    IGNORE(json_set_str(body, name, view_str(value)), "a constant");
    exchange_json(x, status, body);
}

/* --- device_login --- */

static void send_code(struct exchange *x, const char *code)
{
    char match[MATCH_CODE_SIZE];
    match_code(view_str(code), match);
    AUTO_FREE char *url = mem_printf("%s/.pomerium/sign_in?user_code=%s",
                                     x->server->config->authenticate_service_url.text, code);
    struct json *body = json_new_object();
    IGNORE(json_set_str(body, "code", view_str(code)), "base64");
    IGNORE(json_set_str(body, "url", view_str(url)), "a URL");
    IGNORE(json_set_str(body, "match_code", view_str(match)), "letters");
    IGNORE(json_set_i64(body, "expires_in", DEVICE_LOGIN_MS / 1000), "a number");
    IGNORE(json_set_i64(body, "interval", POLL_INTERVAL_S), "a number");
    exchange_json(x, 200, body);
}

static void on_asked(void *ctx, enum err e, const char *text, const uint64_t *versions,
                     size_t count)
{
    (void)versions;
    (void)count;
    struct exchange *x = ctx;
    const char *code = x->state;
    CHECK(code);
    if (e == ERR_LIMIT) {
        exchange_error(x, 429, "Too many", MESSAGE_SIGN_IN_TOO_MANY);
        return;
    }
    if (e != OK) {
        exchange_unavailable(x, e, text);
        return;
    }
    log_info("sign-in asked for", LOG_STR("request-id", x->request_id), LOG_STR("ip", x->address));
    send_code(x, code);
}

static char *new_code(const struct rng *rng)
{
    uint8_t bytes[CODE_BYTES];
    AUTO(buf_fini) struct buf text;
    buf_init(&text, CODE_MAX);
    rng_fill(rng, bytes, sizeof bytes);
    IGNORE(text_base64url(view_of(bytes, sizeof bytes), &text), "22 bytes");
    return buf_to_str(&text);
}

static void write_request(struct exchange *x, struct view challenge, struct view client)
{
    uint64_t now = loop_wall_ms();
    AUTO_FREE char *key = challenge_key(challenge);
    AUTO(buf_fini) struct buf shown;
    buf_init(&shown, CLIENT_MAX);
    IGNORE(text_printable(client, &shown), "not longer than the client's text");
    AUTO_FREE char *client_text = buf_to_str(&shown);
    const struct device_request d = {.key = key,
                                     .idp_id = x->server->provider->idp->name,
                                     .address = x->address,
                                     .host = exchange_host(x),
                                     .client = client_text,
                                     .created_ms = now,
                                     .expires_ms = now + DEVICE_LOGIN_MS};
    char *code = new_code(daemon_rng(x->server->daemon));
    ProtobufCMessage *message = convert_make_request(&d);
    const struct record_write write = {convert_request, code, message, RECORDS_ABSENT};
    exchange_set_state(x, code, mem_free);
    x->call = records_put(&x->broker->records, &write, 1, on_asked, x);
    protobuf_c_message_free_unpacked(message, NULL);
}

void handle_device_login(struct exchange *x)
{
    struct view challenge = form_get(&x->form, "challenge");
    struct view client = form_get(&x->form, "client");
    if (!challenge_is_valid(challenge) || client.len > CLIENT_MAX)
        exchange_error(x, 400, "Bad request", MESSAGE_REQUEST_MALFORMED);
    else if (!may_try(x, &x->server->rate_device))
        exchange_error(x, 429, "Too many", MESSAGE_SIGN_IN_TOO_MANY_SOURCE);
    else if (!rate_take(&x->server->rate_devices, VIEW(""), loop_now_ms(x->server->loop)))
        exchange_error(x, 429, "Too many", MESSAGE_SIGN_IN_TOO_MANY);
    else
        write_request(x, challenge, client);
}

/* --- device_token --- */

struct fetching {
    char *code;
    char *key;
    uint64_t binding_version;
};

static void fetching_free(void *state)
{
    struct fetching *f = state;
    mem_free(f->code);
    mem_free(f->key);
    mem_free(f);
}

static void answer_pending(struct exchange *x)
{
    answer_status(x, 202, "status", "pending");
}

static void answer_expired(struct exchange *x)
{
    answer_status(x, 410, "error", "expired");
}

static void send_token(struct exchange *x)
{
    struct json *body = json_new_object();
    IGNORE(json_set_str(body, "jwt", buf_view(&x->token)), "base64");
    exchange_json(x, 200, body);
}

static void on_taken(void *ctx, enum err e, const char *text, const uint64_t *versions,
                     size_t count)
{
    (void)versions;
    (void)count;
    struct exchange *x = ctx;
    if (e == ERR_PRECONDITION)
        answer_expired(x); /* somebody else, with the same secret, was first */
    else if (e != OK)
        exchange_unavailable(x, e, text);
    else
        session_grant(x, exchange_host(x), send_token);
}

static void on_session(struct exchange *x)
{
    const struct fetching *f = x->state;
    if (!x->session.valid) {
        answer_expired(x);
        return;
    }
    const struct record_write write = {convert_binding, f->key, NULL, f->binding_version};
    x->call = records_put(&x->broker->records, &write, 1, on_taken, x);
}

static void on_binding(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct exchange *x = ctx;
    struct fetching *f = x->state;
    AUTO(binding_fini) struct binding b = {0};
    if (e != OK && e != ERR_NOT_FOUND) {
        exchange_unavailable(x, e, text);
        return;
    }
    if (!found || convert_read_binding(found, &b) != OK || !binding_is_device(&b) ||
        b.expires_ms <= loop_wall_ms()) {
        answer_expired(x);
        return;
    }
    f->binding_version = found->version;
    session_read(x, b.session_id, on_session);
}

static void on_request(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct exchange *x = ctx;
    const struct fetching *f = x->state;
    AUTO(request_fini) struct request r = {0};
    if (e != OK && e != ERR_NOT_FOUND) {
        exchange_unavailable(x, e, text);
        return;
    }
    if (!found || convert_read_request(found, &r) != OK) {
        answer_expired(x);
    } else if (!request_is_device(&r) || strcmp(r.key, f->key) != 0) {
        log_warn("wrong verifier", LOG_STR("request-id", x->request_id), LOG_STR("ip", x->address));
        exchange_error(x, 400, "Bad request", MESSAGE_REQUEST_MALFORMED);
    } else if (r.state == REQUEST_REVOKED) {
        answer_status(x, 403, "error", "denied");
    } else if (r.state == REQUEST_ACCEPTED) {
        x->call = records_get(&x->broker->records, convert_binding, f->key, on_binding, x);
    } else if (r.expires_ms <= loop_wall_ms()) {
        answer_expired(x);
    } else {
        answer_pending(x);
    }
}

void handle_device_token(struct exchange *x)
{
    struct view code = form_get(&x->form, "code");
    char *key = challenge_key_of_verifier(form_get(&x->form, "verifier"));
    if (!code_is_valid(code) || !key) {
        mem_free(key);
        exchange_error(x, 400, "Bad request", MESSAGE_REQUEST_MALFORMED);
        return;
    }
    struct fetching *f = mem_zalloc(sizeof *f);
    *f = (struct fetching){.code = mem_strndup(code.ptr, code.len), .key = key};
    exchange_set_state(x, f, fetching_free);
    /* Who asks too often hears that there is nothing yet, and the databroker is not asked. */
    if (may_try(x, &x->server->rate_poll))
        x->call = records_get(&x->broker->records, convert_request, f->code, on_request, x);
    else
        answer_pending(x);
}
