/* downstream_mtls: certificates of clients on the HTTPS listener. */
#include <regex.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/value.h"

enum { MATCHES_MAX = 64, PATTERN_MAX = 1024, DEPTH_MAX = 100 };

/* Names in errors are downstream_mtls.PART. */
static const char *part(struct parse *p, const char *name)
{
    AUTO_FREE char *whole = mem_printf("downstream_mtls.%s", name);
    return value_str(p, view_str(whole));
}

static bool is_given(const struct node *n)
{
    return n && n->type != NODE_NULL && !(n->type == NODE_SCALAR && n->len == 0);
}

/* NAME in base64 or as PEM, or NAME_file. True when one is given, be it wrong. */
static bool take_blob(struct parse *p, const struct value *v, const char *name,
                      struct config_blob *out)
{
    AUTO_FREE char *file_name = mem_printf("%s_file", name);
    const struct node *inlined = node_get(v->node, name);
    const struct node *file = node_get(v->node, file_name);
    const struct node *n = is_given(file) ? file : inlined;
    if (!is_given(n))
        return false;
    if (is_given(file) && is_given(inlined))
        diag_warn(p->diag, inlined->at, part(p, name), "ignored: %s is given too", file_name);
    struct value item = *v;
    item.name = part(p, n == file ? file_name : name);
    item.node = n;
    struct config_blob blob = {.key = item.name, .at = n->at};
    if (n->type != NODE_SCALAR) {
        value_expected(p, &item, n == file ? "the name of a file" : "PEM in base64");
    } else if (n == file) {
        /* authorize knows that there is a CA, and needs no file for it. */
        if (p->config->service != CONFIG_PROXY || !value_blob_file(p, &item, n, &blob))
            return true;
    } else {
        value_inline_text(node_view(n), &blob);
        if (view_search(secret_view(&blob.text), VIEW("-----BEGIN")) < 0)
            diag_error(p->diag, n->at, item.name, "expected PEM in base64");
    }
    value_blob_keep(p->arena, &blob);
    *out = blob;
    return true;
}

static void take_enforcement(struct parse *p, const struct value *v, int *out)
{
    static const char *const names[] = {
        [MTLS_POLICY_WITH_DEFAULT_DENY] = "policy_with_default_deny",
        [MTLS_POLICY] = "policy",
        [MTLS_REJECT_CONNECTION] = "reject_connection",
    };
    const struct node *n = node_get(v->node, "enforcement");
    if (!is_given(n))
        return;
    for (size_t i = 0; n->type == NODE_SCALAR && i < ARRAY_LEN(names); i++) {
        if (view_eq_str(node_view(n), names[i])) {
            *out = (int)i;
            return;
        }
    }
    diag_error(p->diag, n->at, part(p, "enforcement"),
               "expected one of policy_with_default_deny, policy, reject_connection");
}

static void take_depth(struct parse *p, const struct value *v, uint32_t *out)
{
    uint64_t depth;
    const struct node *n = node_get(v->node, "max_verify_depth");
    if (!is_given(n))
        return;
    if (n->type != NODE_SCALAR || text_u64(node_view(n), DEPTH_MAX, &depth) != OK)
        diag_error(p->diag, n->at, part(p, "max_verify_depth"), "expected a number up to 100");
    else
        *out = (uint32_t)depth;
}

/* What Go's expressions have and POSIX's take for something else without a word. */
static const char *foreign_escape(struct view pattern)
{
    for (size_t i = 0; i + 1 < pattern.len; i++) {
        uint8_t c = pattern.ptr[i + 1];
        if (pattern.ptr[i] != '\\')
            continue;
        if (c == 'd')
            return "\\d is not known here: write [0-9]";
        if ((text_is_alpha(c) && !strchr("wWsSbB", c)) || text_is_digit(c))
            return "a \\ before this letter or digit is not known here";
        i++;
    }
    return NULL;
}

static void check_pattern(struct parse *p, const char *name, const struct node *n)
{
    regex_t regex;
    char why[128];
    const char *foreign = foreign_escape(node_view(n));
    if (n->len > PATTERN_MAX) {
        diag_error(p->diag, n->at, name, "longer than 1024 bytes");
        return;
    }
    int e = foreign ? 0 : regcomp(&regex, n->text, REG_EXTENDED | REG_NOSUB);
    if (foreign) {
        diag_error(p->diag, n->at, name, "%s", foreign);
    } else if (e != 0) {
        (void)regerror(e, &regex, why, sizeof why);
        diag_error(p->diag, n->at, name, "no POSIX extended regular expression: %s", why);
    } else {
        regfree(&regex);
    }
}

static void take_match(struct parse *p, const struct node *n, struct config_mtls *out)
{
    static const char *const kinds[] = {"dns", "email", "ip_address", "uri", "user_principal_name"};
    const char *name = part(p, "match_subject_alt_names");
    if (n->type != NODE_MAP || n->count != 1 || n->items[0]->type != NODE_SCALAR) {
        diag_error(p->diag, n->at, name, "expected a map of one kind of name to an expression");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i], n->keys[0]) != 0)
            continue;
        check_pattern(p, name, n->items[0]);
        out->matches[out->match_count++] =
            (struct config_san_match){kinds[i], value_str(p, node_view(n->items[0]))};
        return;
    }
    diag_error(p->diag, n->key_at[0], name,
               "unknown kind %s; known are dns, email, ip_address, uri, user_principal_name",
               n->keys[0]);
}

static void take_matches(struct parse *p, const struct value *v, struct config_mtls *out)
{
    const struct node *n = node_get(v->node, "match_subject_alt_names");
    if (!is_given(n))
        return;
    if (n->type != NODE_LIST || n->count > MATCHES_MAX) {
        diag_error(p->diag, n->at, part(p, "match_subject_alt_names"),
                   "expected a list of at most 64 such as [{email: '.*@example[.]com'}]");
        return;
    }
    out->matches = tree_alloc(p->arena, n->count * sizeof *out->matches);
    for (size_t i = 0; i < n->count; i++)
        take_match(p, n->items[i], out);
}

/* An unknown part could have been meant to let in fewer. */
static void check_parts(struct parse *p, const struct node *n)
{
    static const char *const known[] = {
        "ca",
        "ca_file",
        "crl",
        "crl_file",
        "enforcement",
        "match_subject_alt_names",
        "max_verify_depth",
    };
    for (size_t i = 0; i < n->count; i++) {
        bool found = false;
        struct closest c = {0};
        for (size_t k = 0; k < ARRAY_LEN(known); k++) {
            found |= strcmp(n->keys[i], known[k]) == 0;
            closest_offer(&c, n->keys[i], known[k]);
        }
        if (!found)
            diag_error(p->diag, n->key_at[i], "downstream_mtls", "unknown key %s%s%s%s", n->keys[i],
                       c.best ? ", did you mean " : "", c.best ? c.best : "", c.best ? "?" : "");
    }
}

void mtls_apply(struct parse *p, const struct value *v)
{
    struct config_mtls mtls = {.max_verify_depth = 1};
    if (v->node->type != NODE_MAP) {
        value_expected(p, v, "a map such as {ca_file: FILE}");
        return;
    }
    check_parts(p, v->node);
    mtls.given = take_blob(p, v, "ca", &mtls.ca);
    bool crl = take_blob(p, v, "crl", &mtls.crl);
    take_enforcement(p, v, &mtls.enforcement);
    take_depth(p, v, &mtls.max_verify_depth);
    take_matches(p, v, &mtls);
    if (!mtls.given && (crl || v->node->count))
        diag_error(p->diag, v->node->at, v->name,
                   "ca or ca_file is missing: whose certificates are good?");
    if (v->own)
        *(struct config_mtls *)v->field = mtls;
}

void mtls_check(struct parse *p)
{
    const struct config *c = p->config;
    if (c->insecure_server && c->downstream_mtls.given)
        diag_error(p->diag, parse_given(p, "downstream_mtls")->at, "downstream_mtls",
                   "there are no client certificates on a listener without TLS "
                   "(insecure_server)");
}
