#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/relay_internal.h"

enum { RELAY_PROVED_MAX = 64 << 10, RELAY_ADVERTISE_MAX = 32 << 10 };

void relay_answer_fini(struct relay_answer *a)
{
    buf_fini(&a->payload);
}

struct relay_answer *relay_owe(struct relay *r, enum relay_side side, bool local)
{
    size_t n = r->owed_count[side];
    if (n >= r->config.max_requests) {
        relay_fault(r, side, ERR_LIMIT, "too many unanswered global requests");
        return NULL;
    }
    if ((n & (n - 1)) == 0) /* full at each power of two */
        r->owed[side] = mem_realloc(r->owed[side], (n ? n * 2 : 1) * sizeof *r->owed[side]);
    struct relay_answer *a = &r->owed[side][n];
    *a = (struct relay_answer){.local = local};
    r->owed_count[side]++;
    return a;
}

static void pop(struct relay *r, enum relay_side side)
{
    struct relay_answer *list = r->owed[side];
    r->owed_bytes -= list[0].payload.len;
    relay_answer_fini(&list[0]);
    r->owed_count[side]--;
    memmove(list, list + 1, r->owed_count[side] * sizeof *list);
}

/* Sends what is ready at the front. */
static void flush(struct relay *r, enum relay_side side)
{
    while (r->owed_count[side] && r->owed[side][0].is_done && !r->over) {
        relay_send(r, side, buf_view(&r->owed[side][0].payload));
        pop(r, side);
    }
}

void relay_flush(struct relay *r)
{
    flush(r, RELAY_CLIENT);
    flush(r, RELAY_TARGET);
}

static void finish(struct relay *r, enum relay_side side, struct relay_answer *a,
                   struct view payload)
{
    if (r->owed_bytes + payload.len > RELAY_ANSWERS_MAX) {
        relay_fault(r, relay_other(side), ERR_LIMIT, "answers to global requests are too large");
        return;
    }
    buf_init(&a->payload, payload.len);
    IGNORE(buf_append(&a->payload, payload), "its own size");
    r->owed_bytes += payload.len;
    a->is_done = true;
    flush(r, side);
}

static void refuse(struct relay *r, enum relay_side side)
{
    static const uint8_t failure[] = {MSG_REQUEST_FAILURE};
    struct relay_answer *a = relay_owe(r, side, true);
    if (a)
        finish(r, side, a, view_of(failure, sizeof failure));
}

/* --- hostkeys-prove-00@openssh.com, OpenSSH PROTOCOL §2.5 --- */

static bool find_key(const struct relay *r, struct view blob, size_t *out_index)
{
    for (size_t i = 0; i < r->config.host_key_count; i++) {
        if (view_eq(blob, r->config.host_keys[i])) {
            *out_index = i;
            return true;
        }
    }
    return false;
}

static bool parse_prove(struct relay *r, struct reader *in)
{
    r->prove_count = 0;
    while (reader_left(in) && r->prove_count < RELAY_PROVE_MAX) {
        struct view blob = read_string(in);
        if (reader_ok(in) != OK || !find_key(r, blob, &r->prove_keys[r->prove_count]))
            return false;
        r->prove_count++;
    }
    return reader_done(in) == OK && r->prove_count;
}

static void on_prove(struct relay *r, struct reader *in)
{
    if (r->prove_busy || r->proves >= RELAY_PROVES_MAX || !parse_prove(r, in)) {
        refuse(r, RELAY_CLIENT);
        return;
    }
    if (!relay_owe(r, RELAY_CLIENT, true))
        return;
    r->proves++;
    r->prove_busy = true;
    r->prove_pending = true;
}

static void prove_done(struct relay *r, struct view payload)
{
    if (!r->prove_busy || r->over)
        return;
    r->prove_busy = false;
    r->prove_pending = false;
    for (size_t i = 0; i < r->owed_count[RELAY_CLIENT]; i++) {
        struct relay_answer *a = &r->owed[RELAY_CLIENT][i];
        if (a->local && !a->is_done) {
            finish(r, RELAY_CLIENT, a, payload);
            return;
        }
    }
}

void relay_proved(struct relay *r, const struct view *signatures, size_t count)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, RELAY_PROVED_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_REQUEST_SUCCESS);
    for (size_t i = 0; i < count; i++)
        write_string(&w, signatures[i]);
    if (writer_done(&w) == OK)
        prove_done(r, buf_view(&b));
    else
        relay_not_proved(r);
}

void relay_not_proved(struct relay *r)
{
    static const uint8_t failure[] = {MSG_REQUEST_FAILURE};
    prove_done(r, view_of(failure, sizeof failure));
}

void relay_advertise(struct relay *r)
{
    if (!r->config.host_key_count)
        return;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, RELAY_ADVERTISE_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_GLOBAL_REQUEST);
    write_cstring(&w, "hostkeys-00@openssh.com");
    write_bool(&w, false);
    for (size_t i = 0; i < r->config.host_key_count; i++)
        write_string(&w, r->config.host_keys[i]);
    if (writer_done(&w) == OK)
        relay_send(r, RELAY_CLIENT, buf_view(&b));
}

/* --- relayed --- */

/* RFC 4254 §4. */
void relay_on_global_request(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    struct reader in = reader_of(view_of(p + 1, len - 1));
    struct view name = read_string(&in);
    bool want_reply = read_bool(&in);
    if (reader_ok(&in) != OK) {
        relay_fault(r, from, ERR_SYNTAX, msg_name(p[0]));
        return;
    }
    /* Host keys are those of this connection: the target's would confuse the client's known_hosts.
     */
    bool advertises = view_eq_str(name, "hostkeys-00@openssh.com");
    bool proves = view_eq_str(name, "hostkeys-prove-00@openssh.com");
    if (proves && want_reply && from == RELAY_CLIENT) {
        on_prove(r, &in);
    } else if (advertises || proves) {
        if (want_reply)
            refuse(r, from);
    } else if (!want_reply || relay_owe(r, from, false)) {
        relay_send(r, relay_other(from), view_of(p, len));
    }
}

void relay_on_global_reply(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    enum relay_side to = relay_other(from);
    struct relay_answer *list = r->owed[to];
    for (size_t i = 0; i < r->owed_count[to]; i++) {
        if (list[i].local || list[i].is_done)
            continue;
        if (i == 0) {
            relay_send(r, to, view_of(p, len));
            pop(r, to);
            flush(r, to);
        } else {
            finish(r, to, &list[i], view_of(p, len));
        }
        return;
    }
    /* Nobody asked: dropped, as it would be taken for the answer to a later request. */
}
