#include "authorize/policy/keyset.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/wire.h"

/* Key types without the suffix of their certificates. */
static const char *const types[] = {
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
};

static const char *const certificate_types[] = {
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
};

static bool is_one_of(struct view name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (view_eq_str(name, names[i]))
            return true;
    }
    return false;
}

static void parse_line(struct keyset *k, const struct policy_source *s, const struct node *n,
                       struct view line, bool plain)
{
    struct view type = view_word(&line);
    struct view base64 = view_word(&line);
    bool is_plain = is_one_of(type, types, ARRAY_LEN(types));
    bool is_certificate = is_one_of(type, certificate_types, ARRAY_LEN(certificate_types));
    if (!is_plain && !is_certificate) {
        policy_error(s, n, "\"%.*s\" is no public key type; expected \"TYPE BASE64 [COMMENT]\"",
                     (int)(type.len < 60 ? type.len : 60), (const char *)type.ptr);
        return;
    }
    if (is_certificate && plain) {
        policy_error(s, n, "expected the public key of a CA, not a certificate");
        return;
    }
    struct buf blob;
    buf_init(&blob, KEYSET_BLOB_MAX);
    bool ok = text_unbase64(base64, &blob) == OK;
    struct reader r = reader_of(buf_view(&blob));
    ok = ok && view_eq(read_string(&r), type) && reader_left(&r) > 0;
    if (!ok) {
        buf_fini(&blob);
        policy_error(s, n, "the public key is malformed: the part after \"%.*s\"", VIEW_FMT(type));
        return;
    }
    k->blobs = mem_realloc(k->blobs, (k->count + 1) * sizeof *k->blobs);
    k->blobs[k->count++] = blob;
}

static void parse_text(struct keyset *k, const struct policy_source *s, const struct node *n,
                       bool plain)
{
    struct view rest = node_view(n);
    struct view line;
    size_t before = k->count + s->diag->errors;
    while (view_next(&rest, '\n', &line)) {
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        line = view_trim(line);
        if (line.len && line.ptr[0] != '#')
            parse_line(k, s, n, line, plain);
    }
    if (k->count + s->diag->errors == before)
        policy_error(s, n, "expected a public key as \"TYPE BASE64 [COMMENT]\", found none");
}

void keyset_parse(struct keyset *k, const struct policy_source *s, const struct node *n, bool plain)
{
    if (n->type == NODE_SCALAR) {
        parse_text(k, s, n, plain);
        return;
    }
    if (n->type != NODE_LIST || n->count == 0) {
        policy_error(s, n, "expected a public key or a list of them");
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        if (n->items[i]->type == NODE_SCALAR)
            parse_text(k, s, n->items[i], plain);
        else
            policy_error(s, n->items[i], "expected a public key, not %s",
                         node_type_name(n->items[i]));
    }
}

void keyset_fini(struct keyset *k)
{
    for (size_t i = 0; i < k->count; i++)
        buf_fini(&k->blobs[i]);
    mem_free(k->blobs);
    *k = (struct keyset){0};
}

bool keyset_has(const struct keyset *k, struct view blob)
{
    for (size_t i = 0; i < k->count; i++) {
        if (view_eq(buf_view(&k->blobs[i]), blob))
            return true;
    }
    return false;
}
