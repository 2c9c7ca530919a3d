/* postern keygen: keys, secrets and certificates, each in a new file. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/files.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/key.h"
#include "common/crypto/rng.h"
#include "common/crypto/x509.h"
#include "common/io/loop.h"

enum { SECRET_LEN = 32, NAMES_MAX = 16, ADMIN_DAYS_MAX = 3650 };

static const uint64_t day_ms = 86400000;
static const uint64_t ca_days = 3650;
static const uint64_t leaf_days = 825;
/* Clocks of one installation may differ a little. */
static const uint64_t skew_ms = 3600000;

static char *in_dir(const char *dir, const char *name)
{
    return mem_printf("%s/%s", dir, name);
}

static enum err create_in(const char *dir, const char *name, mode_t mode, struct view bytes)
{
    AUTO_FREE char *path = in_dir(dir, name);
    TRY(files_create(path, mode, bytes));
    printf("%s\n", path);
    return OK;
}

/* Only --out, which every command here has. */
static int parse_out(struct cli *cli, const char **out)
{
    const struct cli_option options[] = {{"--out", out, NULL, true}, {0}};
    return cli_parse(cli, options, NULL);
}

int command_keygen_secrets(struct cli *cli)
{
    static const char *const names[] = {"shared_secret", "cookie_secret"};
    const char *dir = NULL;
    int status = parse_out(cli, &dir);
    if (status != CLI_OK)
        return status;
    if (files_make_dir(dir) != OK)
        return CLI_FAILED;
    struct rng rng = rng_system();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        uint8_t bytes[SECRET_LEN];
        rng_fill(&rng, bytes, sizeof bytes);
        AUTO(buf_wipe) struct buf text;
        buf_init(&text, 2 * SECRET_LEN);
        enum err e = text_base64(view_of(bytes, sizeof bytes), &text);
        mem_wipe(bytes, sizeof bytes);
        if (e == OK)
            e = buf_append_str(&text, "\n");
        if (e != OK || create_in(dir, names[i], FILES_SECRET, buf_view(&text)) != OK)
            return CLI_FAILED;
    }
    return CLI_OK;
}

static enum err create_pair(const char *dir, const char *name, const struct x509_pair *pair)
{
    AUTO_FREE char *cert = mem_printf("%s.crt", name);
    AUTO_FREE char *key = mem_printf("%s.key", name);
    TRY(create_in(dir, key, FILES_SECRET, view_str(pair->key_pem)));
    return create_in(dir, cert, FILES_PUBLIC, view_str(pair->cert_pem));
}

static enum err make_services(const char *dir)
{
    static const char *const services[] = {"authenticate", "authorize", "proxy", "databroker"};
    uint64_t now = loop_wall_ms();
    AUTO(x509_pair_fini) struct x509_pair ca = {0};
    TRY(x509_make_ca("Postern service CA", now - skew_ms, now + ca_days * day_ms, &ca));
    TRY(create_pair(dir, "ca", &ca));
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        AUTO(x509_pair_fini) struct x509_pair leaf = {0};
        const struct x509_leaf times = {.not_before_at = now - skew_ms,
                                        .not_after_at = now + leaf_days * day_ms};
        TRY(x509_make_service(&ca, services[i], &times, &leaf));
        TRY(create_pair(dir, services[i], &leaf));
    }
    return OK;
}

int command_keygen_services(struct cli *cli)
{
    const char *dir = NULL;
    int status = parse_out(cli, &dir);
    if (status != CLI_OK)
        return status;
    return files_make_dir(dir) == OK && make_services(dir) == OK ? CLI_OK : CLI_FAILED;
}

static enum err make_admin(const char *services, const char *name, uint64_t days, const char *out)
{
    AUTO_FREE char *ca_key = in_dir(services, "ca.key");
    AUTO_FREE char *ca_cert = in_dir(services, "ca.crt");
    AUTO(buf_wipe) struct buf key, cert;
    buf_init(&key, FILES_MAX);
    buf_init(&cert, FILES_MAX);
    TRY(files_read(ca_key, &key));
    TRY(files_read(ca_cert, &cert));
    AUTO(x509_pair_fini) struct x509_pair ca = {buf_to_str(&cert), buf_to_str(&key)};
    AUTO(x509_pair_fini) struct x509_pair leaf = {0};
    AUTO_FREE char *uri = mem_printf("postern://admin/%s", name);
    const char *const uris[] = {uri, NULL};
    uint64_t now = loop_wall_ms();
    const struct x509_leaf spec = {.common_name = name,
                                   .uris = uris,
                                   .not_before_at = now - skew_ms,
                                   .not_after_at = now + days * day_ms,
                                   .client_auth = true};
    TRY(x509_make_leaf(&ca, &spec, &leaf));
    AUTO(buf_wipe) struct buf all;
    buf_init(&all, FILES_MAX);
    TRY(buf_printf(&all, "%s%s%s", leaf.key_pem, leaf.cert_pem, ca.cert_pem));
    TRY(files_create(out, FILES_SECRET, buf_view(&all)));
    printf("%s\n", out);
    return OK;
}

/* What common/rpc takes as a name in a certificate. */
static bool is_admin_name(struct view name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!text_is_alpha(c) && !text_is_digit(c) && !strchr("-_.@", c))
            return false;
    }
    return name.len > 0 && name.len <= 64;
}

int command_keygen_admin(struct cli *cli)
{
    const char *out = NULL, *days_text = "30", *services = ".", *name = NULL;
    const struct cli_option options[] = {
        {"--out", &out, NULL, true},
        {"--days", &days_text, NULL, false},
        {"--services", &services, NULL, false},
        {0},
    };
    struct cli_positional words = {&name, 1, 1, 0};
    int status = cli_parse(cli, options, &words);
    if (status != CLI_OK)
        return status;
    uint64_t days = 0;
    if (text_u64(view_str(days_text), ADMIN_DAYS_MAX, &days) != OK || days == 0)
        return cli_usage(cli, "--days takes a number from 1 to %d", ADMIN_DAYS_MAX);
    if (!is_admin_name(view_str(name)))
        return cli_usage(cli, "NAME has 1 to 64 letters, digits and - _ . @");
    enum err e = make_admin(services, name, days, out);
    if (e == ERR_SYNTAX)
        return cli_fail("%s/ca.key and ca.crt are no certificate authority", services);
    return e == OK ? CLI_OK : CLI_FAILED;
}

/* PATH and PATH.pub, as ssh-keygen makes them. */
static enum err create_ssh_key(const char *path, enum key_type type, const char *comment)
{
    struct rng rng = rng_system();
    AUTO(private_key_fini) struct private_key key = {0};
    AUTO(buf_wipe) struct buf text, line;
    buf_init(&text, KEY_FILE_MAX);
    buf_init(&line, KEY_FILE_MAX);
    AUTO_FREE char *public = mem_printf("%s.pub", path);
    TRY(private_key_generate(&key, type, &rng));
    TRY(private_key_write_openssh(&key, comment, &rng, &text));
    TRY(public_key_write_line(&key.public, comment, &line));
    TRY(buf_append_str(&line, "\n"));
    TRY(files_create(path, FILES_SECRET, buf_view(&text)));
    TRY(files_create(public, FILES_PUBLIC, buf_view(&line)));
    char fingerprint[KEY_FINGERPRINT_MAX];
    public_key_fingerprint(&key.public, fingerprint);
    printf("%s  %s %s\n", path, key_type_label(type), fingerprint);
    return OK;
}

static const struct {
    const char *name;
    enum key_type type;
} ssh_types[] = {{"ed25519", KEY_ED25519}, {"ecdsa", KEY_ECDSA_P256}, {"rsa", KEY_RSA}};

int command_keygen_user_ca(struct cli *cli)
{
    const char *out = NULL, *type = "ed25519";
    const struct cli_option options[] = {
        {"--out", &out, NULL, true}, {"--type", &type, NULL, false}, {0}};
    int status = cli_parse(cli, options, NULL);
    if (status != CLI_OK)
        return status;
    for (size_t i = 0; i < ARRAY_LEN(ssh_types); i++) {
        if (strcmp(type, ssh_types[i].name) == 0) {
            enum err e = create_ssh_key(out, ssh_types[i].type, "Postern user CA");
            return e == OK ? CLI_OK : CLI_FAILED;
        }
    }
    return cli_usage(cli, "--type takes ed25519, ecdsa or rsa");
}

int command_keygen_host_keys(struct cli *cli)
{
    const char *dir = NULL;
    int status = parse_out(cli, &dir);
    if (status != CLI_OK)
        return status;
    if (files_make_dir(dir) != OK)
        return CLI_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(ssh_types); i++) {
        AUTO_FREE char *path = mem_printf("%s/host_%s", dir, ssh_types[i].name);
        if (create_ssh_key(path, ssh_types[i].type, "Postern host key") != OK)
            return CLI_FAILED;
    }
    return CLI_OK;
}

static bool is_ip(const char *name)
{
    bool digits = true;
    for (const char *p = name; *p; p++)
        digits = digits && (text_is_digit((uint8_t)*p) || *p == '.');
    return digits || strchr(name, ':');
}

int command_keygen_tls(struct cli *cli)
{
    const char *dir = NULL, *names[NAMES_MAX];
    const struct cli_option options[] = {{"--out", &dir, NULL, true}, {0}};
    struct cli_positional words = {names, 1, NAMES_MAX, 0};
    int status = cli_parse(cli, options, &words);
    if (status != CLI_OK)
        return status;
    if (files_make_dir(dir) != OK)
        return CLI_FAILED;
    const char *dns[NAMES_MAX + 1] = {0}, *ips[NAMES_MAX + 1] = {0};
    int dns_count = 0, ip_count = 0;
    for (int i = 0; i < words.count; i++) {
        if (is_ip(names[i]))
            ips[ip_count++] = names[i];
        else
            dns[dns_count++] = names[i];
    }
    uint64_t now = loop_wall_ms();
    const struct x509_leaf leaf = {.common_name = names[0],
                                   .dns = dns,
                                   .ips = ips,
                                   .not_before_at = now - skew_ms,
                                   .not_after_at = now + leaf_days * day_ms,
                                   .server_auth = true};
    AUTO(x509_pair_fini) struct x509_pair pair = {0};
    enum err e = x509_make_self_signed(&leaf, &pair);
    if (e != OK)
        return cli_fail("cannot make a certificate for %s: %s", names[0], err_text(e));
    return create_pair(dir, names[0], &pair) == OK ? CLI_OK : CLI_FAILED;
}
