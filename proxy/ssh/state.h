/*
 * Which message is legal when, as one table: number x phase x role. A peer that sends anything
 * else is disconnected; a number that nobody has assigned is answered with UNIMPLEMENTED where the
 * RFCs allow that.
 */
#ifndef PROXY_SSH_STATE_H
#define PROXY_SSH_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* How far the receiving direction has come. */
enum state_phase {
    STATE_IDENT, /* no packets yet */
    STATE_KEX,   /* until the peer's first NEWKEYS */
    STATE_AUTH,  /* encrypted, not authenticated */
    STATE_OPEN,  /* authenticated; also while only we have sent KEXINIT */
    STATE_REKEY, /* from a later KEXINIT of the peer until its NEWKEYS */
    STATE_PHASE_COUNT,
};

enum state_verdict {
    STATE_REFUSE,  /* disconnect */
    STATE_HANDLE,  /* answered by the transport */
    STATE_DELIVER, /* for the layers above */
    STATE_DROP,    /* legal, without effect */
    STATE_LOOSE,   /* as DROP; REFUSE under strict key exchange */
    STATE_UNKNOWN, /* UNIMPLEMENTED, RFC 4253 §11.4 */
};

/* `is_server` says who receives. */
enum state_verdict state_judge(bool is_server, enum state_phase phase, uint8_t number);

/* "before authentication", … for sentences. Static. */
const char *state_phase_text(enum state_phase phase);

#endif
