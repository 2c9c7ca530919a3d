/*
 * The connection protocol (RFC 4254) between two authenticated transports: one verb that takes a
 * packet of one side, rewrites its channel number in place and sends it on the other side. Types
 * of channels, channel requests and global requests are opaque but where a comment says otherwise.
 *
 * Numbers: a channel is one entry of a table and its index is the number that both peers use
 * towards us; the entry holds the number that each peer uses itself.
 *
 * Windows are end to end: WINDOW_ADJUST passes through, and what each sender may still send is
 * tracked; a sender that exceeds it is disconnected. Of the client's window of a session channel
 * RELAY_RESERVE bytes are kept back from the target, so that a line of ours can be shown without
 * the target overrunning the client; when it is used it is paid back out of the next adjusts.
 * Packet sizes are lowered to RELAY_PACKET_MAX, what our transports carry.
 *
 * Replies to global requests carry no id (RFC 4254 §4), so what is owed to a side is one queue,
 * in which local and relayed answers keep their order.
 *
 * The caller feeds packets of one side only while the other side's transport is writable
 * (bridge.h does); the relay itself holds no packets. Nothing here waits for anything but the
 * signatures of a hostkeys-prove, which never hold up data.
 */
#ifndef PROXY_SSH_RELAY_H
#define PROXY_SSH_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "proxy/ssh/sink.h"

enum relay_side {
    RELAY_CLIENT, /* the user's ssh */
    RELAY_TARGET, /* the server behind */
};

enum {
    RELAY_CHANNELS_MAX = 1024,    /* per connection */
    RELAY_REQUESTS_MAX = 256,     /* unanswered global requests per side */
    RELAY_ANSWERS_MAX = 64 << 10, /* bytes of answers kept behind an unfinished one */
    RELAY_RESERVE = 512,          /* bytes of a session's window kept for lines of ours */
    RELAY_RESERVE_WINDOW = 8192,  /* a smaller initial window is not touched */
    RELAY_LINE_MAX = 480,         /* a longer line is cut; with line ends it fits the reserve */
    RELAY_CUT_GRACE_MS = 500,     /* for the client's CLOSE before DISCONNECT */
    RELAY_PROVE_MAX = 8,          /* keys in one hostkeys-prove */
    RELAY_PROVES_MAX = 32,        /* of them in a connection: each costs signatures */
    RELAY_PACKET_MAX = 128 << 10, /* data in one packet; nobody may announce more */
};

struct relay_config {
    struct sink out[2]; /* by enum relay_side */
    /* Our own host keys' blobs, advertised to the client; borrowed for the relay's life. */
    const struct view *host_keys;
    size_t host_key_count;
    uint32_t max_channels; /* 0 = RELAY_CHANNELS_MAX */
    uint32_t max_requests; /* 0 = RELAY_REQUESTS_MAX */
};

enum relay_channel_state {
    RELAY_CHANNEL_FREE,
    RELAY_CHANNEL_OPENING, /* OPEN relayed, no answer yet */
    RELAY_CHANNEL_OPEN,
};

struct relay_channel {
    uint32_t peer[2];    /* number that the side uses */
    uint32_t credit[2];  /* bytes that this side may still send */
    uint32_t packet[2];  /* largest data that this side takes */
    uint32_t pending[2]; /* channel requests of this side that want a reply */
    uint32_t reserve;    /* bytes of the client's window that the target does not know of */
    uint32_t want;       /* what reserve is filled up to out of the client's adjusts */
    uint32_t base;       /* what want is when no line is due: RELAY_RESERVE or 0 */
    uint32_t line_max;   /* a longer line is not shown here: it would eat a small window up */
    uint8_t state;       /* enum relay_channel_state */
    uint8_t opener;      /* enum relay_side */
    bool closed[2];      /* this side has sent CLOSE */
    bool eof[2];         /* this side has sent EOF */
    bool session;        /* type "session", opened by the client */
    bool tty;            /* pty-req was seen: lines end in CR LF */
    bool line_due;       /* the current line is to be shown here */
};

struct relay_answer; /* what is owed to a side, in order */

enum relay_event_type {
    RELAY_PROVE,      /* sign for these of our host keys, then relay_proved or relay_not_proved */
    RELAY_DISCONNECT, /* send DISCONNECT to `side`; the connection is over */
};

struct relay_event {
    enum relay_event_type type;
    /* PROVE: indices into host_keys */
    size_t keys[RELAY_PROVE_MAX];
    size_t key_count;
    /* DISCONNECT. For a fault `side` is who caused it, for a cut the client. */
    enum relay_side side;
    bool cut;         /* the end of relay_cut, no fault */
    uint32_t reason;  /* RFC 4253 §11.1 */
    struct view text; /* lives until fini */
};

struct relay {
    struct relay_config config;
    struct relay_channel *channels;
    size_t channel_cap;
    size_t channel_count; /* not free */
    size_t channel_hint;  /* no free entry is below */
    struct relay_answer *owed[2];
    size_t owed_count[2];
    size_t owed_bytes;
    uint64_t bytes[2]; /* channel data sent by this side */
    struct buf line;   /* of relay_warn or relay_cut */
    struct buf text;   /* of RELAY_DISCONNECT */
    uint32_t reason;
    enum relay_side fault_side;
    uint64_t cut_at; /* 0 = no cut; else when DISCONNECT is due */
    size_t prove_keys[RELAY_PROVE_MAX];
    size_t prove_count;
    uint32_t proves; /* that were begun */
    bool prove_busy; /* the event was given, the answer is awaited */
    bool prove_pending;
    bool disconnect_pending;
    bool cut;
    bool over; /* nothing is taken any more */
};

void relay_init(struct relay *r, const struct relay_config *config);
void relay_fini(struct relay *r);

/* hostkeys-00@openssh.com to the client, once, right after USERAUTH_SUCCESS. */
void relay_advertise(struct relay *r);

/*
 * One packet's payload from `from`; it is changed in place. ERR_UNSUPPORTED: answer UNIMPLEMENTED.
 * A packet that breaks the protocol gives RELAY_DISCONNECT.
 */
enum err relay_feed(struct relay *r, enum relay_side from, uint8_t *payload, size_t len);
bool relay_next(struct relay *r, struct relay_event *out_event);

/* Signature blobs in the order of the event's keys. */
void relay_proved(struct relay *r, const struct view *signatures, size_t count);
void relay_not_proved(struct relay *r);

/*
 * Shows a line on the stderr of every live session channel, where the client's window has room,
 * else as soon as it is paid for; also as SSH_MSG_DEBUG. A newer line replaces one that is due.
 */
void relay_warn(struct relay *r, struct view line);

/*
 * Ends the connection: the line as above where the window has room, EOF and CLOSE on every channel,
 * DEBUG, and after the client's CLOSEs, or RELAY_CUT_GRACE_MS, RELAY_DISCONNECT with the same text.
 * From now on nothing is relayed. The caller disconnects the target at once and closes the
 * client's socket 2 s later in any case.
 */
void relay_cut(struct relay *r, struct view line, uint32_t reason, uint64_t now);

/* Absolute ms; UINT64_MAX when there is none. */
uint64_t relay_deadline(const struct relay *r);
void relay_tick(struct relay *r, uint64_t now);

/* Channels that are not free. */
size_t relay_channels(const struct relay *r);

/*
 * The channel table and what is owed, as a versioned encoding without a length (the caller frames
 * it). ERR_STATE during a cut. A hostkeys-prove that is being signed becomes a refused one.
 * Import: into a relay fresh from relay_init; ERR_VERSION, ERR_DAMAGED.
 */
enum err relay_export(const struct relay *r, struct buf *out);
enum err relay_import(struct relay *r, struct view in);

#endif
