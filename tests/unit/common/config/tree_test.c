#include "common/config/tree.h"

#include "tests/support/test.h"

static struct tree *parse(const char *yaml, struct diag *d)
{
    struct tree *t = NULL;
    CHECK_OK(tree_parse(view_str(yaml), "t.yaml", d, &t));
    return t;
}

/* The file is refused, and its first error is exactly that. */
static void refused(const char *yaml, const char *error)
{
    struct diag d = {0};
    struct tree *t = NULL;
    CHECK_ERR(tree_parse(view_str(yaml), "t.yaml", &d, &t), ERR_CONFIG);
    assert_null(t);
    assert_string_equal(d.items[0].text, error);
    diag_fini(&d);
}

static void test_shapes(void **state)
{
    (void)state;
    struct diag d = {0};
    struct tree *t = parse("a: 1\nb: [x, \"y\", ~]\nc: {d: null, e: ''}\nf:\n", &d);
    const struct node *b = node_get(t->root, "b");
    assert_int_equal(t->root->type, NODE_MAP);
    assert_int_equal(t->root->count, 4);
    CHECK_VIEW_STR(node_view(node_get(t->root, "a")), "1");
    assert_int_equal(b->type, NODE_LIST);
    assert_int_equal(b->count, 3);
    assert_false(b->items[0]->quoted);
    assert_true(b->items[1]->quoted);
    assert_int_equal(b->items[2]->type, NODE_NULL);
    const struct node *c = node_get(t->root, "c");
    assert_int_equal(node_get(c, "d")->type, NODE_NULL);
    assert_int_equal(node_get(c, "e")->type, NODE_SCALAR);
    assert_int_equal(node_get(t->root, "f")->type, NODE_NULL);
    assert_null(node_get(t->root, "g"));
    assert_null(node_get(b, "g"));
    tree_free(t);
    assert_int_equal(d.count, 0);
}

static void test_places(void **state)
{
    (void)state;
    struct diag d = {0};
    struct tree *t = parse("# note\na:\n  - x\n  - kk: {v: w}\n", &d);
    const struct node *a = node_get(t->root, "a");
    assert_int_equal(t->root->key_at[0].line, 2);
    assert_int_equal(a->items[0]->at.line, 3);
    assert_int_equal(a->items[0]->at.column, 5);
    const struct node *v = node_get(node_get(a->items[1], "kk"), "v");
    assert_int_equal(v->at.line, 4);
    assert_int_equal(v->at.column, 13);
    assert_string_equal(v->at.file, "t.yaml");
    tree_free(t);
}

static void test_empty(void **state)
{
    (void)state;
    static const char *const files[] = {"", "\n", "# only a comment\n", "---\n", "~"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct diag d = {0};
        struct tree *t = parse(files[i], &d);
        assert_int_equal(t->root->type, NODE_NULL);
        tree_free(t);
    }
}

static void test_duplicates_are_all_named(void **state)
{
    (void)state;
    struct diag d = {0};
    struct tree *t;
    const char *yaml = "a: 1\nb: {c: 1, c: 2}\na: 3\n";
    CHECK_ERR(tree_parse(view_str(yaml), "t.yaml", &d, &t), ERR_CONFIG);
    assert_int_equal(d.errors, 2);
    assert_string_equal(d.items[0].text, "t.yaml:2:11: c: given twice, first in line 2");
    assert_string_equal(d.items[1].text, "t.yaml:3:1: a: given twice, first in line 1");
    diag_fini(&d);
}

static void test_duplicates_in_a_long_map(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 1000; i++)
        CHECK_OK(buf_printf(&b, "k%d: %d\n", i, i));
    struct diag d = {0};
    struct tree *t;
    CHECK_OK(tree_parse(buf_view(&b), "t.yaml", &d, &t));
    tree_free(t);
    CHECK_OK(buf_append_str(&b, "k77: again\n"));
    CHECK_ERR(tree_parse(buf_view(&b), "t.yaml", &d, &t), ERR_CONFIG);
    assert_string_equal(d.items[0].text, "t.yaml:1001:1: k77: given twice, first in line 78");
    diag_fini(&d);
}

static void test_refusals(void **state)
{
    (void)state;
    refused("a: *x\n", "t.yaml:1:4: an alias (*name) without a finished anchor (&name) before it");
    refused("a: &x [*x]\n",
            "t.yaml:1:8: an alias (*name) without a finished anchor (&name) before it");
    refused("a: 1\n<<: {b: 2}\n",
            "t.yaml:2:1: merge keys (<<) are not supported: write the keys out");
    refused("a: !vault x\n", "t.yaml:1:4: tags (!name) are not supported");
    refused("? [a]\n: b\n", "t.yaml:1:3: a key must be a plain value");
    refused("a: \"x\\0y\"\n", "t.yaml:1:4: a NUL byte is not allowed");
    refused("a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document (---) is not allowed");
    refused("a: \xff\n", "t.yaml: not a UTF-8 text file: invalid leading UTF-8 octet at byte 3");
    refused("a: [1\nb: 2\n", "t.yaml:2:2: not valid YAML: did not find expected ',' or ']', while "
                             "parsing a flow sequence");
}

static void test_aliases(void **state)
{
    (void)state;
    struct diag d = {0};
    struct tree *t = parse("a: &x [1, 2]\nb: *x\nc: !!str 12\n", &d);
    assert_ptr_equal(node_get(t->root, "a"), node_get(t->root, "b"));
    assert_true(node_get(t->root, "c")->quoted);
    tree_free(t);
}

/* Each line stands for ten of the line before: 10^9 values in 300 bytes. */
static void test_billion_laughs(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1 << 16);
    CHECK_OK(buf_append_str(&b, "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"));
    for (int i = 1; i < 9; i++) {
        CHECK_OK(buf_printf(&b, "l%d: &l%d [", i, i));
        for (int k = 0; k < 10; k++)
            CHECK_OK(buf_printf(&b, "%s*l%d", k ? ", " : "", i - 1));
        CHECK_OK(buf_append_str(&b, "]\n"));
    }
    struct diag d = {0};
    struct tree *t;
    CHECK_ERR(tree_parse(buf_view(&b), "t.yaml", &d, &t), ERR_CONFIG);
    assert_non_null(strstr(d.items[0].text, "too many values"));
    diag_fini(&d);
}

static void nested(size_t depth, enum err expected)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 4096);
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_append_u8(&b, '['));
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_append_u8(&b, ']'));
    struct diag d = {0};
    struct tree *t = NULL;
    CHECK_ERR(tree_parse(buf_view(&b), "t.yaml", &d, &t), expected);
    tree_free(t);
    diag_fini(&d);
}

static void test_depth(void **state)
{
    (void)state;
    nested(TREE_DEPTH_MAX, OK);
    nested(TREE_DEPTH_MAX + 1, ERR_CONFIG);
    /* An alias brings the height of what it stands for. */
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 4096);
    CHECK_OK(buf_append_str(&b, "a: &a "));
    for (int i = 0; i < 40; i++)
        CHECK_OK(buf_append_u8(&b, '['));
    for (int i = 0; i < 40; i++)
        CHECK_OK(buf_append_u8(&b, ']'));
    CHECK_OK(buf_append_str(&b, "\nb: "));
    for (int i = 0; i < 40; i++)
        CHECK_OK(buf_append_u8(&b, '['));
    CHECK_OK(buf_append_str(&b, "*a"));
    for (int i = 0; i < 40; i++)
        CHECK_OK(buf_append_u8(&b, ']'));
    struct diag d = {0};
    struct tree *t;
    CHECK_ERR(tree_parse(buf_view(&b), "t.yaml", &d, &t), ERR_CONFIG);
    assert_non_null(strstr(d.items[0].text, "nested too deeply"));
    diag_fini(&d);
}

static void test_size(void **state)
{
    (void)state;
    size_t len = TREE_SIZE_MAX + 1;
    char *text = mem_zalloc(len);
    memset(text, '#', len);
    struct diag d = {0};
    struct tree *t = NULL;
    CHECK_ERR(tree_parse(view_of(text, len), "t.yaml", &d, &t), ERR_CONFIG);
    assert_string_equal(d.items[0].text, "t.yaml: larger than 16 MiB");
    diag_fini(&d);
    CHECK_OK(tree_parse(view_of(text, len - 1), "t.yaml", &d, &t));
    tree_free(t);
    mem_free(text);
}

static void test_bool(void **state)
{
    (void)state;
    struct diag d = {0};
    struct tree *t = parse("[true, 'TRUE', 1, t, false, F, 0, yes, on, 2, [true], ~]", &d);
    static const int expected[] = {1, 1, 1, 1, 0, 0, 0, -1, -1, -1, -1, -1};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        bool value = false;
        bool ok = node_bool(t->root->items[i], &value);
        assert_int_equal(ok ? value : -1, expected[i]);
    }
    tree_free(t);
}

static bool skip_secret(const char *key)
{
    return strcmp(key, "secret") == 0;
}

static void test_canonical(void **state)
{
    (void)state;
    struct diag d = {0};
    struct tree *a = parse("b: [x, y]\na: {k: v, j: null}\nsecret: one\n", &d);
    struct tree *b = parse("# other\na: {\"j\": , 'k': \"v\"}\nsecret: two\nb:\n- x\n- 'y'\n", &d);
    struct tree *c = parse("b: ['xy']\na: {k: v, j: null}\n", &d);
    AUTO(buf_fini) struct buf x, y, z, small;
    buf_init(&x, 1000);
    buf_init(&y, 1000);
    buf_init(&z, 1000);
    buf_init(&small, 3);
    CHECK_OK(node_canonical(a->root, skip_secret, NULL, &x));
    CHECK_OK(node_canonical(b->root, skip_secret, NULL, &y));
    CHECK_OK(node_canonical(c->root, skip_secret, NULL, &z));
    CHECK_VIEW_STR(buf_view(&x), "{1:a={1:j=~1:k=1:v}1:b=[1:x1:y]}");
    CHECK_VIEW(buf_view(&x), buf_view(&y));
    assert_false(view_eq(buf_view(&x), buf_view(&z)));
    CHECK_ERR(node_canonical(a->root, NULL, NULL, &small), ERR_LIMIT);
    tree_free(a);
    tree_free(b);
    tree_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_duplicates_are_all_named),
        cmocka_unit_test(test_duplicates_in_a_long_map),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_billion_laughs),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_canonical),
    };
    return RUN(tests);
}
