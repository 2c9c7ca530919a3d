#include "cli/tunnel/ssh_words.h"

#include <string.h>

/* ssh(1): the options that take a value, in the same word or in the next. */
static const char with_value[] = "BbcDEeFIiJLlmOoPpQRSWw";

struct ssh_words ssh_words_parse(int count, char *const *words)
{
    struct ssh_words out = {.destination = -1};
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (strcmp(word, "--") == 0) {
            if (i + 1 < count)
                out.destination = i + 1;
            return out;
        }
        if (word[0] != '-' || !word[1]) {
            out.destination = i;
            return out;
        }
        for (const char *c = word + 1; *c; c++) {
            if (*c == 'J')
                out.jump = true;
            if (!strchr(with_value, *c))
                continue;
            if (!c[1])
                i++;
            break;
        }
    }
    return out;
}

enum err ssh_words_quote(const char *word, struct buf *out)
{
    TRY(buf_append_u8(out, '\''));
    for (const char *c = word; *c; c++) {
        if (*c == '\'')
            TRY(buf_append_str(out, "'\\''"));
        else if (*c == '%')
            TRY(buf_append_str(out, "%%"));
        else
            TRY(buf_append_u8(out, (uint8_t)*c));
    }
    return buf_append_u8(out, '\'');
}
