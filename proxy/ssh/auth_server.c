#include "proxy/ssh/auth_server.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"
#include "common/base/wire.h"
#include "proxy/ssh/auth_key.h"
#include "proxy/ssh/auth_msg.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/user_name.h"

enum {
    AUTH_SERVER_TEXT_MAX = 1024,
    AUTH_SERVER_BANNER_MAX = 16384,
    AUTH_SERVER_ALGORITHM_MAX = 64,
};

void auth_server_init(struct auth_server *a, const struct auth_server_config *config,
                      struct view session_id)
{
    *a = (struct auth_server){.config = *config};
    if (!a->config.max_requests)
        a->config.max_requests = AUTH_SERVER_REQUESTS_MAX;
    if (!a->config.max_failures)
        a->config.max_failures = AUTH_SERVER_FAILURES_MAX;
    buf_init(&a->session_id, session_id.len);
    CHECK(buf_append(&a->session_id, session_id) == OK);
    buf_init(&a->user, AUTH_SERVER_NAME_MAX);
    buf_init(&a->route, AUTH_SERVER_NAME_MAX);
    buf_init(&a->key, AUTH_SERVER_KEY_MAX);
    buf_init(&a->held, AUTH_SERVER_HELD_MAX);
    buf_init(&a->why, AUTH_SERVER_TEXT_MAX);
    buf_init(&a->prompt, AUTH_SERVER_INFO_MAX);
    buf_init(&a->instruction, AUTH_SERVER_INFO_MAX);
    buf_init(&a->text, AUTH_SERVER_TEXT_MAX);
}

void auth_server_fini(struct auth_server *a)
{
    buf_fini(&a->session_id);
    buf_fini(&a->user);
    buf_fini(&a->route);
    buf_fini(&a->key);
    buf_fini(&a->held);
    buf_fini(&a->why);
    buf_fini(&a->prompt);
    buf_fini(&a->instruction);
    buf_fini(&a->text);
}

bool auth_server_is_done(const struct auth_server *a)
{
    return a->phase == AUTH_SERVER_PHASE_DONE;
}

bool auth_server_awaits_client(const struct auth_server *a)
{
    return a->phase <= AUTH_SERVER_PHASE_OPEN ||
           (a->phase == AUTH_SERVER_PHASE_ALLOWED && a->ready && !a->owed);
}

bool auth_server_is_verified(const struct auth_server *a)
{
    return a->verified;
}

/* --- out --- */

static void set_text(struct buf *b, struct view text)
{
    buf_clear(b);
    IGNORE(buf_append(b, view_take(text, b->max)), "cut to what fits");
}

static void fail(struct auth_server *a, uint32_t reason, struct view text)
{
    if (a->phase == AUTH_SERVER_PHASE_FAILED || a->phase == AUTH_SERVER_PHASE_DONE)
        return;
    a->phase = AUTH_SERVER_PHASE_FAILED;
    a->check_pending = false;
    a->disconnect_pending = true;
    a->reason = reason;
    set_text(&a->text, text);
}

static void fail_message(struct auth_server *a, uint32_t reason, enum message m)
{
    fail(a, reason, view_str(message_text(m)));
}

static void fail_protocol(struct auth_server *a, uint8_t type)
{
    AUTO_FREE char *text = message_format(MESSAGE_SSH_UNEXPECTED, msg_name(type), NULL);
    fail(a, REASON_PROTOCOL_ERROR, view_str(text));
}

static void sent(struct auth_server *a, enum err e)
{
    if (e != OK)
        fail(a, msg_reason_of(e), view_str(err_text(e)));
}

static void send_failure(struct auth_server *a, bool partial)
{
    const char *methods = "publickey,keyboard-interactive";
    if (a->phase == AUTH_SERVER_PHASE_LOGIN || a->phase == AUTH_SERVER_PHASE_ALLOWED)
        methods = "keyboard-interactive";
    else if (a->explained)
        methods = "publickey"; /* else OpenSSH shows the explanation three times */
    sent(a, auth_msg_failure(&a->config.out, methods, partial));
}

/* A failure that counts. */
static void refuse(struct auth_server *a)
{
    a->failures++;
    if (a->failures >= a->config.max_failures)
        fail_message(a, REASON_NO_MORE_AUTH_METHODS, MESSAGE_SSH_TOO_MANY_ATTEMPTS);
    else
        send_failure(a, false);
}

static void send_info_request(struct auth_server *a, struct view name, struct view instruction)
{
    sent(a, auth_msg_info_request(&a->config.out, name, instruction));
    a->info_sent++;
}

static void try_success(struct auth_server *a)
{
    if (a->phase != AUTH_SERVER_PHASE_ALLOWED || !a->ready || !a->owed)
        return;
    sent(a, auth_msg_success(&a->config.out));
    if (a->phase == AUTH_SERVER_PHASE_FAILED)
        return;
    a->phase = AUTH_SERVER_PHASE_DONE;
    a->owed = false;
    buf_fini(&a->held); /* RFC 4252 §5.3: requests behind the successful one are ignored */
}

/* --- the user name --- */

static void fail_name(struct auth_server *a, enum message m, struct view name)
{
    AUTO(buf_fini) struct buf shown;
    buf_init(&shown, AUTH_SERVER_NAME_MAX);
    IGNORE(text_printable(view_take(name, 64), &shown), "fits");
    AUTO_FREE char *arg = buf_to_str(&shown);
    AUTO_FREE char *text = message_format(m, arg, NULL);
    fail(a, REASON_ILLEGAL_USER_NAME, view_str(text));
}

/* The first request sets the name, every later one must repeat it. */
static bool take_name(struct auth_server *a, struct view user)
{
    if (a->user.len) {
        if (!view_eq(buf_view(&a->user), user))
            fail_message(a, REASON_ILLEGAL_USER_NAME, MESSAGE_SSH_NAME_CHANGED);
        return a->phase != AUTH_SERVER_PHASE_FAILED;
    }
    struct user_name name;
    if (user.len > AUTH_SERVER_NAME_MAX || user_name_split(user, &name) != OK) {
        fail_message(a, REASON_ILLEGAL_USER_NAME, MESSAGE_SSH_BAD_NAME);
        return false;
    }
    /* Without a route it is the management shell. */
    if (!name.login.len) {
        fail_name(a, name.route.len ? MESSAGE_SSH_NO_LOGIN : MESSAGE_SSH_NO_ROUTE,
                  name.route.len ? name.route : name.login);
        return false;
    }
    set_text(&a->user, user);
    a->login_len = name.login.len;
    set_text(&a->route, name.route);
    for (size_t i = 0; i < a->route.len; i++)
        buf_ptr(&a->route)[i] = text_lower(buf_ptr(&a->route)[i]);
    return true;
}

/* --- methods --- */

static void method_none(struct auth_server *a, struct reader *r, struct view payload)
{
    (void)r;
    (void)payload;
    if (!a->none_seen)
        send_failure(a, false);
    else
        refuse(a);
    a->none_seen = true;
}

static void remember_why(struct auth_server *a, struct view sentence)
{
    if (sentence.len)
        set_text(&a->why, sentence);
}

static void check_key(struct auth_server *a, const struct auth_key *k, struct view blob)
{
    set_text(&a->key, blob);
    a->key_type = view_take(view_skip(buf_view(&a->key), 4), k->type.len);
    a->phase = AUTH_SERVER_PHASE_CHECKING;
    a->verified = true;
    a->owed = true;
    a->check_pending = true;
}

/* RFC 4252 §7. */
static void method_publickey(struct auth_server *a, struct reader *r, struct view payload)
{
    bool is_signed = read_bool(r);
    struct view algorithm = read_string_max(r, AUTH_SERVER_ALGORITHM_MAX);
    struct view blob = read_string_max(r, AUTH_SERVER_KEY_MAX);
    size_t request_len = payload.len - reader_left(r);
    struct view signature = is_signed ? read_string_max(r, AUTH_SERVER_SIGNATURE_MAX) : VIEW("");
    if (reader_done(r) != OK) {
        fail_protocol(a, MSG_USERAUTH_REQUEST);
        return;
    }
    AUTO(auth_key_fini) struct auth_key k = {0};
    if (auth_key_parse(&k, algorithm, blob) != OK) {
        if (!a->why.len)
            remember_why(a, view_str(message_text(MESSAGE_SSH_KEY_UNSUPPORTED)));
        if (is_signed)
            refuse(a);
        else
            send_failure(a, false);
    } else if (!is_signed) {
        sent(a, auth_msg_pk_ok(&a->config.out, algorithm, blob));
    } else if (auth_key_verify(&k, algorithm, buf_view(&a->session_id),
                               view_take(payload, request_len), signature) != OK) {
        remember_why(a, view_str(message_text(MESSAGE_SSH_BAD_SIGNATURE)));
        refuse(a);
    } else {
        check_key(a, &k, blob);
    }
}

static void method_interactive(struct auth_server *a, struct reader *r, struct view payload)
{
    (void)r;
    (void)payload;
    if (a->phase == AUTH_SERVER_PHASE_ALLOWED) {
        a->owed = true;
        try_success(a);
    } else if (a->phase == AUTH_SERVER_PHASE_LOGIN) {
        send_info_request(a, buf_view(&a->prompt), buf_view(&a->instruction));
    } else if (a->explained) {
        refuse(a);
    } else {
        a->explained = true;
        a->explaining = true;
        send_info_request(a, VIEW(""),
                          a->why.len ? buf_view(&a->why)
                                     : view_str(message_text(MESSAGE_SSH_NO_KEY)));
    }
}

typedef void (*method_fn)(struct auth_server *a, struct reader *r, struct view payload);

static const struct method {
    const char *name;
    method_fn handle;
    bool during_login;
} methods[] = {
    {"none", method_none, false},
    {"publickey", method_publickey, false},
    {"keyboard-interactive", method_interactive, true},
};

static void handle_method(struct auth_server *a, struct view method, struct reader *r,
                          struct view payload)
{
    bool login = a->phase != AUTH_SERVER_PHASE_OPEN;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (view_eq_str(method, methods[i].name) && (!login || methods[i].during_login)) {
            methods[i].handle(a, r, payload);
            return;
        }
    }
    refuse(a);
}

/* --- in --- */

static void process_request(struct auth_server *a, struct view payload)
{
    /* RFC 4252 §5.1: a new request abandons an exchange that is going on. */
    a->info_sent = 0;
    a->explaining = false;
    a->owed = false;
    if (++a->requests > a->config.max_requests) {
        fail_message(a, REASON_NO_MORE_AUTH_METHODS, MESSAGE_SSH_TOO_MANY_ATTEMPTS);
        return;
    }
    struct reader r = reader_of(payload);
    (void)read_u8(&r);
    struct view user = read_string(&r);
    struct view service = read_string(&r);
    struct view method = read_string(&r);
    if (reader_ok(&r) != OK) {
        fail_protocol(a, MSG_USERAUTH_REQUEST);
        return;
    }
    if (!view_eq_str(service, "ssh-connection")) {
        fail_message(a, REASON_SERVICE_NOT_AVAILABLE, MESSAGE_SSH_BAD_SERVICE);
        return;
    }
    if (take_name(a, user))
        handle_method(a, method, &r, payload);
}

/* True while a request has to wait for the answer to the one before it. */
static bool is_holding(const struct auth_server *a)
{
    return a->phase == AUTH_SERVER_PHASE_CHECKING ||
           (a->phase == AUTH_SERVER_PHASE_ALLOWED && a->owed);
}

static void hold(struct auth_server *a, struct view payload)
{
    struct writer w = writer_to(&a->held);
    write_string(&w, payload);
    if (writer_done(&w) != OK)
        fail_message(a, REASON_NO_MORE_AUTH_METHODS, MESSAGE_SSH_TOO_MANY_ATTEMPTS);
}

static void process_held(struct auth_server *a)
{
    while (a->held.len && !is_holding(a) && a->phase < AUTH_SERVER_PHASE_DONE) {
        AUTO(buf_fini) struct buf one;
        struct reader r = reader_of(buf_view(&a->held));
        struct view payload = read_string(&r);
        buf_init(&one, payload.len);
        IGNORE(buf_append(&one, payload), "its own size");
        buf_consume(&a->held, 4 + payload.len);
        process_request(a, buf_view(&one));
    }
    buf_trim(&a->held);
}

static void on_service_request(struct auth_server *a, struct view payload)
{
    struct reader r = reader_of(view_skip(payload, 1));
    struct view service = read_string(&r);
    if (reader_done(&r) != OK || a->phase != AUTH_SERVER_PHASE_START) {
        fail_protocol(a, MSG_SERVICE_REQUEST);
        return;
    }
    if (!view_eq_str(service, "ssh-userauth")) {
        fail_message(a, REASON_SERVICE_NOT_AVAILABLE, MESSAGE_SSH_BAD_SERVICE);
        return;
    }
    a->phase = AUTH_SERVER_PHASE_OPEN;
    sent(a, auth_msg_service(&a->config.out, MSG_SERVICE_ACCEPT, service));
}

static void on_request(struct auth_server *a, struct view payload)
{
    if (a->phase == AUTH_SERVER_PHASE_START)
        fail_protocol(a, MSG_USERAUTH_REQUEST);
    else if (is_holding(a))
        hold(a, payload);
    else
        process_request(a, payload);
}

/* RFC 4256 §3.4. */
static void on_info_response(struct auth_server *a, struct view payload)
{
    struct reader r = reader_of(view_skip(payload, 1));
    uint32_t count = read_u32(&r);
    if (!a->info_sent || reader_ok(&r) != OK) {
        fail_protocol(a, MSG_USERAUTH_INFO_RESPONSE);
        return;
    }
    if (++a->requests > a->config.max_requests) {
        fail_message(a, REASON_NO_MORE_AUTH_METHODS, MESSAGE_SSH_TOO_MANY_ATTEMPTS);
        return;
    }
    if (--a->info_sent)
        return; /* of a link that was replaced meanwhile */
    if (count != 0 || a->explaining) {
        a->explaining = false;
        refuse(a);
        return;
    }
    a->owed = true;
    try_success(a);
}

typedef void (*message_fn)(struct auth_server *a, struct view payload);

static const struct {
    uint8_t type;
    message_fn handle;
} handlers[] = {
    {MSG_SERVICE_REQUEST, on_service_request},
    {MSG_USERAUTH_REQUEST, on_request},
    {MSG_USERAUTH_INFO_RESPONSE, on_info_response},
};

/* Messages that a client may never send, or not before success: RFC 4252 §6, RFC 4254. */
static bool is_illegal(uint8_t type)
{
    return type == MSG_SERVICE_ACCEPT || (type >= 51 && type <= 53) || (type >= 60 && type <= 79) ||
           (type >= 80 && type <= 127);
}

enum err auth_server_feed(struct auth_server *a, struct view payload)
{
    if (a->phase == AUTH_SERVER_PHASE_FAILED)
        return OK;
    uint8_t type = payload.len ? payload.ptr[0] : 0;
    /* RFC 4252 §5.3: after success further requests are silently ignored. */
    if (a->phase == AUTH_SERVER_PHASE_DONE)
        return type == MSG_USERAUTH_REQUEST ? OK : ERR_UNSUPPORTED;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (handlers[i].type == type) {
            handlers[i].handle(a, payload);
            return OK;
        }
    }
    if (!is_illegal(type))
        return ERR_UNSUPPORTED;
    fail_protocol(a, type);
    return OK;
}

bool auth_server_next(struct auth_server *a, struct auth_server_event *out)
{
    if (a->check_pending) {
        a->check_pending = false;
        *out = (struct auth_server_event){
            .type = AUTH_SERVER_CHECK,
            .login = view_take(buf_view(&a->user), a->login_len),
            .route = buf_view(&a->route),
            .key = buf_view(&a->key),
            .key_type = a->key_type,
        };
        return true;
    }
    if (!a->disconnect_pending)
        return false;
    a->disconnect_pending = false;
    *out = (struct auth_server_event){
        .type = AUTH_SERVER_DISCONNECT, .reason = a->reason, .text = buf_view(&a->text)};
    return true;
}

/* --- commands --- */

static bool is_waiting(const struct auth_server *a)
{
    return a->phase == AUTH_SERVER_PHASE_CHECKING || a->phase == AUTH_SERVER_PHASE_LOGIN;
}

void auth_server_allow(struct auth_server *a)
{
    if (is_waiting(a))
        a->phase = AUTH_SERVER_PHASE_ALLOWED;
}

void auth_server_deny(struct auth_server *a, struct view sentence)
{
    fail(a, REASON_NO_MORE_AUTH_METHODS, sentence);
}

void auth_server_next_key(struct auth_server *a, struct view sentence)
{
    if (!is_waiting(a))
        return;
    remember_why(a, sentence);
    /* In LOGIN the client may not have asked yet: then the list of its next failure tells. */
    bool answer = a->owed || a->info_sent;
    a->phase = AUTH_SERVER_PHASE_OPEN;
    a->info_sent = 0;
    a->owed = false;
    if (answer)
        refuse(a);
    process_held(a);
}

static void set_login_texts(struct auth_server *a, struct view prompt, struct view url,
                            struct view match_code)
{
    AUTO_FREE char *code = mem_strndup(match_code.ptr, match_code.len);
    AUTO_FREE char *line = message_format(MESSAGE_SSH_MATCH_CODE, code, NULL);
    buf_clear(&a->instruction);
    struct writer w = writer_to(&a->instruction);
    write_bytes(&w, url);
    write_u8(&w, '\n');
    write_bytes(&w, view_str(line));
    size_t room = AUTH_SERVER_INFO_MAX - 1 - a->instruction.len;
    if (writer_done(&w) != OK || a->instruction.len >= AUTH_SERVER_INFO_MAX)
        fail_message(a, REASON_BY_APPLICATION, MESSAGE_SSH_LINK_TOO_LONG);
    else
        set_text(&a->prompt, view_take(prompt, room));
}

void auth_server_login(struct auth_server *a, struct view prompt, struct view url,
                       struct view match_code)
{
    if (!is_waiting(a))
        return;
    set_login_texts(a, prompt, url, match_code);
    if (a->phase == AUTH_SERVER_PHASE_FAILED)
        return;
    bool again = a->phase == AUTH_SERVER_PHASE_LOGIN;
    a->phase = AUTH_SERVER_PHASE_LOGIN;
    if (again && (a->owed || a->info_sent))
        send_info_request(a, buf_view(&a->prompt), buf_view(&a->instruction));
    if (!again)
        send_failure(a, true); /* RFC 4252 §5.1: the key was good, more is needed */
    a->owed = false;
    process_held(a);
}

void auth_server_success(struct auth_server *a)
{
    a->ready = a->phase == AUTH_SERVER_PHASE_ALLOWED;
    try_success(a);
}

void auth_server_banner(struct auth_server *a, struct view text)
{
    if (a->phase >= AUTH_SERVER_PHASE_DONE || a->phase == AUTH_SERVER_PHASE_START)
        return;
    sent(a, auth_msg_banner(&a->config.out, view_take(text, AUTH_SERVER_BANNER_MAX)));
}
