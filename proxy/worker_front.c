#include "proxy/worker_front.h"

#include <sys/resource.h>

#include "common/base/mem.h"
#include "proxy/supervisor/process.h"

/* Descriptors that are not for tunnels. */
enum { DESCRIPTORS_KEPT = 512 };

static enum err make_server(const struct worker_front *w, const struct worker_config *c,
                            struct tls_context **out, char **out_why)
{
    const struct worker_mtls *mtls = &c->downstream_mtls;
    struct tls_chain *chains = mem_zalloc_array(c->certificate_count, sizeof *chains);
    struct tls_san_match *matches = mem_zalloc_array(mtls->match_count, sizeof *matches);
    for (size_t i = 0; i < c->certificate_count; i++)
        chains[i].chain_pem = c->certificates[i].chain_pem;
    for (size_t i = 0; i < mtls->match_count; i++)
        matches[i] = (struct tls_san_match){mtls->matches[i].kind, mtls->matches[i].pattern};
    const struct tls_client_rules rules = {.ca_pem = mtls->ca,
                                           .crl_pem = mtls->crl && *mtls->crl ? mtls->crl : NULL,
                                           .required = mtls->reject_connection,
                                           .max_depth = mtls->max_verify_depth,
                                           .matches = matches,
                                           .match_count = mtls->match_count};
    const struct tls_server_spec spec = {.chains = chains,
                                         .chain_count = c->certificate_count,
                                         .signer = w->signer,
                                         .client_rules = mtls->ca ? &rules : NULL,
                                         .alpn_http1 = true,
                                         .alpn_h2 = true};
    enum err e = c->certificate_count ? tls_server_new(&spec, out, out_why) : ERR_CONFIG;
    mem_free(chains);
    mem_free(matches);
    return e;
}

static enum err make_client(const struct worker_config *c, struct tls_context **out, char **out_why)
{
    const struct tls_client_spec spec = {.ca_pem = c->service_ca,
                                         .server_uri = "postern://service/authenticate",
                                         .chain_pem = c->service_certificate,
                                         .key_pem = c->service_key,
                                         .alpn_http1 = true};
    return tls_client_new(&spec, out, out_why);
}

/* Two descriptors each. */
static size_t tunnels_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return limit.rlim_cur > 2 * DESCRIPTORS_KEPT ? (limit.rlim_cur - DESCRIPTORS_KEPT) / 2 : 1;
}

static void set(const struct worker_front *w, struct front **f, int fd,
                const struct front_settings *settings)
{
    if (*f)
        front_set(*f, settings);
    else
        *f = front_open(w->loop, fd, w->rng, settings);
}

enum err worker_front_set(const struct worker_front *w, const struct worker_config *c,
                          char **out_why)
{
    struct front_settings settings = {.authenticate_host = c->authenticate_host,
                                      .authenticate_target = c->authenticate_target,
                                      .arrivals = {c->use_proxy_protocol,
                                                   c->proxy_protocol_trusted.items,
                                                   c->proxy_protocol_trusted.count},
                                      .tunnels = w->tunnels,
                                      .tunnels_max = tunnels_max(),
                                      .cookie_name = c->cookie_name,
                                      .head_ms = c->timeout_read,
                                      .idle_ms = c->timeout_idle,
                                      .is_hsts = !c->self_signed};
    enum err e = OK;
    if (c->https_listener && !c->insecure_server)
        e = make_server(w, c, &settings.server, out_why);
    if (e == OK)
        e = make_client(c, &settings.client, out_why);
    if (e == OK && c->https_listener)
        set(w, w->https, PROCESS_FD_HTTPS, &settings);
    tls_unref(settings.server);
    if (e == OK && c->redirect_listener) {
        settings.server = NULL;
        settings.redirect_port = c->https_port;
        set(w, w->redirect, PROCESS_FD_REDIRECT, &settings);
    }
    tls_unref(settings.client);
    return e;
}
