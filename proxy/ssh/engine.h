/* The inside of a transport, for its own sources: transport*.c and exchange.c. */
#ifndef PROXY_SSH_ENGINE_H
#define PROXY_SSH_ENGINE_H

#include "common/crypto/kex.h"
#include "proxy/ssh/algorithms.h"
#include "proxy/ssh/ident.h"
#include "proxy/ssh/kexinit.h"
#include "proxy/ssh/packet.h"
#include "proxy/ssh/state.h"
#include "proxy/ssh/transport.h"

/* The steps of one key exchange, in order. */
enum engine_step {
    STEP_SENT,    /* our KEXINIT is out, the peer's not in */
    STEP_SHARE,   /* waiting for ECDH_INIT (server) or ECDH_REPLY (client) */
    STEP_SIGN,    /* server: waiting for transport_signed */
    STEP_VERDICT, /* client: waiting for the answer to HOST_KEY */
    STEP_NEWKEYS, /* ours is out, waiting for the peer's */
};

/* A key exchange under way: one at a time, wiped and freed when it ends. */
struct exchange {
    enum engine_step step;
    bool skip_next;  /* the peer guessed wrong: its next packet is ignored */
    struct buf ours; /* the KEXINIT payloads, until H is known */
    struct buf theirs;
    struct kexinit_choice choice;
    size_t key_index; /* server */
    struct kex_client client;
    struct kex_answer answer;
    struct kex_secret secret;
    struct buf host_key; /* client: the blob to be judged */
    uint8_t hash[DIGEST_MAX];
    size_t hash_len;
    struct cipher_keys next_in;
};

struct transport {
    enum transport_role role;
    const struct transport_algorithms *algorithms;
    struct transport_limits limits;
    struct rng rng;
    char *ident; /* ours, without line end */
    struct algorithms_key *keys;
    size_t key_count;
    struct kexinit_lists lists;

    struct buf input;
    size_t taken; /* bytes at the front of input that the last event still shows */
    struct buf output;
    struct buf held;  /* u32 length and payload each, while tx_blocked */
    size_t held_cost; /* what `held` will be in the output, at most */
    struct packet_dir rx;
    struct packet_dir tx;
    struct packet_pad pad;

    struct ident ident_state;
    char *peer_ident; /* NULL until known */
    bool is_ready;    /* the first key exchange is complete */
    bool is_authenticated;
    bool is_strict;
    bool is_ended;
    bool fail_pending; /* a FAILED event is to be given */
    bool tx_blocked;   /* between our KEXINIT and our NEWKEYS */
    bool peer_wants_ext_info;
    bool ext_info_now;   /* the peer's next packet may be EXT_INFO: its first NEWKEYS came */
    uint8_t ext_infos;   /* that came */
    uint8_t early_kexes; /* rekeys of the peer before authentication */

    uint8_t session_id[DIGEST_MAX];
    size_t session_id_len;
    struct transport_negotiated negotiated;
    struct buf host_key; /* client: accepted */
    struct msg_ext_info peer_ext;
    char *peer_sig_algs; /* what peer_ext points to */

    struct exchange *exchange; /* NULL between exchanges */
    uint64_t deadline;
    enum err failed;
    char *text; /* of FAILED and DISCONNECTED */
};

static inline bool engine_is_server(const struct transport *t)
{
    return t->role == TRANSPORT_SERVER;
}

/* Room for everything but the identification; shared by transport_new and transport_import. */
struct transport *engine_new(const struct transport_config *c);

/* Seals now, past the held back packets. Fails the transport when there is no room. */
enum err engine_seal(struct transport *t, struct view payload);

/*
 * An answer of our own to a packet (PONG, UNIMPLEMENTED): dropped when the peer does not read what
 * it has asked for, so that no queue grows by what a peer sends (CVE-2025-26466).
 */
void engine_answer(struct transport *t, struct view payload);

/* Ends the transport: DISCONNECT with the reason of `e`, FAILED as the next event. */
[[gnu::format(printf, 3, 4)]] void engine_fail(struct transport *t, enum err e, const char *format,
                                               ...);

/* Our NEWKEYS is out: sends what was held back. */
void engine_release_held(struct transport *t);

/* Starts a key exchange when a limit of bytes or packets is reached. */
void engine_check_rekey(struct transport *t);

/* The bytes that the last event showed are over: overwritten in test builds, and dropped. */
void engine_release(struct transport *t);

/* Merges into what is known of the peer, with copies. */
void engine_keep_ext_info(struct transport *t, const struct msg_ext_info *info);

/* Names and the strict flag of the present keys, for READY. */
void engine_set_negotiated(struct transport *t, const struct kexinit_choice *c);

void exchange_start(struct transport *t);
void exchange_free(struct transport *t);
bool exchange_waits(const struct transport *t);

/* Handlers of the messages of a key exchange. True when *out is an event. */
bool exchange_on_kexinit(struct transport *t, const struct packet *p, struct transport_event *out);
bool exchange_on_share(struct transport *t, const struct packet *p, struct transport_event *out);
bool exchange_on_newkeys(struct transport *t, const struct packet *p, struct transport_event *out);

#endif
