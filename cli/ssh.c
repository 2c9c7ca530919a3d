/* postern ssh: ssh with a ProxyCommand that is postern tcp. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client_flags.h"
#include "cli/program.h"
#include "cli/tunnel/ssh_words.h"
#include "common/base/mem.h"

enum { PROXY_COMMAND_MAX = 65536 };

/* The flags as they were written, each in quotes for the shell that runs the ProxyCommand. */
static enum err proxy_command(int count, char *const *flags, struct buf *out)
{
    AUTO_FREE char *program = program_path();
    TRY(buf_append_str(out, "ProxyCommand="));
    TRY(ssh_words_quote(program, out));
    TRY(buf_append_str(out, " tcp --listen -"));
    for (int i = 0; i < count; i++) {
        TRY(buf_append_u8(out, ' '));
        TRY(ssh_words_quote(flags[i], out));
    }
    return buf_append_str(out, " %h:%p");
}

static int check(const struct cli *cli, int flags)
{
    if (flags < 0)
        return cli_usage(cli, "unknown flag, or one that lacks its value; what stands behind the "
                              "flags is ssh's");
    struct ssh_words words = ssh_words_parse(cli->arg_count - flags, cli->args + flags);
    if (words.destination < 0)
        return cli_usage(cli, "[USER@]HOST is missing");
    if (words.jump)
        return cli_usage(cli, "-J cannot be used together with a tunnel");
    return CLI_OK;
}

/* The flags themselves, so that a wrong one is said here and not by a ProxyCommand. */
static int check_flags(struct cli *cli, int count)
{
    struct client_flags flags;
    struct cli ours = *cli;
    ours.arg_count = count;
    return client_flags_parse(&ours, CLIENT_SSH, &flags, NULL);
}

int command_ssh(struct cli *cli)
{
    int flags = client_flags_prefix(CLIENT_SSH, cli->arg_count, cli->args);
    int status = check(cli, flags);
    if (status == CLI_OK)
        status = check_flags(cli, flags);
    if (status != CLI_OK)
        return status;
    AUTO(buf_fini) struct buf option;
    buf_init(&option, PROXY_COMMAND_MAX);
    if (proxy_command(flags, cli->args, &option) != OK)
        return cli_fail("the flags are too long");
    AUTO_FREE char *text = buf_to_str(&option);
    int count = cli->arg_count - flags;
    char **words = mem_zalloc_array((size_t)count + 4, sizeof *words);
    /* The first of several ProxyCommands counts, so ours stands before what the user has. */
    words[0] = (char *)"ssh";
    words[1] = (char *)"-o";
    words[2] = text;
    memcpy(words + 3, cli->args + flags, (size_t)count * sizeof *words);
    (void)execvp("ssh", words);
    int number = errno;
    mem_free((void *)words);
    return cli_fail("cannot run ssh: %s", strerror(number));
}
