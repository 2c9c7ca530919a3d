/*
 * The embedded provider: users and scrypt hashes from the configuration. For evaluation and small
 * teams. Tries are limited per address and per user, and at most a few hashes run at a time.
 */
#include <uv.h>

#include "authenticate/handlers.h"
#include "authenticate/login.h"
#include "authenticate/pages/pages.h"
#include "authenticate/provider.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/scrypt.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum {
    HASHING_MAX = 16, /* waiting for the pool or on it */
    EMAIL_MAX = 254,
};

static const char login_path[] = "/.pomerium/login";

static void begin(struct exchange *x, struct login *login)
{
    AUTO_FREE char *location = mem_printf("%s?state=%s", login_path, login->oidc.state);
    exchange_redirect(x, location);
}

const struct idp idp_local = {.name = "local", .begin = begin};

/* One password check; state of the exchange, and alive until the pool has done its work. */
struct attempt {
    uv_work_t work;
    struct exchange *exchange;      /* NULL: it has ended, nobody waits for the result */
    const struct config *config;    /* holds the user while the pool works */
    const struct config_user *user; /* NULL: nobody, the work is done all the same */
    struct login login;
    char *username;
    struct secret password;
    enum err result;
};

static void attempt_free(struct attempt *a)
{
    secret_fini(&a->password);
    login_fini(&a->login);
    mem_free(a->username);
    config_unref(a->config);
    mem_free(a);
}

/* The exchange ends before the work. */
static void attempt_detach(void *state)
{
    struct attempt *a = state;
    a->exchange->server->hashing--;
    a->exchange = NULL;
}

static void show_form(struct exchange *x, unsigned status, const char *state, const char *username,
                      const enum message *problem)
{
    AUTO_FREE char *token = exchange_csrf_token(x, state, login_path);
    AUTO_FREE char *action = mem_printf("%s?state=%s", login_path, state);
    struct buf page;
    buf_init(&page, PAGE_MAX);
    const struct page_login p = {.action = action,
                                 .csrf_token = token,
                                 .username = username,
                                 .problem = problem ? message_text(*problem) : NULL};
    IGNORE(page_login(&p, &page), "small");
    exchange_page(x, status, &page);
}

static struct claim make_claim(const char *name, size_t count)
{
    return (struct claim){mem_strdup(name), mem_zalloc_array(count, sizeof(char *)), count};
}

static void make_claims(const struct config_user *user, struct claims *out)
{
    out->items = mem_zalloc_array(3, sizeof *out->items);
    out->items[out->count] = make_claim("email", 1);
    out->items[out->count++].values[0] = mem_strdup(user->email);
    out->items[out->count] = make_claim("groups", user->groups.count);
    for (size_t i = 0; i < user->groups.count; i++)
        out->items[out->count].values[i] = mem_strdup(user->groups.items[i].text);
    out->count++;
    out->items[out->count] = make_claim("name", 1);
    out->items[out->count++].values[0] = mem_strdup(user->name);
    out->values = 2 + user->groups.count;
}

static void accept_user(struct exchange *x, struct attempt *a)
{
    AUTO(claims_fini) struct claims claims = {0};
    make_claims(a->user, &claims);
    AUTO_FREE char *user_id = mem_printf("local/%s", a->user->email);
    const struct session_identity who = {.user_id = user_id,
                                         .email = a->user->email,
                                         .name = a->user->name,
                                         .idp_id = "local",
                                         .claims = &claims};
    rate_forgive(&x->server->rate_user, view_str(a->username));
    login_forget(x, view_str(a->login.oidc.state));
    session_create(x, &who, a->login.return_to);
}

static void hash(uv_work_t *work)
{
    struct attempt *a = work->data;
    struct view password = secret_view(&a->password);
    a->result = a->user ? scrypt_verify(password, view_str(a->user->password_hash))
                        : scrypt_verify_nobody(password);
}

static void refuse_user(struct exchange *x, const struct attempt *a)
{
    static const enum message wrong = MESSAGE_LOGIN_WRONG;
    metrics_add(METRIC_SIGN_INS, 1, "local", "refused");
    log_warn("login refused", LOG_STR("request-id", x->request_id), LOG_STR("email", a->username),
             LOG_STR("ip", x->address));
    show_form(x, 401, a->login.oidc.state, a->username, &wrong);
}

static void on_hashed(uv_work_t *work, int status)
{
    struct attempt *a = work->data;
    struct exchange *x = a->exchange;
    if (x) {
        attempt_detach(a);
        exchange_forget_state(x);
        if (status == 0 && a->result == OK && a->user)
            accept_user(x, a);
        else
            refuse_user(x, a);
    }
    attempt_free(a);
}

static const struct config_user *find_user(const struct config *config, const char *email)
{
    for (size_t i = 0; i < config->idp_local_user_count; i++) {
        if (strcmp(config->idp_local_users[i].email, email) == 0)
            return &config->idp_local_users[i];
    }
    return NULL;
}

/* The address first: what it may not try does not count against the user. */
static bool may_try(struct exchange *x, const char *username)
{
    struct server *s = x->server;
    uint64_t now = loop_now_ms(s->loop);
    uint8_t key[RATE_ADDRESS_KEY];
    return s->hashing < HASHING_MAX &&
           rate_take(&s->rate_address, rate_address_key(x->address, key), now) &&
           rate_take(&s->rate_user, view_str(username), now);
}

static void start_hash(struct exchange *x, struct attempt *a)
{
    struct server *s = x->server;
    a->work.data = a;
    a->exchange = x;
    a->config = config_ref(s->config);
    a->user = find_user(a->config, a->username);
    s->hashing++;
    exchange_set_state(x, a, attempt_detach);
    CHECK(uv_queue_work(&s->loop->uv, &a->work, hash, on_hashed) == 0);
}

static void check_password(struct exchange *x, struct login *login)
{
    struct view username = view_trim(form_get(&x->form, "username"));
    struct view password = form_get(&x->form, "password");
    struct attempt *a = mem_zalloc(sizeof *a);
    a->login = *login;
    *login = (struct login){0};
    a->username = mem_strndup(username.ptr, username.len < EMAIL_MAX ? username.len : EMAIL_MAX);
    text_lower_str(a->username);
    /* A password that is too long is as wrong as an empty one. */
    if (password.len <= SCRYPT_PASSWORD_MAX)
        secret_set(&a->password, password);
    if (may_try(x, a->username)) {
        start_hash(x, a);
        return;
    }
    static const enum message too_many = MESSAGE_LOGIN_TOO_MANY;
    metrics_add(METRIC_SIGN_INS, 1, "local", "limited");
    log_warn("login tries limited", LOG_STR("request-id", x->request_id),
             LOG_STR("email", a->username), LOG_STR("ip", x->address));
    show_form(x, 429, a->login.oidc.state, a->username, &too_many);
    attempt_free(a);
}

void handle_local_login(struct exchange *x)
{
    if (x->server->provider->idp != &idp_local) {
        exchange_error(x, 404, "Not found", MESSAGE_PAGE_NOT_FOUND);
        return;
    }
    AUTO(login_fini) struct login login = {0};
    struct view state = form_get(&x->query, "state");
    if (login_load(x, state, &login) != OK) {
        const struct exchange_link link = {"/.pomerium/", "Sign in again"};
        exchange_message(x, 400, "Sign in again", message_text(MESSAGE_IDP_STATE_MISMATCH), link);
        return;
    }
    if (!exchange_is_post(x)) {
        show_form(x, 200, login.oidc.state, "", NULL);
        return;
    }
    if (exchange_check_csrf(x, login.oidc.state))
        check_password(x, &login);
}
