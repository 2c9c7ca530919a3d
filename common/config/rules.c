/* What one key cannot say alone: keys that are missing, defaults that depend on the service. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/config/service_url.h"
#include "common/config/value.h"

static bool is_service(const struct parse *p, unsigned services)
{
    return p->config->service & services;
}

static struct diag_place file_place(const struct parse *p)
{
    return (struct diag_place){.file = p->config->file};
}

/* Rule 5: which key to add, and what makes its value. */
static void require(struct parse *p, unsigned services, const char *key, const char *remedy)
{
    if (is_service(p, services) && !parse_given(p, key))
        diag_error(p->diag, file_place(p), key, "missing: %s", remedy);
}

/* --- services --- */

static void check_services(struct parse *p)
{
    static const char *const known[] = {"all",   "authenticate", "authorize",
                                        "proxy", "databroker",   "cache"};
    const struct config_list *list = &p->config->services;
    const char *self = config_service_name(p->config->service);
    bool named = list->count == 0 || !is_service(p, CONFIG_DAEMONS);
    for (size_t i = 0; i < list->count; i++) {
        const char *s = list->items[i].text;
        bool valid = false;
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            valid |= strcmp(s, known[k]) == 0;
        if (!valid)
            diag_error(p->diag, list->items[i].at, "services",
                       "config: %s is an invalid service type (all, authenticate, authorize, "
                       "proxy, databroker)",
                       s);
        named |= strcmp(s, "all") == 0 || strcmp(s, self) == 0 ||
                 (strcmp(s, "cache") == 0 && is_service(p, CONFIG_DATABROKER));
    }
    if (!named)
        diag_error(p->diag, list->items[0].at, "services",
                   "leaves out %s, so this daemon does not start", self);
}

/* --- identities and secrets --- */

static void check_identity(struct parse *p)
{
    static const char *const keys[] = {"service_certificate_authority", "service_certificate",
                                       "service_certificate_key"};
    size_t given = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        given += parse_given(p, keys[i]) != NULL;
    for (size_t i = 0; given > 0 && i < ARRAY_LEN(keys); i++) {
        if (!parse_given(p, keys[i]) && is_service(p, CONFIG_DAEMONS))
            diag_error(p->diag, file_place(p), keys[i],
                       "missing: add %s_file; 'postern keygen services' makes all three", keys[i]);
    }
    if (given == 0)
        require(p, CONFIG_DAEMONS, "shared_secret",
                "'postern keygen secrets' makes one; name its file in shared_secret_file, or "
                "give the services their own certificates with 'postern keygen services'");
}

static void check_secrets(struct parse *p)
{
    static const char secrets[] = "'postern keygen secrets' makes one; name its file in %s_file";
    static const char *const keys[] = {"shared_secret", "cookie_secret"};
    static const unsigned readers[] = {CONFIG_AUTHENTICATE | CONFIG_AUTHORIZE, CONFIG_AUTHENTICATE};
    bool derived = !parse_given(p, "service_certificate_authority") &&
                   !parse_given(p, "service_certificate") &&
                   !parse_given(p, "service_certificate_key");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        /* check_identity has said so already. */
        if (i == 0 && derived)
            continue;
        AUTO_FREE char *remedy = mem_printf(secrets, keys[i]);
        require(p, readers[i], keys[i], remedy);
    }
}

/* --- URLs and addresses --- */

static void default_url(struct parse *p, struct config_urls *urls, const char *text)
{
    const char *why;
    if (urls->count)
        return;
    urls->items = tree_alloc(p->arena, sizeof *urls->items);
    urls->count = service_url_parse(p->arena, view_str(text), true, urls->items, &why) == OK;
    CHECK(urls->count == 1);
    urls->items[0].at = file_place(p);
}

static void check_https(struct parse *p, const struct config_urls *urls, const char *key)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (!urls->items[i].https)
            diag_warn(p->diag, urls->items[i].at, key,
                      "http: is taken for https: between services there is always mutual TLS");
    }
}

static uint16_t port_of(const char *address)
{
    struct view host;
    uint16_t port = 0;
    IGNORE(service_address_parse(view_str(address), 0, &host, &port), "checked before");
    return port;
}

static void derive_grpc_listen(struct parse *p, const struct config_urls *urls, const char *key)
{
    struct config *c = p->config;
    bool known = false;
    for (size_t i = 0; i < urls->count; i++)
        known |= urls->items[i].port == port_of(c->grpc_address);
    if (!*c->grpc_address && urls->count > 1) {
        diag_error(p->diag, urls->items[0].at, key,
                   "has several URLs: add grpc_address, with the port of the one that is this "
                   "daemon's");
        return;
    }
    if (*c->grpc_address && urls->count > 1 && !known)
        diag_error(p->diag, parse_given(p, "grpc_address")->at, "grpc_address",
                   "its port is in none of the URLs of %s", key);
    if (*c->grpc_address && !known && c->services.count == 0)
        diag_warn(p->diag, parse_given(p, "grpc_address")->at, "grpc_address",
                  "applies to authorize and databroker alike: where both run on one host, leave "
                  "it out");
    c->internal_listen =
        *c->grpc_address ? c->grpc_address : service_url_listen(p->arena, &urls->items[0]);
}

static void check_urls(struct parse *p)
{
    struct config *c = p->config;
    default_url(p, &c->authorize_service_urls, "https://127.0.0.1:5443");
    default_url(p, &c->databroker_service_urls, "https://127.0.0.1:5444");
    check_https(p, &c->authorize_service_urls, "authorize_service_url");
    check_https(p, &c->databroker_service_urls, "databroker_service_url");
    require(p, CONFIG_AUTHENTICATE | CONFIG_AUTHORIZE | CONFIG_PROXY, "authenticate_service_url",
            "add the URL that browsers reach this gateway at, such as https://auth.example.com");
    const struct config_url *public_url = &c->authenticate_service_url;
    if (public_url->text && !public_url->https)
        diag_error(p->diag, public_url->at, "authenticate_service_url",
                   "must begin with https://: its cookies are for TLS alone");
    if (is_service(p, CONFIG_AUTHORIZE))
        derive_grpc_listen(p, &c->authorize_service_urls, "authorize_service_url");
    if (is_service(p, CONFIG_DATABROKER))
        derive_grpc_listen(p, &c->databroker_service_urls, "databroker_service_url");
    if (is_service(p, CONFIG_AUTHENTICATE))
        c->internal_listen =
            *c->authenticate_address
                ? c->authenticate_address
                : service_url_listen(p->arena, &c->authenticate_internal_service_url);
}

static void default_health(struct parse *p)
{
    static const struct {
        enum config_service service;
        const char *address;
    } rows[] = {{CONFIG_PROXY, "127.0.0.1:28080"},
                {CONFIG_AUTHENTICATE, "127.0.0.1:28081"},
                {CONFIG_AUTHORIZE, "127.0.0.1:28082"},
                {CONFIG_DATABROKER, "127.0.0.1:28083"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!*p->config->health_check_addr && is_service(p, rows[i].service))
            p->config->health_check_addr = rows[i].address;
    }
}

static void check_metrics(struct parse *p)
{
    const struct config *c = p->config;
    if (*c->metrics_address && strcmp(c->metrics_address, c->health_check_addr) == 0)
        diag_error(p->diag, c->metrics_address_at, "metrics_address",
                   "is the address of health_check_addr; it needs a port of its own");
}

/* --- the identity provider --- */

static void check_oidc(struct parse *p)
{
    const struct config_url *url = &p->config->idp_provider_url;
    require(p, CONFIG_AUTHENTICATE, "idp_provider_url",
            "add the issuer of the provider, such as https://idp.example.com");
    require(p, CONFIG_AUTHENTICATE, "idp_client_id",
            "add the client id that the provider gave to this gateway");
    if (url->text && !url->https && !url->loopback)
        diag_warn(p->diag, url->at, "idp_provider_url",
                  "http: sends the client's secret and tokens in clear");
}

static void check_provider(struct parse *p)
{
    static const char *const generic[] = {"google",  "azure",    "okta", "auth0",
                                          "cognito", "onelogin", "ping", "gitlab"};
    static const char *const later[] = {"github", "apple", "hosted"};
    const char *name = p->config->idp_provider;
    require(p, CONFIG_AUTHENTICATE, "idp_provider",
            "add oidc with idp_provider_url, idp_client_id and idp_client_secret, or local with "
            "idp_local_users_file ('postern password' makes the hashes)");
    if (!is_service(p, CONFIG_AUTHENTICATE) || !*name)
        return;
    struct diag_place at = parse_given(p, "idp_provider")->at;
    for (size_t i = 0; i < ARRAY_LEN(generic); i++) {
        if (strcmp(name, generic[i]) == 0)
            diag_error(p->diag, at, "idp_provider",
                       "%s is not in this release: use oidc with its issuer as idp_provider_url",
                       name);
    }
    for (size_t i = 0; i < ARRAY_LEN(later); i++) {
        if (strcmp(name, later[i]) == 0)
            diag_error(p->diag, at, "idp_provider", "%s is not in this release", name);
    }
    if (strcmp(name, "oidc") == 0)
        check_oidc(p);
    else if (strcmp(name, "local") == 0)
        require(p, CONFIG_AUTHENTICATE, "idp_local_users",
                "add idp_local_users_file; 'postern password' makes the hashes in it");
    else
        diag_error(p->diag, at, "idp_provider", "expected oidc or local, got \"%s\"", name);
}

static bool is_token(const char *s, const char *more)
{
    for (; *s; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= '0' && *s <= '9') || strchr(more, *s);
        if (!plain)
            return false;
    }
    return true;
}

/* Both are written into Set-Cookie as they are (RFC 6265 §4.1.1). */
static void check_cookie(struct parse *p)
{
    const struct config *c = p->config;
    if (!*c->cookie_name || strlen(c->cookie_name) > 64 || !is_token(c->cookie_name, "_-."))
        diag_error(p->diag, parse_given(p, "cookie_name")->at, "cookie_name",
                   "expected letters, digits, _, - and . alone");
    if (strlen(c->cookie_domain) > 253 || !is_token(c->cookie_domain, "-."))
        diag_error(p->diag, parse_given(p, "cookie_domain")->at, "cookie_domain",
                   "expected a domain such as example.com");
}

/* --- the proxy's certificates --- */

/* certificate_file comes first, certificates[] after it. */
static void gather_certificates(struct parse *p)
{
    struct config *c = p->config;
    const struct node *chain = parse_given(p, "certificate");
    const struct node *key = parse_given(p, "certificate_key");
    if (!chain != !key)
        diag_error(p->diag, (chain ? chain : key)->at, chain ? "certificate" : "certificate_key",
                   "config: client certificate key and cert both must be non-empty");
    if (!c->certificate.text.len || !c->certificate_key.text.len)
        return;
    struct config_certificate *all = tree_alloc(p->arena, (c->certificate_count + 1) * sizeof *all);
    all[0] = (struct config_certificate){c->certificate, c->certificate_key};
    c->certificate = (struct config_blob){0};
    c->certificate_key = (struct config_blob){0};
    for (size_t i = 0; i < c->certificate_count; i++)
        all[i + 1] = c->certificates[i];
    c->certificates = all;
    c->certificate_count++;
}

/* Fail closed: with nobody to believe, every connection would be closed. */
static void check_proxy_protocol(struct parse *p)
{
    static const char *const keys[] = {"use_proxy_protocol", "ssh_use_proxy_protocol"};
    const struct config *c = p->config;
    const bool on[] = {c->use_proxy_protocol, c->ssh_use_proxy_protocol};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (on[i] && !c->proxy_protocol_trusted.count)
            diag_error(p->diag, parse_given(p, keys[i])->at, "proxy_protocol_trusted",
                       "missing: %s is on, so add the addresses or networks of the load balancers",
                       keys[i]);
    }
}

static void check_insecure(struct parse *p)
{
    const struct node *given = parse_given(p, "insecure_server");
    if (p->config->insecure_server)
        diag_warn(p->diag, given->at, "insecure_server",
                  "the HTTPS listener speaks plain HTTP: who is on the way reads tokens and "
                  "cookies, unless something in front of it does TLS");
}

/* --- routes and SSH --- */

static bool on_read_file(void *ctx, const char *key, const struct node *n, bool tight,
                         struct config_blob *out)
{
    AUTO_FREE char *what = mem_strndup(key, strlen(key) - strlen("_file"));
    for (char *c = what; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    const struct config_key k = {.flags = tight ? CONFIG_FILE_TIGHT : 0, .what = what};
    const struct value v = {.key = &k, .name = key, .node = n, .file = true, .own = true};
    return value_blob_file(ctx, &v, n, out);
}

static void parse_routes(struct parse *p)
{
    if (!is_service(p, CONFIG_AUTHORIZE))
        return;
    const struct node *lists[] = {p->routes, p->policy};
    struct node *all = tree_alloc(p->arena, sizeof *all);
    *all = (struct node){.type = NODE_LIST, .text = "", .at = file_place(p)};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        all->count += lists[i] ? lists[i]->count : 0;
    all->items = tree_alloc(p->arena, all->count * sizeof(struct node *));
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (size_t k = 0; lists[i] && k < lists[i]->count; k++)
            all->items[n++] = lists[i]->items[k];
    }
    const struct route_files files = {.ctx = p, .read = on_read_file};
    routes_parse(p->arena, all, (enum host_key_policy)p->config->ssh_host_key_policy,
                 p->source->read ? &files : NULL, p->diag, &p->config->routes);
    p->config->routes.given = p->routes || p->policy;
    if (!p->config->routes.given)
        diag_warn(p->diag, file_place(p), "routes", "missing: nothing can be reached yet");
}

static void check_ssh(struct parse *p)
{
    const struct config *c = p->config;
    bool ssh = *c->ssh_address;
    for (size_t i = 0; i < c->routes.count; i++)
        ssh |= c->routes.items[i].kind == ROUTE_SSH;
    if (!ssh)
        return;
    require(p, CONFIG_AUTHORIZE, "ssh_user_ca_key",
            "'postern keygen user-ca' makes one; name its file in ssh_user_ca_key_file");
    if (is_service(p, CONFIG_PROXY) && !parse_given(p, "ssh_host_keys") &&
        !parse_given(p, "ssh_host_key_files"))
        diag_error(p->diag, file_place(p), "ssh_host_key_files",
                   "missing: 'postern keygen host-keys' makes them");
}

/* --- the databroker's storage --- */

static void check_storage(struct parse *p)
{
    struct config *c = p->config;
    static const char key[] = "databroker_storage_connection_string";
    if (!is_service(p, CONFIG_DATABROKER))
        return;
    if (c->databroker_storage_type == STORAGE_MEMORY) {
        diag_warn(p->diag, file_place(p), "databroker_storage_type",
                  "memory: sessions and bindings are lost at each restart; use file with "
                  "databroker_storage_connection_string: file:///DIR");
        return;
    }
    require(p, CONFIG_DATABROKER, key, "add file:///DIR, the directory for the records");
    struct view text = secret_view(&c->databroker_storage_connection_string);
    const struct node *given = parse_given(p, key);
    if (!given || !text.len)
        return;
    struct view dir = view_skip(text, 7);
    if (!view_starts_with(text, VIEW("file:///")) || view_find(text, '\n') >= 0) {
        diag_error(p->diag, given->at, key, "expected file:///DIR for the storage type file");
        return;
    }
    while (dir.len > 1 && dir.ptr[dir.len - 1] == '/')
        dir.len--;
    c->databroker_storage_dir = value_str(p, dir);
}

void rules_apply(struct parse *p)
{
    check_services(p);
    check_identity(p);
    check_secrets(p);
    check_urls(p);
    default_health(p);
    check_metrics(p);
    check_provider(p);
    check_cookie(p);
    gather_certificates(p);
    check_proxy_protocol(p);
    mtls_check(p);
    check_insecure(p);
    parse_routes(p);
    check_ssh(p);
    check_storage(p);
}
