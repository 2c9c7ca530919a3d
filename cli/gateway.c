#include "cli/gateway.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/files.h"
#include "cli/token_cache.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/dial.h"

enum { PEM_MAX = 4 << 20 };

static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

static bool is_pem(struct view text)
{
    return view_search(text, VIEW("-----BEGIN ")) >= 0;
}

/* PEM as such, the name of a file that holds it, or its base64: appended to `out`. */
static int read_pem(const char *flag, const char *value, struct buf *out)
{
    if (is_pem(view_str(value)))
        return buf_append_str(out, value) == OK ? CLI_OK : cli_fail("%s is too long", flag);
    if (access(value, F_OK) == 0) {
        size_t before = out->len;
        if (files_read(value, out) != OK)
            return CLI_FAILED;
        if (is_pem(view_skip(buf_view(out), before)))
            return CLI_OK;
        return cli_fail("%s: %s holds no PEM", flag, value);
    }
    AUTO(buf_wipe) struct buf decoded;
    buf_init(&decoded, PEM_MAX);
    if (text_unbase64(view_str(value), &decoded) != OK || !is_pem(buf_view(&decoded)))
        return cli_fail("%s is neither a file nor PEM in base64", flag);
    return buf_append(out, buf_view(&decoded)) == OK ? CLI_OK : cli_fail("%s is too long", flag);
}

/* What the flags name is trusted besides the system's store, as Pomerium's client does it. */
static int read_authorities(const struct client_flags *f, struct buf *out)
{
    int status = CLI_OK;
    if (f->ca_cert)
        status = read_pem("--ca-cert", f->ca_cert, out);
    IGNORE(buf_append_u8(out, '\n'), "a full buffer shows at the next file");
    if (status == CLI_OK && f->alternate_ca_path)
        status = read_pem("--alternate-ca-path", f->alternate_ca_path, out);
    IGNORE(buf_append_u8(out, '\n'), "as above");
    for (size_t i = 0; status == CLI_OK && i < sizeof system_bundles / sizeof *system_bundles;
         i++) {
        if (access(system_bundles[i], R_OK) == 0)
            return files_read(system_bundles[i], out) == OK ? CLI_OK : CLI_FAILED;
    }
    return status;
}

struct pems {
    struct buf ca;
    struct buf cert;
    struct buf key;
};

static void pems_fini(struct pems *p)
{
    buf_fini(&p->ca);
    buf_fini(&p->cert);
    buf_wipe(&p->key);
}

static int read_pems(const struct client_flags *f, struct pems *p)
{
    int status = CLI_OK;
    if (f->ca_cert || f->alternate_ca_path)
        status = read_authorities(f, &p->ca);
    if (status == CLI_OK && f->client_cert)
        status = read_pem("--client-cert", f->client_cert, &p->cert);
    /* A file may hold both. */
    if (status == CLI_OK && f->client_cert)
        status = read_pem(f->client_key ? "--client-key" : "--client-cert",
                          f->client_key ? f->client_key : f->client_cert, &p->key);
    return status;
}

static int make_tls(struct gateway *g, const struct pems *p)
{
    AUTO_FREE char *ca = buf_to_str(&p->ca);
    AUTO_FREE char *cert = buf_to_str(&p->cert);
    char *key = buf_to_str(&p->key);
    AUTO_FREE char *why = NULL;
    struct tls_client_spec spec = {.ca_pem = p->ca.len ? ca : NULL,
                                   .skip_verify = g->flags->disable_tls_verification,
                                   .chain_pem = p->cert.len ? cert : NULL,
                                   .key_pem = p->cert.len ? key : NULL,
                                   .alpn_http1 = true};
    enum err e = tls_client_new(&spec, &g->tls_http1, &why);
    spec.alpn_h2 = true;
    if (e == OK)
        e = tls_client_new(&spec, &g->tls_any, &why);
    mem_wipe(key, strlen(key));
    mem_free(key);
    return e == OK ? CLI_OK : cli_fail("%s", why);
}

int gateway_init(struct gateway *g, struct loop *l, struct endpoint *at,
                 const struct client_flags *flags)
{
    *g = (struct gateway){.loop = l, .flags = flags, .at = *at};
    *at = (struct endpoint){0};
    g->url = endpoint_url(&g->at);
    g->token = token_cache_read(&g->at, loop_wall_ms());
    if (!g->at.tls)
        return CLI_OK;
    AUTO(pems_fini) struct pems pems = {0};
    buf_init(&pems.ca, PEM_MAX);
    buf_init(&pems.cert, PEM_MAX);
    buf_init(&pems.key, PEM_MAX);
    int status = read_pems(flags, &pems);
    return status == CLI_OK ? make_tls(g, &pems) : status;
}

void gateway_fini(struct gateway *g)
{
    gateway_set_token(g, NULL);
    mem_free(g->token);
    mem_free(g->url);
    endpoint_fini(&g->at);
    tls_unref(g->tls_http1);
    tls_unref(g->tls_any);
}

void gateway_set_token(struct gateway *g, const char *token)
{
    char *copy = mem_strdup(token);
    if (g->token)
        mem_wipe(g->token, strlen(g->token));
    mem_free(g->token);
    g->token = copy;
}

char *gateway_authorization(const struct gateway *g)
{
    return *g->token ? mem_printf("Pomerium %s", g->token) : NULL;
}

/* --- one connection --- */

struct conn {
    struct gateway *gateway;
    struct tls_context *tls;
    struct dial *dial;
    struct stream *stream;
    conn_fn on_ready; /* NULL once it was called */
    const struct stream_handler *user;
    void *ctx;
};

static void conn_free(struct conn *c)
{
    dial_cancel(c->dial);
    mem_free(c);
}

void conn_close(struct conn *c)
{
    if (!c)
        return;
    if (c->stream)
        stream_close(c->stream, 0, NULL, NULL);
    conn_free(c);
}

static void give_up(struct conn *c, enum err e, const char *why)
{
    conn_fn fn = c->on_ready;
    void *ctx = c->ctx;
    AUTO_FREE char *sentence = mem_printf("%s is not reachable: %s", c->gateway->url, why);
    conn_close(c);
    fn(ctx, e, sentence);
}

static void on_stream_open(void *ctx)
{
    struct conn *c = ctx;
    conn_fn fn = c->on_ready;
    c->on_ready = NULL;
    if (fn)
        fn(c->ctx, OK, "");
}

static void on_stream_read(void *ctx, struct view bytes)
{
    struct conn *c = ctx;
    if (c->user)
        c->user->on_read(c->ctx, bytes);
}

static void on_stream_drain(void *ctx)
{
    struct conn *c = ctx;
    if (c->user)
        c->user->on_drain(c->ctx);
}

static void on_stream_end(void *ctx, enum err e)
{
    struct conn *c = ctx;
    if (c->on_ready) {
        const char *why = stream_why(c->stream);
        give_up(c, e == OK ? ERR_CLOSED : e, *why ? why : "it closed the connection");
    } else if (c->user) {
        c->user->on_end(c->ctx, e);
    }
}

static const struct stream_handler stream_events = {
    .on_open = on_stream_open,
    .on_read = on_stream_read,
    .on_drain = on_stream_drain,
    .on_end = on_stream_end,
};

static void on_dialled(void *ctx, const struct dial_result *result)
{
    struct conn *c = ctx;
    c->dial = NULL;
    if (result->err != OK) {
        give_up(c, result->err, result->why);
        return;
    }
    const struct stream_spec spec = {.loop = c->gateway->loop,
                                     .tls = c->tls,
                                     .server_name = c->gateway->at.host,
                                     .keepalive = true};
    c->stream = stream_new(&spec, result->fd, &stream_events, c);
}

struct conn *conn_open(struct gateway *g, enum conn_protocols protocols, conn_fn on_ready,
                       void *ctx)
{
    struct conn *c = mem_zalloc(sizeof *c);
    c->gateway = g;
    c->tls = protocols == CONN_ANY ? g->tls_any : g->tls_http1;
    c->on_ready = on_ready;
    c->ctx = ctx;
    c->dial = dial_open(g->loop, g->at.dial, 0, on_dialled, c);
    return c;
}

void conn_use(struct conn *c, const struct stream_handler *handler, void *ctx)
{
    c->user = handler;
    c->ctx = ctx;
}

struct stream *conn_stream(const struct conn *c)
{
    return c->stream;
}

bool conn_is_h2(const struct conn *c)
{
    return strcmp(stream_alpn(c->stream), "h2") == 0;
}
