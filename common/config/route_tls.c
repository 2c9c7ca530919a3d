/* tls_*: what the gateway shows to and believes of an endpoint behind tls:// or https://. */
#include "common/base/check.h"
#include "common/config/route_parse.h"
#include "common/config/value.h"

/* A cluster with three of them fits into one message to the proxies. */
enum { TLS_BLOB_MAX = 1 << 20 };

void route_take_tls_blob(struct route_context *c, const char *key, const struct node *n,
                         struct config_blob *out)
{
    bool file = view_ends_with(view_str(key), VIEW("_file"));
    struct config_blob blob = {.key = key, .at = n->at};
    if (n->type == NODE_NULL || (n->type == NODE_SCALAR && n->len == 0))
        return;
    if (n->type != NODE_SCALAR) {
        route_fail(c, n->at, key, "expected %s, got %s", file ? "the name of a file" : "a text",
                   node_type_name(n));
        return;
    }
    if (out->key)
        diag_warn(c->diag, n->at, key, "%s is given too: the file is used",
                  file ? "the inline form" : "the file form");
    /* Both forms: the file wins, as in Pomerium's other keys. */
    if (out->key && !file)
        return;
    bool tight = strcmp(key, "tls_client_key_file") == 0;
    if (!file) {
        value_inline_text(node_view(n), &blob);
        if (view_search(secret_view(&blob.text), VIEW("-----BEGIN")) < 0)
            route_fail(c, n->at, key, "expected PEM, or base64 of it");
    } else if (!c->files) {
        *out = blob;
        return;
    } else if (!c->files->read(c->files->ctx, key, n, tight, &blob)) {
        c->failed = true;
        return;
    }
    if (blob.text.len > TLS_BLOB_MAX)
        route_fail(c, n->at, key, "too long: at most %d bytes", TLS_BLOB_MAX);
    value_blob_keep(c->tree, &blob);
    *out = blob;
}

void route_tls_finish(struct route_context *c)
{
    static const char why[] = "does nothing: 'to' has no TLS; write tls://";
    const struct route_tunnel *t = c->tunnel;
    const struct config_blob *blobs[] = {&t->tls_ca, &t->tls_cert, &t->tls_key};
    if (!t->tls_cert.key != !t->tls_key.key && !c->failed)
        route_fail(c, (t->tls_cert.key ? &t->tls_cert : &t->tls_key)->at,
                   (t->tls_cert.key ? &t->tls_cert : &t->tls_key)->key,
                   "config: client certificate key and cert both must be non-empty");
    if (t->scheme == ROUTE_TLS || t->scheme == ROUTE_HTTPS_PROXY || !t->endpoint_count)
        return;
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
        if (blobs[i]->key)
            diag_warn(c->diag, blobs[i]->at, blobs[i]->key, "%s", why);
    }
    if (t->tls_skip_verify)
        diag_warn(c->diag, c->route->at, "tls_skip_verify", "%s", why);
    if (*t->tls_server_name)
        diag_warn(c->diag, c->route->at, "tls_server_name", "%s", why);
}
