/* A state that is filled by hand, and a configuration, for what decides on them. */
#ifndef TESTS_UNIT_AUTHORIZE_FIXTURE_H
#define TESTS_UNIT_AUTHORIZE_FIXTURE_H

#include "tests/support/test.h"

#include "authorize/decide.h"

#define SHARED                                                                                     \
    "authenticate_service_url: https://auth.example.test\n"                                        \
    "idp_provider: local\n"                                                                        \
    "shared_secret: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

/* The text with a CA key, which routes ask for, in it. Reads no file. */
static inline char *with_ca(const char *text)
{
    struct rng_test t;
    struct rng rng = rng_test(&t, 7);
    struct private_key ca;
    struct buf key;
    struct buf out;
    buf_init(&key, KEY_FILE_MAX);
    buf_init(&out, 8 << 20);
    CHECK_OK(private_key_generate(&ca, KEY_ED25519, &rng));
    CHECK_OK(private_key_write_openssh(&ca, "", &rng, &key));
    CHECK_OK(buf_printf(&out, "%sssh_user_ca_key: |\n", text));
    struct view rest = buf_view(&key);
    struct view line;
    while (view_next(&rest, '\n', &line))
        CHECK_OK(buf_printf(&out, "  %.*s\n", VIEW_FMT(line)));
    char *whole = buf_to_str(&out);
    private_key_fini(&ca);
    buf_fini(&key);
    buf_fini(&out);
    return whole;
}

static inline const struct config *parse(const char *text)
{
    struct diag d = {0};
    struct config *c = NULL;
    AUTO_FREE char *whole = with_ca(text);
    const struct config_source source = {
        .file = "postern.yaml", .yaml = view_str(whole), .service = CONFIG_AUTHORIZE};
    enum err e = config_parse(&source, &d, &c);
    if (e != OK)
        fail_msg("%s", d.count ? d.items[0].text : err_name(e));
    diag_fini(&d);
    return c;
}

struct fixture {
    struct snapshot *snapshot;
    struct state state;
    struct offered_key key;
};

static inline void add_key(struct fixture *f, uint64_t seed)
{
    struct rng_test t;
    struct rng rng = rng_test(&t, seed);
    struct private_key k;
    CHECK_OK(private_key_generate(&k, KEY_ED25519, &rng));
    CHECK_OK(offered_key_parse(&f->key, public_key_blob(&k.public)));
    private_key_fini(&k);
}

static inline void setup(struct fixture *f, const char *text)
{
    struct diag d = {0};
    const struct config *c = parse(text);
    *f = (struct fixture){0};
    f->snapshot = snapshot_new(c, NULL, &d);
    if (!f->snapshot)
        fail_msg("%s", d.items[0].text);
    config_unref(c);
    diag_fini(&d);
    add_key(f, 1);
}

static inline void teardown(struct fixture *f)
{
    offered_key_fini(&f->key);
    state_fini(&f->state);
    snapshot_unref(f->snapshot);
}

static inline void put_session(struct fixture *f, const char *id, const char *user,
                               uint64_t expires_ms)
{
    struct session *s = mem_zalloc(sizeof *s);
    s->id = mem_strdup(id);
    s->user_id = mem_strdup(user);
    s->expires_ms = expires_ms;
    state_put(&f->state, STATE_SESSION, id, s);
}

static inline void add_session(struct fixture *f, const char *user, uint64_t expires_ms)
{
    put_session(f, "s1", user, expires_ms);
}

static inline void add_user(struct fixture *f, const char *id, const char *email)
{
    struct user *u = mem_zalloc(sizeof *u);
    u->id = mem_strdup(id);
    u->email = mem_strdup(email);
    u->name = mem_strdup("");
    state_put(&f->state, STATE_USER, id, u);
}

static inline void add_binding(struct fixture *f, const char *protocol, uint64_t expires_ms)
{
    struct binding *b = mem_zalloc(sizeof *b);
    b->id = mem_strdup(f->key.binding);
    b->protocol = mem_strdup(protocol);
    b->session_id = mem_strdup("s1");
    b->user_id = mem_strdup("u1");
    b->expires_ms = expires_ms;
    state_put(&f->state, STATE_BINDING, f->key.binding, b);
}

static inline void sign_in(struct fixture *f, const char *email)
{
    add_session(f, "u1", 2000);
    add_user(f, "u1", email);
    add_binding(f, "ssh", 3000);
}

#endif
