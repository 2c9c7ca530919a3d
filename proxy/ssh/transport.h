/*
 * The SSH transport layer, RFC 4253, both roles, as a pure engine: identification, key exchange
 * and rekeying, strict key exchange, encryption, EXT_INFO, PING, DISCONNECT, and one table of which
 * message is legal when. What it does not answer itself comes out as PACKET events.
 *
 * Turn:  transport_feed; while (transport_next(&event)) handle; write transport_output,
 *        transport_sent; re-arm the timer for transport_deadline.
 *
 * Views and pointers in an event live until the next transport_next, transport_feed or
 * transport_export of the same transport; the payload of a PACKET may be changed in place.
 */
#ifndef PROXY_SSH_TRANSPORT_H
#define PROXY_SSH_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/rng.h"
#include "proxy/ssh/msg.h"

struct transport;

enum transport_role { TRANSPORT_SERVER, TRANSPORT_CLIENT };

enum {
    TRANSPORT_PACKET_MAX = 256 * 1024,        /* packet_length, once authenticated */
    TRANSPORT_PACKET_MAX_PREAUTH = 36864,     /* RFC 4253 §6.1 wants 35,000 */
    TRANSPORT_PAYLOAD_MAX = 256 * 1024 - 512, /* longest payload that may be sent */
    TRANSPORT_OUTPUT_SOFT = 256 * 1024,       /* unsent bytes above which it is not writable */
    TRANSPORT_OUTPUT_HARD = 1024 * 1024,      /* default of limits.output_hard */
    TRANSPORT_HELD_MAX = 8 * 1024 * 1024,     /* payload bytes held back during a rekey */
    TRANSPORT_HASH_LEN = 32,                  /* every kex hashes with SHA-256 */
};

/* Comma separated names in order of preference; names that the engine lacks are left out. */
struct transport_algorithms {
    const char *kex;
    const char
        *host_key; /* a client's order; a server offers what its keys can do, in this order */
    const char *cipher;
    const char *mac;
    const char *server_sig_algs; /* EXT_INFO of a server; NULL sends none */
};

enum transport_profile { TRANSPORT_COMPAT, TRANSPORT_STRICT };

/* Static. strict: post-quantum kex, no ecdsa host keys, as "Hardened OpenSSH Server" has it. */
const struct transport_algorithms *transport_profile(enum transport_profile p,
                                                     enum transport_role role);

/* OK when every list has at least one name that the engine knows, else ERR_CONFIG. */
enum err transport_algorithms_check(const struct transport_algorithms *a);

struct transport_limits {
    uint64_t rekey_bytes;   /* per direction; 0 = 1 GiB; never above what the cipher allows */
    uint64_t rekey_packets; /* per direction; 0 = 2^31; never above */
    uint64_t handshake_ms;  /* from `now_ms` until the first READY; 0 = none */
    size_t output_soft;     /* 0 = the defaults above */
    size_t output_hard;
    size_t held_max;
};

struct transport_config {
    enum transport_role role;
    const char *software;                          /* "Postern_0.1": sent as SSH-2.0-Postern_0.1 */
    const struct transport_algorithms *algorithms; /* NULL = compat; must outlive the transport */
    /* Server: public host key (or host certificate) blobs, one per type; copied. */
    const struct view *host_keys;
    size_t host_key_count;
    /* Client: overrides algorithms->host_key, recorded types first; NULL = no. Copied. */
    const char *host_key_algorithms;
    struct rng rng;
    struct transport_limits limits;
    uint64_t now_ms;
};

/* The identification is in the output at once. `c` and what it points to is copied, but for
 * `algorithms`. Never NULL. */
struct transport *transport_new(const struct transport_config *c);
void transport_free(struct transport *t);

enum transport_event_type {
    TRANSPORT_IDENT,        /* the peer's identification is known */
    TRANSPORT_KEX_SIGN,     /* server: answer with transport_signed, now or later */
    TRANSPORT_HOST_KEY,     /* client: answer with transport_host_key_accept or _refuse */
    TRANSPORT_READY,        /* a key exchange is complete, the first or a later one */
    TRANSPORT_EXT_INFO,     /* the peer's extensions; transport_peer_ext keeps them */
    TRANSPORT_PACKET,       /* a message for the layers above, legal in this state */
    TRANSPORT_DISCONNECTED, /* the peer's DISCONNECT. Nothing follows */
    TRANSPORT_FAILED,       /* we gave up; our DISCONNECT is in the output. Nothing follows */
};

/* The outcome of a negotiation. Static names. */
struct transport_negotiated {
    const char *kex;
    const char *host_key; /* signature algorithm as negotiated, a -cert- name for certificates */
    const char *cipher_in;
    const char *cipher_out;
    const char *mac_in; /* "" with an AEAD cipher */
    const char *mac_out;
    bool strict;
};

struct transport_event {
    enum transport_event_type type;
    union {
        struct {
            struct view ident;    /* "SSH-2.0-OpenSSH_9.2p1 Debian-2", no CR LF */
            struct view software; /* "OpenSSH_9.2p1" */
        } ident;
        struct {
            size_t key_index;      /* into config.host_keys */
            const char *algorithm; /* plain signature algorithm: "rsa-sha2-512", … */
            struct view hash;      /* H, to be signed as it is */
        } kex_sign;
        struct {
            struct view blob;      /* key or certificate; its signature over H is good */
            const char *algorithm; /* as negotiated */
            bool is_certificate;   /* a policy has to check the CA, principals and dates */
            bool is_rekey;         /* the key differs from the one accepted before */
        } host_key;
        struct {
            bool is_first;
            struct view session_id;
            const struct transport_negotiated *negotiated;
        } ready;
        struct msg_ext_info ext_info;
        struct {
            uint8_t type;     /* == payload[0] */
            uint8_t *payload; /* from the message number on; may be changed in place */
            size_t len;       /* >= 1 */
            uint32_t seq;     /* for transport_unimplemented */
        } packet;
        struct {
            uint32_t reason;
            struct view text; /* cleaned */
        } disconnected;
        struct {
            enum err err;
            struct view text; /* one sentence without a full stop; not secret */
        } failed;
    };
};

/*
 * Takes bytes from the peer; at most transport_room() of them, else ERR_LIMIT and nothing is taken.
 * Past the handshake deadline the transport fails (see TRANSPORT_FAILED). Ignored once ended.
 */
enum err transport_feed(struct transport *t, struct view bytes, uint64_t now_ms);

/* How many bytes may be fed. 0 = stop reading until transport_next has been drained. */
size_t transport_room(const struct transport *t);

/* The next event; false when there is none until more is fed or a question is answered. */
bool transport_next(struct transport *t, struct transport_event *out);

/* Bytes for the peer; valid until the next call on `t`. */
struct view transport_output(const struct transport *t);
void transport_sent(struct transport *t, size_t n);

/* Absolute ms, UINT64_MAX when there is none. */
uint64_t transport_deadline(const struct transport *t);
void transport_tick(struct transport *t, uint64_t now_ms);

/*
 * Queues one packet; `payload` starts with the message number. During a rekey it is held back.
 * ERR_STATE before the first READY, ERR_CLOSED once ended, ERR_LIMIT beyond output_hard, held_max
 * or TRANSPORT_PAYLOAD_MAX: then nothing is queued.
 *
 * Never fails with ERR_LIMIT for payloads <= 64 KiB while transport_writable says true.
 */
enum err transport_send(struct transport *t, struct view payload);

/*
 * False while a rekey holds packets back or more than output_soft bytes are unsent: stop calling
 * transport_next on the side that the packets come from. One exception: while that side itself is
 * in a rekey (transport_rekeying), go on, since its KEXINIT may be behind the data; held_max has
 * room for what was in flight.
 */
bool transport_writable(const struct transport *t);

/* True from our KEXINIT until our NEWKEYS: we may not send, the peer may still be sending. */
bool transport_rekeying(const struct transport *t);

/* Unsent bytes and held back payloads. */
size_t transport_pending(const struct transport *t);

/*
 * USERAUTH_SUCCESS was sent (server, call right after transport_send of it) or received (client,
 * call before the next transport_next). Connection messages, PING, large packets and our own
 * rekeying are allowed from here on. Before READY it is ERR_STATE.
 */
enum err transport_authenticated(struct transport *t);
bool transport_is_authenticated(const struct transport *t);

/*
 * Queues DISCONNECT, also in the middle of a rekey; the text is cleaned and cut to 512 bytes.
 * What was sent before stays in the output, what was held back is dropped, nothing may follow.
 * Does nothing once ended.
 */
void transport_disconnect(struct transport *t, enum msg_reason reason, struct view text);

/* As transport_disconnect with the reason of `e`, and a FAILED event follows. */
void transport_fail(struct transport *t, enum err e, const char *text);

/* True once DISCONNECT was sent or received or the transport failed. */
bool transport_ended(const struct transport *t);

/* UNIMPLEMENTED for a delivered packet. Dropped when the output is full. */
void transport_unimplemented(struct transport *t, uint32_t seq);

/* Starts a key exchange; OK when one is running. ERR_STATE before authentication. */
enum err transport_rekey(struct transport *t);

/* Answer to KEX_SIGN: an SSH signature blob of the algorithm asked for. */
enum err transport_signed(struct transport *t, struct view signature);

/* Answers to HOST_KEY. Refusing sends DISCONNECT with `text`; a FAILED event follows. */
enum err transport_host_key_accept(struct transport *t);
enum err transport_host_key_refuse(struct transport *t, const char *text);

/* Gives the allocations of empty buffers back; for connections that wait. */
void transport_trim(struct transport *t);

/* Known from the events on; empty views and NULL before. They live as long as the transport. */
enum transport_role transport_role(const struct transport *t);
struct view transport_session_id(const struct transport *t);
struct view transport_peer_ident(const struct transport *t);
struct view transport_host_key(const struct transport *t); /* client: the accepted blob */
const struct transport_negotiated *transport_negotiated(const struct transport *t);

/* server_sig_algs.ptr is NULL until the peer sent it. */
const struct msg_ext_info *transport_peer_ext(const struct transport *t);

/* server: the client offered ext-info-c. */
bool transport_peer_wants_ext_info(const struct transport *t);

/*
 * What hostkeys-prove-00@openssh.com has signed for one key: appended to `out`.
 * (OpenSSH PROTOCOL §2.5.) For an RSA key the signature is rsa-sha2-512 or rsa-sha2-256.
 */
enum err transport_hostkeys_prove(const struct transport *t, struct view key_blob, struct buf *out);

/*
 * Everything needed to go on elsewhere: keys, IVs, sequence numbers, rekey counters, session id,
 * negotiated algorithms, the peer's identification and extensions, unread input, unsent output.
 * Appended to `out`, which is secret (buf_wipe). ERR_BUSY during a key exchange or before the first
 * READY (try after the next event), ERR_CLOSED once ended. The transport stays as it was, but must
 * not be used any more once its copy is.
 */
enum err transport_export(struct transport *t, struct buf *out);

/*
 * A transport from an export: `c` as for transport_new (host keys, limits, rng; its software must
 * be the exported one, which is part of the exchange hash: that of the export is used). ERR_VERSION
 * or ERR_DAMAGED, then *out is untouched. `bytes` is one whole export.
 */
enum err transport_import(const struct transport_config *c, struct view bytes,
                          struct transport **out);

#endif
