/*
 * The server's side of ssh-userauth (RFC 4252, RFC 4256) as a pure engine: payloads of packets go
 * in, payloads go out through a sink, decisions are asked for by events and given by commands.
 *
 * A user name is LOGIN@ROUTE, split at the last '@'. The engine verifies signatures itself, so an
 * AUTH_SERVER_CHECK always names a key whose private half the client has just used on this
 * connection. Every refusal but the last is a FAILURE that lets the client go on; the last one is
 * an AUTH_SERVER_DISCONNECT whose text is for the person.
 *
 *   START --SERVICE_REQUEST--> OPEN --signed key--> CHECKING --allow--> ALLOWED --success--> DONE
 *                               ^ <---next_key---------/ \--login--> LOGIN --allow--/
 *
 * While CHECKING and ALLOWED further requests are held, at most AUTH_SERVER_HELD_MAX bytes of them.
 * In LOGIN the client is asked by keyboard-interactive with no prompts and then simply waits.
 */
#ifndef PROXY_SSH_AUTH_SERVER_H
#define PROXY_SSH_AUTH_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "proxy/ssh/sink.h"

enum {
    AUTH_SERVER_NAME_MAX = 512,  /* bytes of a user name */
    AUTH_SERVER_KEY_MAX = 16384, /* bytes of a key or certificate blob */
    AUTH_SERVER_SIGNATURE_MAX = 4096,
    AUTH_SERVER_HELD_MAX = 65536,  /* bytes of requests held while a decision is awaited */
    AUTH_SERVER_INFO_MAX = 1000,   /* name + instruction stay below: OpenSSH cuts at 1,024 */
    AUTH_SERVER_REQUESTS_MAX = 40, /* defaults of the configuration below */
    AUTH_SERVER_FAILURES_MAX = 6,
};

enum auth_server_phase {
    AUTH_SERVER_PHASE_START,    /* before SERVICE_REQUEST */
    AUTH_SERVER_PHASE_OPEN,     /* the client may try */
    AUTH_SERVER_PHASE_CHECKING, /* AUTH_SERVER_CHECK was given, a command is awaited */
    AUTH_SERVER_PHASE_LOGIN,    /* a person signs in: the grace time is paused */
    AUTH_SERVER_PHASE_ALLOWED,  /* auth_server_success is awaited */
    AUTH_SERVER_PHASE_DONE,
    AUTH_SERVER_PHASE_FAILED, /* AUTH_SERVER_DISCONNECT was given */
};

struct auth_server_config {
    struct sink out;
    uint32_t max_requests; /* 0 = AUTH_SERVER_REQUESTS_MAX */
    uint32_t max_failures; /* 0 = AUTH_SERVER_FAILURES_MAX */
};

enum auth_server_event_type {
    AUTH_SERVER_CHECK,      /* answer with allow, deny, next_key or login */
    AUTH_SERVER_DISCONNECT, /* send DISCONNECT with reason and text, then close */
};

/* Views live until the next feed, command or fini. */
struct auth_server_event {
    enum auth_server_event_type type;
    /* CHECK */
    struct view login;
    struct view route;    /* lower case, without port; never empty */
    struct view key;      /* wire blob: the key or certificate whose signature was verified */
    struct view key_type; /* the blob's own type, not the signature algorithm */
    /* DISCONNECT */
    uint32_t reason; /* RFC 4253 §11.1 */
    struct view text;
};

struct auth_server {
    struct auth_server_config config;
    enum auth_server_phase phase;
    uint32_t requests;
    uint32_t failures;
    struct buf session_id;
    struct buf user; /* as sent in the first request */
    struct buf route;
    size_t login_len; /* prefix of user */
    struct buf key;
    struct view key_type;
    struct buf held;
    struct buf why;    /* sentence of the last refused key */
    struct buf prompt; /* LOGIN: name and instruction of the INFO_REQUEST */
    struct buf instruction;
    bool owed;          /* the client has a request that is not answered */
    uint32_t info_sent; /* INFO_RESPONSEs that are awaited */
    bool explaining;    /* …and it is the one without a login behind it */
    bool explained;     /* keyboard-interactive is offered no more */
    bool ready;         /* auth_server_success was called */
    bool none_seen;     /* the first "none" asks for the methods, it is no failure */
    bool verified;      /* some signature was good */
    bool check_pending; /* event not fetched yet */
    bool disconnect_pending;
    uint32_t reason;
    struct buf text;
};

/* `session_id` is the transport's exchange hash of the first key exchange; copied. */
void auth_server_init(struct auth_server *a, const struct auth_server_config *config,
                      struct view session_id);
void auth_server_fini(struct auth_server *a);

/*
 * One packet's payload. ERR_UNSUPPORTED: not a message of this layer, answer UNIMPLEMENTED.
 * Everything else is OK; what is wrong with it comes out as an event.
 */
enum err auth_server_feed(struct auth_server *a, struct view payload);

bool auth_server_next(struct auth_server *a, struct auth_server_event *out_event);

/* Answers to CHECK; in LOGIN too, when the wait is over. Ignored in every other phase. */
void auth_server_allow(struct auth_server *a);
/* Final: gives AUTH_SERVER_DISCONNECT with the sentence. Legal in every phase. */
void auth_server_deny(struct auth_server *a, struct view sentence);
/* This key will not do; the sentence is kept for a client that has no other one. */
void auth_server_next_key(struct auth_server *a, struct view sentence);
/* A person must sign in: shows prompt, link and match code. May be called again with new ones. */
void auth_server_login(struct auth_server *a, struct view prompt, struct view url,
                       struct view match_code);

/*
 * After allow: the target is ready, USERAUTH_SUCCESS may go out. It goes at once, or as soon as the
 * client has a request to which it is the answer; auth_server_is_done tells.
 */
void auth_server_success(struct auth_server *a);
bool auth_server_is_done(const struct auth_server *a);

/* USERAUTH_BANNER, legal until success (RFC 4252 §5.4). */
void auth_server_banner(struct auth_server *a, struct view text);

/*
 * True while it is the client's turn, so that its grace time runs: before it has proved a key, and
 * when success waits for nothing but the client's request or answer. Not while a person signs in.
 */
bool auth_server_awaits_client(const struct auth_server *a);

/* True once a CHECK was raised: some key of the client was verified. */
bool auth_server_is_verified(const struct auth_server *a);

#endif
