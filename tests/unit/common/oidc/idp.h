/* A provider made of documents and keys, that flows are run against. */
#ifndef TESTS_UNIT_COMMON_OIDC_IDP_H
#define TESTS_UNIT_COMMON_OIDC_IDP_H

#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/jwa.h"
#include "common/crypto/key.h"
#include "common/oidc/oidc.h"
#include "tests/support/test.h"

/* The time of the tests: 2023-11-14T22:13:20Z. */
#define NOW 1700000000000ULL
#define SECOND 1000ULL

#define DOCUMENT(more)                                                                             \
    "{\"issuer\":\"https://idp.test\",\"authorization_endpoint\":\"https://idp.test/auth?x=1\","   \
    "\"token_endpoint\":\"https://idp.test/token\",\"jwks_uri\":\"https://idp.test/jwks\"" more    \
    "}"
#define USERINFO ",\"userinfo_endpoint\":\"https://idp.test/me\""
#define GOOD_CLAIMS                                                                                \
    "{\"iss\":\"https://idp.test\",\"sub\":\"alice\",\"aud\":\"postern\",\"exp\":1700000300,"      \
    "\"iat\":1700000000,\"nonce\":\"the-nonce\",\"email\":\"a@idp.test\",\"name\":\"Alice\","      \
    "\"groups\":[\"ops\",\"admins\"]}"

/* What a provider answers, and what it was asked. */
struct idp {
    const char *document;
    const char *keys; /* a file below tests/vectors/jose */
    const char *alg;
    const char *kid; /* NULL = none */
    const char *claims;
    const char *id_token; /* NULL = made of the three above; "" = none */
    const char *token;    /* NULL = made of id_token */
    const char *userinfo;
    unsigned status[4];
    bool down[4];
    int asked[4];
    struct buf sent; /* of the last token request: "Authorization: …\nBODY" */
    struct buf bearer;
};

static struct private_key rsa;
static struct private_key ec;

static inline void load(const char *path, struct private_key *out)
{
    *out = (struct private_key){0};
    CHECK_OK(private_key_parse(out, test_file(path)));
}

static inline int load_keys(void **state)
{
    (void)state;
    load("tests/vectors/keys/rsa.pkcs8", &rsa);
    load("tests/vectors/keys/ecdsa256.pkcs8", &ec);
    return 0;
}

static inline int free_keys(void **state)
{
    (void)state;
    private_key_fini(&rsa);
    private_key_fini(&ec);
    return 0;
}

static inline struct idp idp_new(void)
{
    struct idp i = {
        .document = DOCUMENT(""),
        .keys = "keys.json",
        .alg = "RS256",
        .kid = "rsa",
        .claims = GOOD_CLAIMS,
        .status = {200, 200, 200, 200},
    };
    buf_init(&i.sent, 1 << 20);
    buf_init(&i.bearer, 1 << 20);
    return i;
}

static inline void idp_fini(struct idp *i)
{
    buf_fini(&i->sent);
    buf_fini(&i->bearer);
}

/* Signs with the key that the alg is for; HS256 with the public key, as an attacker would. */
static inline void write_id_token(const struct idp *i, struct buf *answer)
{
    struct buf token;
    struct buf *out = &token;
    buf_init(out, 100000);
    struct buf header;
    struct buf signature;
    uint8_t mac[DIGEST_MAX];
    enum jwa_alg alg;
    buf_init(&header, 1000);
    buf_init(&signature, 1000);
    CHECK_OK(buf_printf(&header, "{\"alg\":\"%s\"", i->alg));
    if (i->kid)
        CHECK_OK(buf_printf(&header, ",\"kid\":\"%s\"", i->kid));
    CHECK_OK(buf_append_u8(&header, '}'));
    CHECK_OK(text_base64url(buf_view(&header), out));
    CHECK_OK(buf_append_u8(out, '.'));
    CHECK_OK(text_base64url(view_str(i->claims), out));
    if (strcmp(i->alg, "HS256") == 0) {
        digest_hmac(DIGEST_SHA256, public_key_blob(&rsa.public), buf_view(out), mac);
        CHECK_OK(buf_append(&signature, view_of(mac, DIGEST_SHA256_LEN)));
    } else if (jwa_find(view_str(i->alg), &alg) == OK) {
        CHECK_OK(jwa_sign(alg == JWA_ES256 ? &ec : &rsa, alg, buf_view(out), &signature));
    }
    CHECK_OK(buf_append_u8(out, '.'));
    CHECK_OK(text_base64url(buf_view(&signature), out));
    CHECK_OK(buf_append(answer, buf_view(out)));
    buf_fini(out);
    buf_fini(&header);
    buf_fini(&signature);
}

static inline void write_token_answer(const struct idp *i, struct buf *out)
{
    if (i->token) {
        CHECK_OK(buf_append_str(out, i->token));
        return;
    }
    CHECK_OK(buf_append_str(out, "{\"access_token\":\"at-1\",\"token_type\":\"bearer\","
                                 "\"expires_in\":3600,\"refresh_token\":\"rt-1\""));
    if (!i->id_token || i->id_token[0]) {
        CHECK_OK(buf_append_str(out, ",\"id_token\":\""));
        if (i->id_token)
            CHECK_OK(buf_append_str(out, i->id_token));
        else
            write_id_token(i, out);
        CHECK_OK(buf_append_u8(out, '"'));
    }
    CHECK_OK(buf_append_u8(out, '}'));
}

static inline void answer(struct idp *i, struct oidc_flow *f, const struct oidc_effect *e,
                          uint64_t now)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    i->asked[e->purpose]++;
    assert_string_equal(e->method, e->purpose == OIDC_PURPOSE_TOKEN ? "POST" : "GET");
    CHECK_VIEW_STR(fields_get(e->headers, "accept"), "application/json");
    switch (e->purpose) {
    case OIDC_PURPOSE_DISCOVERY:
        assert_string_equal(e->url, "https://idp.test/.well-known/openid-configuration");
        CHECK_OK(buf_append_str(&body, i->document));
        break;
    case OIDC_PURPOSE_KEYS: {
        AUTO_FREE char *path = mem_printf("tests/vectors/jose/%s", i->keys);
        assert_string_equal(e->url, "https://idp.test/jwks");
        CHECK_OK(buf_append(&body, test_file(path)));
        break;
    }
    case OIDC_PURPOSE_TOKEN:
        assert_string_equal(e->url, "https://idp.test/token");
        CHECK_VIEW_STR(fields_get(e->headers, "content-type"), "application/x-www-form-urlencoded");
        buf_clear(&i->sent);
        CHECK_OK(buf_printf(&i->sent, "%.*s\n%.*s",
                            VIEW_FMT(fields_get(e->headers, "authorization")), VIEW_FMT(e->body)));
        write_token_answer(i, &body);
        break;
    case OIDC_PURPOSE_USERINFO:
        assert_string_equal(e->url, "https://idp.test/me");
        buf_clear(&i->bearer);
        CHECK_OK(buf_append(&i->bearer, fields_get(e->headers, "authorization")));
        CHECK_OK(buf_append_str(&body, i->userinfo));
        break;
    }
    if (i->down[e->purpose])
        oidc_fetch_failed(f, "connection refused", now);
    else
        oidc_fetched(f, i->status[e->purpose], buf_view(&body), now);
    buf_fini(&body);
}

/* Runs the flow to its end, which is in *out. */
static inline void run(struct idp *i, struct oidc_flow *f, uint64_t now, struct oidc_effect *out)
{
    while (oidc_next(f, now, out) && out->type == OIDC_FETCH) {
        struct oidc_effect none;
        assert_false(oidc_next(f, now, &none));
        answer(i, f, out, now);
    }
    struct oidc_effect none;
    assert_false(oidc_next(f, now, &none));
}

static struct oidc_config config = {
    .provider_url = "https://idp.test",
    .client_id = "postern",
    .client_secret = VIEW("s&cret :x"),
    .redirect_uri = "https://auth.test/oauth2/callback",
};

static struct oidc_login login = {
    .state = "the-state",
    .nonce = "the-nonce",
    .verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
};

static const struct oidc_callback good_callback = {.code = VIEW("the code"),
                                                   .state = VIEW("the-state")};

/* A finished sign-in with a fresh provider: its error. */
static inline enum err finish(struct idp *i, const struct oidc_callback *callback, char **out_text)
{
    struct oidc_provider p;
    struct oidc_effect e;
    CHECK_OK(oidc_provider_init(&p, &config));
    struct oidc_flow *f = oidc_finish(&p, &login, callback);
    run(i, f, NOW, &e);
    assert_true(e.type == OIDC_DONE || e.type == OIDC_FAILED);
    enum err err = e.type == OIDC_DONE ? OK : e.err;
    if (out_text)
        *out_text = mem_strdup(e.type == OIDC_FAILED ? e.text : "");
    oidc_flow_free(f);
    oidc_provider_fini(&p);
    return err;
}

#endif
