#include "proxy/ssh/shell.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"

enum { REPLY_MAX = 512, CTRL_C = 3, NOBODY = SHELL_CHANNELS_MAX };

void shell_init(struct shell *s, const char *login)
{
    *s = (struct shell){.login = mem_strdup(login), .asked = NOBODY};
    buf_init(&s->replies, SHELL_REPLIES_HARD + REPLY_MAX);
    buf_init(&s->out, SHELL_PACKET + REPLY_MAX);
    for (size_t i = 0; i < SHELL_CHANNELS_MAX; i++)
        buf_init(&s->channels[i].text, 2 * SHELL_TEXT_MAX);
}

void shell_fini(struct shell *s)
{
    for (size_t i = 0; i < SHELL_CHANNELS_MAX; i++)
        buf_fini(&s->channels[i].text);
    buf_fini(&s->replies);
    buf_fini(&s->out);
    mem_free(s->login);
    s->login = NULL;
}

/* --- replies --- */

/* shell_feed has seen to it that one more fits. */
static void reply(struct shell *s, const struct buf *payload)
{
    struct writer w = writer_to(&s->replies);
    CHECK(payload->len <= REPLY_MAX);
    write_string(&w, buf_view(payload));
    CHECK(writer_done(&w) == OK);
}

static void reply_short(struct shell *s, enum msg type, const uint32_t *channel)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, REPLY_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, (uint8_t)type);
    if (channel)
        write_u32(&w, *channel);
    reply(s, &b);
}

static void refuse_open(struct shell *s, uint32_t peer, enum msg_open_failure why, enum message m)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, REPLY_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_CHANNEL_OPEN_FAILURE);
    write_u32(&w, peer);
    write_u32(&w, why);
    write_cstring(&w, message_text(m));
    write_cstring(&w, "");
    reply(s, &b);
}

/* --- channels --- */

static void channel_free(struct shell *s, struct shell_channel *c)
{
    if (s->asked == (size_t)(c - s->channels))
        s->asked = NOBODY;
    buf_fini(&c->text);
    struct buf text = c->text;
    *c = (struct shell_channel){.text = text};
}

static struct shell_channel *channel_of(struct shell *s, struct reader *in)
{
    uint32_t number = read_u32(in);
    if (reader_ok(in) != OK || number >= SHELL_CHANNELS_MAX)
        return NULL;
    struct shell_channel *c = &s->channels[number];
    return c->phase == SHELL_FREE ? NULL : c;
}

static struct shell_channel *unused(struct shell *s)
{
    for (size_t i = 0; i < SHELL_CHANNELS_MAX; i++) {
        if (s->channels[i].phase == SHELL_FREE)
            return &s->channels[i];
    }
    return NULL;
}

static bool is_forwarding(struct view type)
{
    return view_eq_str(type, "direct-tcpip") || view_eq_str(type, "direct-streamlocal@openssh.com");
}

/* RFC 4254 §5.1, §6.1. */
static void on_open(struct shell *s, struct reader *in)
{
    struct view type = read_string(in);
    uint32_t peer = read_u32(in);
    uint32_t window = read_u32(in);
    uint32_t packet = read_u32(in);
    struct shell_channel *c = unused(s);
    if (reader_ok(in) != OK) {
        return;
    } else if (is_forwarding(type)) {
        refuse_open(s, peer, OPEN_ADMINISTRATIVELY_PROHIBITED, MESSAGE_SHELL_FORWARDING);
    } else if (!view_eq_str(type, "session")) {
        refuse_open(s, peer, OPEN_UNKNOWN_CHANNEL_TYPE, MESSAGE_SHELL_CHANNEL_TYPE);
    } else if (s->no_more || !c) {
        refuse_open(s, peer, OPEN_RESOURCE_SHORTAGE,
                    s->no_more ? MESSAGE_SHELL_NO_MORE : MESSAGE_SHELL_TOO_MANY);
    } else {
        AUTO(buf_fini) struct buf b;
        buf_init(&b, REPLY_MAX);
        struct writer w = writer_to(&b);
        c->phase = SHELL_IDLE;
        c->peer = peer;
        c->window = window;
        c->packet = packet < SHELL_PACKET ? packet : SHELL_PACKET;
        write_u8(&w, MSG_CHANNEL_OPEN_CONFIRMATION);
        write_u32(&w, peer);
        write_u32(&w, (uint32_t)(c - s->channels));
        write_u32(&w, SHELL_WINDOW);
        write_u32(&w, SHELL_PACKET);
        reply(s, &b);
    }
}

/* --- a command --- */

/* A terminal in raw mode wants CR LF, and a prompt its own line. */
static void set_text(struct shell_channel *c, struct view text)
{
    text = view_take(text, SHELL_TEXT_MAX - 1);
    bool ends = !text.len || text.ptr[text.len - 1] == '\n';
    struct view rest = text;
    struct view line;
    buf_clear(&c->text);
    if (!c->tty) {
        IGNORE(buf_append(&c->text, text), "fits");
        IGNORE(buf_append_str(&c->text, ends ? "" : "\n"), "fits");
        return;
    }
    while (text.len && view_next(&rest, '\n', &line)) {
        if (rest.ptr == NULL && ends)
            break; /* behind the last LF */
        IGNORE(buf_append(&c->text, line), "fits");
        IGNORE(buf_append_str(&c->text, "\r\n"), "at most twice the length");
    }
}

static void finish(struct shell_channel *c, uint32_t status, struct view text)
{
    set_text(c, text);
    c->status = status;
    c->phase = SHELL_WRITING;
}

typedef void (*command_fn)(struct view arg, struct buf *text, struct shell_result *out);

/* One command per channel. */
static bool start(struct shell *s, struct shell_channel *c, command_fn run, struct view arg)
{
    if (c->phase != SHELL_IDLE)
        return false;
    struct shell_result r;
    AUTO(buf_fini) struct buf text;
    buf_init(&text, SHELL_COMMAND_TEXT);
    run(arg, &text, &r);
    s->ran = r.name;
    if (r.asks) {
        c->verb = r.verb;
        c->phase = SHELL_ASKING;
    } else {
        finish(c, r.status, buf_view(&text));
    }
    return true;
}

/* Ctrl-C, or a signal. What was asked may be done nevertheless; its answer is not shown. */
static void interrupt(struct shell *s, struct shell_channel *c)
{
    if (c->phase != SHELL_ASKING)
        return;
    if (s->asked == (size_t)(c - s->channels))
        s->asked = NOBODY;
    finish(c, SHELL_INTERRUPTED, VIEW(""));
}

/* --- channel requests: RFC 4254 §6; true = SUCCESS --- */

/* §6.2. Neither size nor modes matter here, so none is kept. */
static bool request_pty(struct shell *s, struct shell_channel *c, struct reader *in)
{
    (void)s;
    (void)read_string(in); /* TERM */
    (void)read_bytes(in, 16);
    (void)read_string(in); /* modes */
    if (reader_ok(in) != OK || c->phase != SHELL_IDLE)
        return false;
    c->tty = true;
    return true;
}

static bool request_shell(struct shell *s, struct shell_channel *c, struct reader *in)
{
    (void)in;
    return start(s, c, shell_command_none, view_str(s->login));
}

static bool request_exec(struct shell *s, struct shell_channel *c, struct reader *in)
{
    struct view line = read_string(in);
    return reader_ok(in) == OK && start(s, c, shell_command_run, line);
}

/*
 * §6.5. FAILURE has no text, and clients say no more than that it failed: so it is started, says
 * why not, and ends with status 1.
 */
static bool request_subsystem(struct shell *s, struct shell_channel *c, struct reader *in)
{
    struct view name = read_string(in);
    return reader_ok(in) == OK && start(s, c, shell_command_subsystem, name);
}

static bool request_window_change(struct shell *s, struct shell_channel *c, struct reader *in)
{
    (void)s;
    (void)in;
    return c->tty;
}

/* §6.9. */
static bool request_signal(struct shell *s, struct shell_channel *c, struct reader *in)
{
    struct view name = read_string(in);
    bool ends = view_eq_str(name, "INT") || view_eq_str(name, "TERM") || view_eq_str(name, "HUP") ||
                view_eq_str(name, "QUIT") || view_eq_str(name, "KILL");
    if (reader_ok(in) != OK || !ends)
        return false;
    interrupt(s, c);
    return true;
}

static const struct {
    const char *name;
    bool (*handle)(struct shell *s, struct shell_channel *c, struct reader *in);
} requests[] = {
    {"pty-req", request_pty},
    {"shell", request_shell},
    {"exec", request_exec},
    {"subsystem", request_subsystem},
    {"window-change", request_window_change},
    {"signal", request_signal},
};

static void on_request(struct shell *s, struct reader *in)
{
    struct shell_channel *c = channel_of(s, in);
    struct view name = read_string(in);
    bool want = read_bool(in);
    if (!c || reader_ok(in) != OK || c->phase >= SHELL_CLOSED)
        return;
    bool ok = false;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        if (view_eq_str(name, requests[i].name))
            ok = requests[i].handle(s, c, in);
    }
    if (want)
        reply_short(s, ok ? MSG_CHANNEL_SUCCESS : MSG_CHANNEL_FAILURE, &c->peer);
}

/* --- the other messages of a channel --- */

/* Nobody reads it, but the client shall be able to send it. */
static void take_input(struct shell *s, struct shell_channel *c, struct view data)
{
    uint32_t room = SHELL_WINDOW - c->used;
    if (c->tty && view_find(data, CTRL_C) >= 0)
        interrupt(s, c);
    /* More than our window is stopped by the relay. */
    c->used += data.len < room ? (uint32_t)data.len : room;
    if (c->used < SHELL_WINDOW / 2)
        return;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, REPLY_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_CHANNEL_WINDOW_ADJUST);
    write_u32(&w, c->peer);
    write_u32(&w, c->used);
    reply(s, &b);
    c->used = 0;
}

static void on_data(struct shell *s, struct reader *in)
{
    struct shell_channel *c = channel_of(s, in);
    struct view data = read_string(in);
    if (c && reader_ok(in) == OK && c->phase < SHELL_CLOSED)
        take_input(s, c, data);
}

/* RFC 4254 §5.2. A client has no stderr, but may think that it has. */
static void on_extended_data(struct shell *s, struct reader *in)
{
    struct shell_channel *c = channel_of(s, in);
    (void)read_u32(in);
    struct view data = read_string(in);
    if (c && reader_ok(in) == OK && c->phase < SHELL_CLOSED)
        take_input(s, c, data);
}

static void on_window_adjust(struct shell *s, struct reader *in)
{
    struct shell_channel *c = channel_of(s, in);
    uint32_t add = read_u32(in);
    if (c && reader_ok(in) == OK)
        c->window = add < UINT32_MAX - c->window ? c->window + add : UINT32_MAX;
}

/* RFC 4254 §5.3: both sides send CLOSE, then the number is free. */
static void on_close(struct shell *s, struct reader *in)
{
    struct shell_channel *c = channel_of(s, in);
    if (!c)
        return;
    if (c->phase < SHELL_CLOSED)
        reply_short(s, MSG_CHANNEL_CLOSE, &c->peer);
    channel_free(s, c);
}

/* --- global requests: RFC 4254 §4, §7.1 --- */

static void on_global(struct shell *s, struct reader *in)
{
    struct view name = read_string(in);
    bool want = read_bool(in);
    if (reader_ok(in) != OK)
        return;
    if (view_eq_str(name, "no-more-sessions@openssh.com"))
        s->no_more = true;
    if (view_eq_str(name, "tcpip-forward") ||
        view_eq_str(name, "streamlocal-forward@openssh.com")) {
        s->note_pending = !s->is_noted;
        s->is_noted = true;
    }
    /* keepalive@openssh.com too: any answer shows that we are there. */
    if (want)
        reply_short(s, MSG_REQUEST_FAILURE, NULL);
}

static const struct {
    enum msg type;
    void (*handle)(struct shell *s, struct reader *in);
} handlers[] = {
    {MSG_GLOBAL_REQUEST, on_global},
    {MSG_CHANNEL_OPEN, on_open},
    {MSG_CHANNEL_WINDOW_ADJUST, on_window_adjust},
    {MSG_CHANNEL_DATA, on_data},
    {MSG_CHANNEL_EXTENDED_DATA, on_extended_data},
    {MSG_CHANNEL_CLOSE, on_close},
    {MSG_CHANNEL_REQUEST, on_request},
};

bool shell_takes(const struct shell *s)
{
    return s->replies.len <= SHELL_REPLIES_SOFT;
}

enum err shell_feed(struct shell *s, struct view payload)
{
    if (s->replies.len > SHELL_REPLIES_HARD - REPLY_MAX)
        return ERR_LIMIT;
    struct reader in = reader_of(payload);
    uint8_t type = read_u8(&in);
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (handlers[i].type == type)
            handlers[i].handle(s, &in);
    }
    return OK;
}

/* --- questions --- */

bool shell_next(struct shell *s, struct shell_event *out)
{
    *out = (struct shell_event){0};
    if (s->ran) {
        *out = (struct shell_event){.type = SHELL_RAN, .name = s->ran};
        s->ran = NULL;
        return true;
    }
    if (s->note_pending) {
        *out = (struct shell_event){.type = SHELL_NOTE, .message = MESSAGE_SHELL_REMOTE_FORWARDING};
        s->note_pending = false;
        return true;
    }
    for (size_t i = 0; i < SHELL_CHANNELS_MAX && !s->is_asking; i++) {
        size_t n = (s->next_ask + i) % SHELL_CHANNELS_MAX;
        if (s->channels[n].phase != SHELL_ASKING)
            continue;
        s->is_asking = true;
        s->asked = n;
        s->next_ask = n + 1;
        *out = (struct shell_event){.type = SHELL_ASK, .verb = s->channels[n].verb};
        return true;
    }
    return false;
}

void shell_answer(struct shell *s, uint32_t status, struct view text)
{
    if (s->is_asking && s->asked != NOBODY)
        finish(&s->channels[s->asked], status, text);
    s->is_asking = false;
    s->asked = NOBODY;
}
