#include "proxy/ssh/shell_command.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"

enum { WORD_SHOWN_MAX = 64 };

static const struct command {
    const char *name;
    const char *about;
    bool asks;
    enum shell_verb verb;
} commands[] = {
    {"help", "Help about any command", false, SHELL_WHOAMI},
    {"logout", "Log out", true, SHELL_LOGOUT},
    {"whoami", "Show details for the current session", true, SHELL_WHOAMI},
};

/* --- texts --- */

static void help_all(struct buf *text)
{
    IGNORE(buf_append_str(text, "Usage:\n  postern [command]\n\nAvailable Commands:\n"), "fits");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        IGNORE(buf_printf(text, "  %-11s %s\n", commands[i].name, commands[i].about), "fits");
    IGNORE(buf_append_str(text, "\nFlags:\n  -h, --help   help for postern\n\n"
                                "Use \"postern [command] --help\" for more information about a "
                                "command.\n"),
           "fits");
}

static void help_one(struct buf *text, const struct command *c)
{
    IGNORE(buf_printf(text, "%s\n\nUsage:\n  postern %s %s\n\nFlags:\n  -h, --help   help for %s\n",
                      c->about, c->name, c->asks ? "[flags]" : "[command]", c->name),
           "fits");
}

/* A word of a stranger, in fresh memory. */
static char *shown(struct view word)
{
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, WORD_SHOWN_MAX + 8);
    IGNORE(text_printable(view_take(word, WORD_SHOWN_MAX), &clean), "cut to what fits");
    if (word.len > WORD_SHOWN_MAX)
        IGNORE(buf_append_str(&clean, "…"), "fits");
    return buf_to_str(&clean);
}

static void fail(struct buf *text, enum message m, struct view word, struct shell_result *out)
{
    AUTO_FREE char *arg = shown(word);
    AUTO_FREE char *sentence = message_format(m, arg, NULL);
    IGNORE(buf_printf(text, "Error: %s\n", sentence), "fits");
    out->status = 1;
}

/* --- words --- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool next_word(struct view *line, struct view *out)
{
    while (line->len && is_blank(line->ptr[0]))
        *line = view_skip(*line, 1);
    size_t n = 0;
    while (n < line->len && !is_blank(line->ptr[n]))
        n++;
    *out = view_take(*line, n);
    *line = view_skip(*line, n);
    return n > 0;
}

static bool is_flag(struct view word)
{
    return word.len > 1 && word.ptr[0] == '-';
}

static const struct command *find(struct view word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (view_eq_str(word, commands[i].name))
            return &commands[i];
    }
    return NULL;
}

/* What the line consists of; views are empty where there is nothing. */
struct words {
    struct view command;
    struct view topic;    /* the word behind the command */
    struct view bad_flag; /* the first that is not known */
    bool wants_help;
};

static struct words words_of(struct view line)
{
    struct words w = {.command = VIEW(""), .topic = VIEW(""), .bad_flag = VIEW("")};
    struct view word;
    bool flags = true;
    while (next_word(&line, &word)) {
        if (flags && view_eq_str(word, "--"))
            flags = false;
        else if (flags && (view_eq_str(word, "-h") || view_eq_str(word, "--help")))
            w.wants_help = true;
        else if (flags && is_flag(word) && !w.bad_flag.len)
            w.bad_flag = word;
        else if (flags && is_flag(word))
            continue;
        else if (!w.command.len)
            w.command = word;
        else if (!w.topic.len)
            w.topic = word;
    }
    return w;
}

static void help(struct buf *text, struct view topic)
{
    const struct command *c = find(topic);
    if (c) {
        help_one(text, c);
        return;
    }
    if (topic.len) {
        AUTO_FREE char *word = shown(topic);
        IGNORE(buf_printf(text, "Unknown help topic [`%s`]\n", word), "fits");
    }
    help_all(text);
}

void shell_command_run(struct view line, struct buf *text, struct shell_result *out)
{
    struct words w = words_of(line);
    const struct command *c = find(w.command);
    *out = (struct shell_result){.name = c ? c->name : w.command.len ? "unknown" : "help"};
    if (w.command.len && !c)
        fail(text, MESSAGE_SHELL_UNKNOWN_COMMAND, w.command, out);
    else if (w.bad_flag.len)
        fail(text, MESSAGE_SHELL_UNKNOWN_FLAG, w.bad_flag, out);
    else if (c && w.wants_help)
        help(text, w.command);
    else if (c && c->asks)
        *out = (struct shell_result){.name = c->name, .asks = true, .verb = c->verb};
    else
        help(text, w.topic);
}

void shell_command_none(struct view login, struct buf *text, struct shell_result *out)
{
    AUTO_FREE char *name = mem_strndup(login.ptr, login.len);
    AUTO_FREE char *hint = message_format(MESSAGE_SSH_NO_ROUTE, name, NULL);
    *out = (struct shell_result){.name = "help"};
    help_all(text);
    IGNORE(buf_printf(text, "\n%s\n", hint), "fits");
}

void shell_command_subsystem(struct view name, struct buf *text, struct shell_result *out)
{
    *out = (struct shell_result){.name = "subsystem"};
    fail(text, MESSAGE_SHELL_SUBSYSTEM, name, out);
}
