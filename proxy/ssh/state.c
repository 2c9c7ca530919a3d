#include "proxy/ssh/state.h"

#include <stddef.h>

#include "common/base/check.h"
#include "proxy/ssh/msg.h"

/*
 * One letter per phase: ident, kex, auth, open, rekey.
 *   - refuse   h handle   d deliver   x drop   l loose   u unknown
 */
static const struct state_row {
    uint8_t first;
    uint8_t last;
    char server[STATE_PHASE_COUNT + 1];
    char client[STATE_PHASE_COUNT + 1];
} rows[] = {
    {MSG_DISCONNECT, MSG_DISCONNECT, "-hhhh", "-hhhh"},
    /* IGNORE, UNIMPLEMENTED, DEBUG: RFC 4253 §7.1 allows them in a kex, strict kex does not. */
    {MSG_IGNORE, MSG_DEBUG, "-lxxx", "-lxxx"},
    {MSG_SERVICE_REQUEST, MSG_SERVICE_REQUEST, "--d--", "-----"},
    {MSG_SERVICE_ACCEPT, MSG_SERVICE_ACCEPT, "-----", "--d--"},
    {MSG_EXT_INFO, MSG_EXT_INFO, "--h--", "--h--"},
    {MSG_KEXINIT, MSG_KEXINIT, "-hhh-", "-hhh-"},
    {MSG_NEWKEYS, MSG_NEWKEYS, "-h--h", "-h--h"},
    {MSG_KEX_ECDH_INIT, MSG_KEX_ECDH_INIT, "-h--h", "-----"},
    {MSG_KEX_ECDH_REPLY, MSG_KEX_ECDH_REPLY, "-----", "-h--h"},
    {32, 49, "-----", "-----"},
    /* RFC 4252 §5.1: requests after success are ignored in silence. */
    {MSG_USERAUTH_REQUEST, MSG_USERAUTH_REQUEST, "--dx-", "-----"},
    {MSG_USERAUTH_FAILURE, MSG_USERAUTH_BANNER, "-----", "--d--"},
    {MSG_USERAUTH_INFO_REQUEST, MSG_USERAUTH_INFO_REQUEST, "-----", "--d--"},
    {MSG_USERAUTH_INFO_RESPONSE, MSG_USERAUTH_INFO_RESPONSE, "--d--", "-----"},
    {MSG_GLOBAL_REQUEST, MSG_REQUEST_FAILURE, "---d-", "---d-"},
    {MSG_CHANNEL_OPEN, MSG_CHANNEL_FAILURE, "---d-", "---d-"},
    {MSG_PING, MSG_PING, "---h-", "---h-"},
    {MSG_PONG, MSG_PONG, "---x-", "---x-"},
};

/* RFC 4252 §6: a number from 80 on before authentication is an error, known or not. */
static const char unassigned_low[] = "--uu-";
static const char unassigned_high[] = "---u-";

static enum state_verdict verdict_of(char letter)
{
    switch (letter) {
    case 'h':
        return STATE_HANDLE;
    case 'd':
        return STATE_DELIVER;
    case 'x':
        return STATE_DROP;
    case 'l':
        return STATE_LOOSE;
    case 'u':
        return STATE_UNKNOWN;
    default:
        return STATE_REFUSE;
    }
}

enum state_verdict state_judge(bool is_server, enum state_phase phase, uint8_t number)
{
    CHECK(phase < STATE_PHASE_COUNT);
    /* The first row that ends at or behind the number; once per packet, so not one by one. */
    size_t low = 0;
    size_t high = ARRAY_LEN(rows);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rows[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < ARRAY_LEN(rows) && rows[low].first <= number)
        return verdict_of(is_server ? rows[low].server[phase] : rows[low].client[phase]);
    return verdict_of(number < MSG_GLOBAL_REQUEST ? unassigned_low[phase] : unassigned_high[phase]);
}

const char *state_phase_text(enum state_phase phase)
{
    static const char *const texts[STATE_PHASE_COUNT] = {
        [STATE_IDENT] = "before the identification", [STATE_KEX] = "in the first key exchange",
        [STATE_AUTH] = "before authentication",      [STATE_OPEN] = "after authentication",
        [STATE_REKEY] = "in a key exchange",
    };
    CHECK(phase < STATE_PHASE_COUNT);
    return texts[phase];
}
