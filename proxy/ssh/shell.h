/*
 * The management shell: who is behind a login that names no route. It stands where a target's sshd
 * stands otherwise, behind the relay (bridge.h): it takes what the relay sends to a target and
 * gives what a target would send, messages of RFC 4254 with the relay's channel numbers. So the
 * relay's rules hold here too: windows, numbers, late messages, lines for the user, cuts.
 *
 * A session channel runs one command, or none, which is help; it ends with its exit status. Who the
 * user is, authorize knows: whoami and logout come out as questions, one at a time.
 *
 * Nothing is forwarded and there is no subsystem: each such request is answered with why not.
 */
#ifndef PROXY_SSH_SHELL_H
#define PROXY_SSH_SHELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/messages.h"
#include "common/base/view.h"
#include "proxy/ssh/shell_command.h"

enum {
    SHELL_CHANNELS_MAX = 10,       /* sessions at a time, as sshd's MaxSessions */
    SHELL_WINDOW = 32 << 10,       /* of a client's input, which nobody reads */
    SHELL_PACKET = 32 << 10,       /* both ways */
    SHELL_TEXT_MAX = 64 << 10,     /* of one command's output, before line ends are doubled */
    SHELL_REPLIES_SOFT = 16 << 10, /* unsent replies above which nothing more is to be fed */
    SHELL_REPLIES_HARD = 64 << 10,
    SHELL_INTERRUPTED = 130, /* exit status after Ctrl-C, as of any shell */
};

enum shell_phase {
    SHELL_FREE,
    SHELL_IDLE,    /* open, nothing was started */
    SHELL_ASKING,  /* its question waits for its turn or its answer */
    SHELL_WRITING, /* `text` goes out, then the end of the channel in the next steps */
    SHELL_STATUS,
    SHELL_EOF,
    SHELL_CLOSE,
    SHELL_CLOSED, /* the client's CLOSE is awaited */
};

struct shell_channel {
    enum shell_phase phase;
    uint32_t peer;   /* the relay's number */
    uint32_t window; /* bytes that the client takes */
    uint32_t packet;
    uint32_t used; /* bytes of our window that were not given back */
    bool tty;
    enum shell_verb verb;
    uint32_t status;
    struct buf text; /* unsent */
};

struct shell {
    char *login;
    struct shell_channel channels[SHELL_CHANNELS_MAX];
    struct buf replies; /* strings */
    struct buf out;     /* the message of the last shell_output */
    size_t turn;        /* channel that writes next */
    size_t next_ask;
    size_t asked;   /* channel of the question; SHELL_CHANNELS_MAX: it has ended meanwhile */
    bool is_asking; /* a question was given and not yet answered */
    bool no_more;   /* no-more-sessions@openssh.com */
    bool note_pending;
    bool is_noted;
    const char *ran; /* to be told; NULL = nothing */
};

enum shell_event_type {
    SHELL_ASK,  /* `verb`; then shell_answer, once */
    SHELL_NOTE, /* `message` is to be shown as relay_warn shows lines */
    SHELL_RAN,  /* a command was started; `name` is static */
};

struct shell_event {
    enum shell_event_type type;
    enum shell_verb verb;
    enum message message;
    const char *name;
};

/* `login` is the user name as it was typed, for a hint; copied. */
void shell_init(struct shell *s, const char *login);
void shell_fini(struct shell *s);

/*
 * One message. ERR_LIMIT, and nothing is taken, when more than SHELL_REPLIES_HARD bytes of replies
 * are unsent, which does not happen to a caller that asks shell_takes before. What is malformed, or
 * for no channel of ours, is without effect but for the reply that it wants.
 */
enum err shell_feed(struct shell *s, struct view payload);

/* False while nothing more should be fed: the replies are not read. */
bool shell_takes(const struct shell *s);

/* Take all of them after each feed and each answer: of two SHELL_RAN only the last is kept. */
bool shell_next(struct shell *s, struct shell_event *out_event);

/*
 * The next message for the relay; it may be changed in place and lives until the next call. False:
 * there is none until something is fed or answered.
 */
bool shell_output(struct shell *s, uint8_t **out_payload, size_t *out_len);

/* To SHELL_ASK: what is shown (at most SHELL_TEXT_MAX of it) and the exit status. */
void shell_answer(struct shell *s, uint32_t status, struct view text);

#endif
