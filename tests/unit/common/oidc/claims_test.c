#include "common/oidc/claims.h"
#include "tests/support/test.h"

/* "name=value,value;…" */
static void check_flat(const char *text, const char *expected)
{
    struct json *v = NULL;
    struct claims c = {0};
    struct buf out;
    buf_init(&out, 10000);
    CHECK_OK(json_parse(view_str(text), &v));
    CHECK_OK(claims_flatten(v, &c));
    for (size_t i = 0; i < c.count; i++) {
        CHECK_OK(buf_printf(&out, "%s=", c.items[i].name));
        for (size_t n = 0; n < c.items[i].count; n++)
            CHECK_OK(buf_printf(&out, "%s%s", n ? "," : "", c.items[i].values[n]));
        CHECK_OK(buf_append_u8(&out, ';'));
    }
    CHECK_VIEW_STR(buf_view(&out), expected);
    buf_fini(&out);
    claims_fini(&c);
    json_free(v);
}

static void test_flatten(void **state)
{
    (void)state;
    check_flat("{}", "");
    check_flat("{\"sub\":\"x\",\"a\":{\"b\":[1,\"x\",true],\"c\":{\"d\":1.5}}}",
               "a.b=1,x,true;a.c.d=1.5;sub=x;");
    check_flat("{\"n\":null,\"e\":{},\"l\":[],\"m\":[null,[\"deep\",[\"er\"]]]}", "m=deep,er;");
    check_flat("{\"groups\":[\"ops\",\"admins\"],\"x\":[{\"id\":1},{\"id\":2}]}",
               "groups=ops,admins;x.id=1,2;");
    check_flat("{\"a.b\":\"1\",\"a\":{\"b\":\"2\"}}", "a.b=1,2;");
}

static void test_get(void **state)
{
    (void)state;
    struct json *v = NULL;
    struct claims c = {0};
    CHECK_OK(json_parse(VIEW("{\"groups\":[\"ops\",\"admins\"]}"), &v));
    CHECK_OK(claims_flatten(v, &c));
    assert_string_equal(claims_first(&c, "groups"), "ops");
    assert_string_equal(claims_first(&c, "none"), "");
    assert_int_equal(claims_get(&c, "groups")->count, 2);
    assert_null(claims_get(&c, "group"));
    assert_int_equal(c.values, 2);
    json_free(v);
    CHECK_OK(json_parse(VIEW("[]"), &v));
    CHECK_ERR(claims_flatten(v, &c), ERR_SYNTAX);
    assert_int_equal(c.count, 1);
    claims_fini(&c);
    json_free(v);
}

static void test_limits(void **state)
{
    (void)state;
    struct claims c = {0};
    struct json *v = json_new_object();
    struct json *list = json_new_array();
    for (size_t i = 0; i < CLAIMS_VALUES_MAX; i++)
        CHECK_OK(json_add_str(list, VIEW("x")));
    CHECK_OK(json_set(v, "l", list));
    CHECK_OK(claims_flatten(v, &c));
    CHECK_OK(json_set_bool(v, "one more", true));
    CHECK_ERR(claims_flatten(v, &c), ERR_LIMIT);
    json_free(v);
    char name[CLAIMS_NAME_MAX + 2] = {0};
    memset(name, 'n', CLAIMS_NAME_MAX + 1);
    v = json_new_object();
    CHECK_OK(json_set_bool(v, name, true));
    CHECK_ERR(claims_flatten(v, &c), ERR_LIMIT);
    json_free(v);
    claims_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flatten),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_limits),
    };
    return RUN(tests);
}
