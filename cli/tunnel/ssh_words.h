/* The words of ssh's command line, as OpenSSH's getopt takes them. Pure. */
#ifndef CLI_TUNNEL_SSH_WORDS_H
#define CLI_TUNNEL_SSH_WORDS_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/err.h"

struct ssh_words {
    int destination; /* index of [USER@]HOST, -1: there is none */
    bool jump;       /* -J is given */
};
struct ssh_words ssh_words_parse(int count, char *const *words);

/* Appends a word in quotes for a shell, with % doubled for ssh's own tokens. ERR_LIMIT. */
enum err ssh_words_quote(const char *word, struct buf *out);

#endif
