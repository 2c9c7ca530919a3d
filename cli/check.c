/* postern config check, ca show. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "authorize/snapshot/snapshot.h"
#include "cli/command.h"
#include "cli/files.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/key.h"
#include "common/crypto/x509.h"
#include "common/daemon/config_file.h"
#include "common/daemon/zone_file.h"

static const enum config_service daemons[] = {CONFIG_AUTHENTICATE, CONFIG_AUTHORIZE, CONFIG_PROXY,
                                              CONFIG_DATABROKER};

/* What only authorize makes of the file: its policies, keys and known hosts. */
static bool check_policies(const struct config *config, struct diag *d)
{
    struct snapshot *snapshot = snapshot_new(config, zone_file_read, d);
    snapshot_unref(snapshot);
    return snapshot != NULL;
}

/* What the proxy makes of downstream_mtls, as far as it can be said without a listener. */
static bool check_clients(const struct config *config, struct diag *d)
{
    size_t count;
    const struct config_blob *ca = &config->downstream_mtls.ca;
    if (ca->text.len == 0 || x509_count(secret_view(&ca->text), &count) == OK)
        return true;
    diag_error(d, ca->at, ca->key, "no PEM certificate that can be read");
    return false;
}

/* Each daemon's own view of the file; what several say is printed once. */
int command_config_check(struct cli *cli)
{
    int status = cli_parse(cli, NULL, NULL);
    if (status != CLI_OK)
        return status;
    AUTO(diag_fini) struct diag all = {0};
    AUTO(buf_fini) struct buf url;
    buf_init(&url, 4096);
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(daemons); i++) {
        AUTO(diag_fini) struct diag diag = {0};
        struct config *config = NULL;
        ok = config_file_load(cli->config_file, daemons[i], &diag, &config) == OK && ok;
        if (config && daemons[i] == CONFIG_AUTHORIZE)
            ok = check_policies(config, &diag) && ok;
        if (config && daemons[i] == CONFIG_PROXY)
            ok = check_clients(config, &diag) && ok;
        for (size_t k = 0; k < diag.count; k++) {
            bool known = false;
            for (size_t n = 0; n < all.count && !known; n++)
                known = strcmp(all.items[n].text, diag.items[k].text) == 0;
            if (known)
                continue;
            if (diag.items[k].warning)
                diag_warn(&all, (struct diag_place){0}, NULL, "%s", diag.items[k].text);
            else
                diag_error(&all, (struct diag_place){0}, NULL, "%s", diag.items[k].text);
        }
        if (config && daemons[i] == CONFIG_AUTHENTICATE)
            IGNORE(config_callback_url(config, &url), "not shown when it is too long");
        config_unref(config);
    }
    config_file_print(&all, STDERR_FILENO);
    if (!ok)
        return cli_fail("%s is not valid", cli->config_file);
    if (url.len)
        printf("callback for the identity provider: %.*s\n", VIEW_FMT(buf_view(&url)));
    printf("configuration ok\n");
    return CLI_OK;
}

static int show_public(struct view line)
{
    AUTO(public_key_fini) struct public_key key = {0};
    if (public_key_parse_line(&key, line, NULL) != OK)
        return cli_fail("the .pub file of the user CA holds no public key");
    printf("%.*s\n", VIEW_FMT(line));
    return CLI_OK;
}

/* The private key gives the public half where its .pub file is not at hand. */
static int show_private(struct view text)
{
    AUTO(private_key_fini) struct private_key key = {0};
    enum err e = private_key_parse(&key, text);
    if (e != OK)
        return cli_fail("the user CA key cannot be read: %s", err_text(e));
    AUTO(buf_fini) struct buf line;
    buf_init(&line, FILES_MAX);
    if (public_key_write_line(&key.public, "Postern user CA", &line) != OK)
        return cli_fail("the user CA key is too large");
    printf("%.*s\n", VIEW_FMT(buf_view(&line)));
    return CLI_OK;
}

int command_ca_show(struct cli *cli)
{
    int status = cli_parse(cli, NULL, NULL);
    if (status != CLI_OK)
        return status;
    AUTO(diag_fini) struct diag diag = {0};
    struct config *config = NULL;
    if (config_file_load(cli->config_file, CONFIG_AUTHORIZE, &diag, &config) != OK) {
        config_file_print(&diag, STDERR_FILENO);
        return CLI_FAILED;
    }
    const struct config_blob *blob = &config->ssh_user_ca_key;
    AUTO(buf_fini) struct buf line;
    buf_init(&line, FILES_MAX);
    AUTO_FREE char *public = blob->file ? mem_printf("%s.pub", blob->file) : mem_strdup("");
    if (secret_view(&blob->text).len == 0)
        status = cli_fail("no ssh_user_ca_key_file is configured");
    else if (blob->file && access(public, R_OK) == 0 && files_read(public, &line) == OK)
        status = show_public(view_trim(
            view_take(buf_view(&line),
                      line.len && buf_ptr(&line)[line.len - 1] == '\n' ? line.len - 1 : line.len)));
    else
        status = show_private(secret_view(&blob->text));
    config_unref(config);
    return status;
}
