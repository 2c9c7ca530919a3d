/* postern password: stdin's first line -> the hash for idp_local_users. */
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/files.h"
#include "common/base/mem.h"
#include "common/crypto/rng.h"
#include "common/crypto/scrypt.h"

/* A terminal shows nothing while the password is typed. */
static enum err read_secret(struct buf *out)
{
    struct termios old;
    bool terminal = tcgetattr(STDIN_FILENO, &old) == 0;
    if (terminal) {
        struct termios quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        (void)fputs("Password: ", stderr);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    uint8_t c;
    enum err e = OK;
    while (e == OK && read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        e = buf_append_u8(out, c);
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        (void)fputs("\n", stderr);
    }
    return e;
}

int command_password_hash(struct cli *cli)
{
    int status = cli_parse(cli, NULL, NULL);
    if (status != CLI_OK)
        return status;
    AUTO(buf_wipe) struct buf password, hash;
    buf_init(&password, SCRYPT_PASSWORD_MAX);
    buf_init(&hash, 1024);
    if (read_secret(&password) != OK)
        return cli_fail("a password has at most %d bytes", SCRYPT_PASSWORD_MAX);
    if (password.len == 0)
        return cli_fail("the password is empty");
    struct rng rng = rng_system();
    enum err e = scrypt_hash(buf_view(&password), &rng, &hash);
    if (e != OK)
        return cli_fail("cannot hash the password: %s", err_text(e));
    printf("%.*s\n", VIEW_FMT(buf_view(&hash)));
    return CLI_OK;
}
