#include "proxy/front/credentials.h"

#include "tests/support/test.h"

#define COOKIE "Cookie"
#define AUTHORIZATION "Authorization"
#define OWN "X-Pomerium-Authorization"

static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *fields[6]; /* name, value */
        const char *path;
        const char *token;
        enum tunnel_token_place place;
    } rows[] = {
        {{NULL}, "/", "", TUNNEL_TOKEN_NONE},
        {{NULL}, "", "", TUNNEL_TOKEN_NONE},
        {{COOKIE, "_pomerium=a.b.c"}, "/", "a.b.c", TUNNEL_TOKEN_COOKIE},
        {{COOKIE, "x=y; _pomerium=sealed; _pomerium=a.b-_.c"}, "/", "a.b-_.c", TUNNEL_TOKEN_COOKIE},
        {{COOKIE, "_pomerium=sealed", COOKIE, "_pomerium=a.b.c"},
         "/",
         "a.b.c",
         TUNNEL_TOKEN_COOKIE},
        {{COOKIE, "_pomerium=a.b"}, "/", "", TUNNEL_TOKEN_NONE},
        {{COOKIE, "_pomerium=a..c"}, "/", "", TUNNEL_TOKEN_NONE},
        {{COOKIE, "_pomerium=a.b.c.d"}, "/", "", TUNNEL_TOKEN_NONE},
        {{COOKIE, "_pomerium=a.b.%"}, "/", "", TUNNEL_TOKEN_NONE},
        {{COOKIE, "other=a.b.c"}, "/", "", TUNNEL_TOKEN_NONE},
        {{OWN, "t1", COOKIE, "_pomerium=a.b.c"}, "/", "a.b.c", TUNNEL_TOKEN_COOKIE},
        {{AUTHORIZATION, "Pomerium t2", OWN, "t1"}, "/", "t1", TUNNEL_TOKEN_HEADER},
        {{AUTHORIZATION, "Bearer Pomerium-t3", AUTHORIZATION, "pomerium t2"},
         "/",
         "t2",
         TUNNEL_TOKEN_HEADER},
        {{AUTHORIZATION, "bearer Pomerium-t3"}, "/?pomerium_session=q", "t3", TUNNEL_TOKEN_HEADER},
        {{AUTHORIZATION, "Bearer t3"}, "/?a=b&pomerium_session=q&c", "q", TUNNEL_TOKEN_QUERY},
        {{AUTHORIZATION, "Bearer Pomerium-"}, "/?pomerium_session=", "", TUNNEL_TOKEN_NONE},
        {{AUTHORIZATION, "Basic Pomerium x"}, "/pomerium_session=q", "", TUNNEL_TOKEN_NONE},
        {{AUTHORIZATION, "Pomerium"}, "/?xpomerium_session=q", "", TUNNEL_TOKEN_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(fields_fini) struct fields f = {0};
        for (size_t k = 0; k < 6 && rows[i].fields[k]; k += 2)
            CHECK_OK(fields_add_str(&f, rows[i].fields[k], rows[i].fields[k + 1]));
        struct credentials c = credentials_find(&f, view_str(rows[i].path), "_pomerium");
        if (!view_eq_str(c.token, rows[i].token) || c.place != rows[i].place)
            fail_msg("row %zu: %.*s at %d", i, VIEW_FMT(c.token), (int)c.place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places)};
    return RUN(tests);
}
