#include "authenticate/login.h"

#include "authenticate/provider.h"
#include "common/base/mem.h"
#include "common/http/url.h"

static void login_free(void *state)
{
    login_fini(state);
    mem_free(state);
}

static enum err save(struct exchange *x, const struct login *login)
{
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, LOGIN_TEXT_MAX);
    TRY(login_seal(&x->server->keys.state, daemon_rng(x->server->daemon), login, loop_wall_ms(),
                   &text));
    AUTO_FREE char *name = login_cookie_name(view_str(login->oidc.state));
    AUTO_FREE char *value = buf_to_str(&text);
    exchange_set_cookie(x, name, value, LOGIN_MS / 1000);
    return OK;
}

enum err login_load(struct exchange *x, struct view state, struct login *out)
{
    AUTO_FREE char *name = login_cookie_name(state);
    struct view value = cookie_get(x->request->fields, name);
    if (!value.ptr)
        return ERR_NOT_FOUND;
    return login_unseal(&x->server->keys.state, state, value, loop_wall_ms(), out);
}

void login_forget(struct exchange *x, struct view state)
{
    AUTO_FREE char *name = login_cookie_name(state);
    exchange_set_cookie(x, name, "", 0);
}

static void forget_surplus(struct exchange *x)
{
    struct view name;
    for (size_t i = 0; login_surplus(x->request->fields, i, &name); i++) {
        AUTO_FREE char *text = mem_strndup(name.ptr, name.len);
        exchange_set_cookie(x, text, "", 0);
    }
}

void login_begin(struct exchange *x, const char *return_to)
{
    struct login *login = mem_zalloc(sizeof *login);
    oidc_login_init(&login->oidc, daemon_rng(x->server->daemon));
    /* Never a redirect to another site. */
    bool local = url_is_local_path(view_str(return_to)) && strlen(return_to) <= LOGIN_RETURN_MAX;
    login->return_to = mem_strdup(local ? return_to : "/.pomerium/");
    exchange_set_state(x, login, login_free);
    forget_surplus(x);
    if (save(x, login) != OK)
        exchange_error(x, 500, "Not available", MESSAGE_BROWSER_UNAVAILABLE);
    else
        x->server->provider->idp->begin(x, login);
}

bool login_has_session(struct exchange *x, const char *return_to)
{
    const struct exchange_link link = {return_to, "Sign in"};
    if (x->session.valid)
        return true;
    if (exchange_is_post(x))
        exchange_message(x, 403, "Sign in again", message_text(MESSAGE_BROWSER_SESSION_OVER), link);
    else
        login_begin(x, return_to);
    return false;
}
