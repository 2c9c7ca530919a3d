#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/relay_internal.h"

enum { RELAY_STATE_VERSION = 1 };

/* A channel's flags in one u32. */
enum {
    FLAG_SESSION = 1 << 0,
    FLAG_TTY = 1 << 1,
    FLAG_LINE_DUE = 1 << 2,
    FLAG_CLOSED = 1 << 3, /* << side */
    FLAG_EOF = 1 << 5,    /* << side */
    FLAG_ALL = (1 << 7) - 1,
};

static uint32_t flags_of(const struct relay_channel *c)
{
    uint32_t flags = 0;
    flags |= c->session ? FLAG_SESSION : 0;
    flags |= c->tty ? FLAG_TTY : 0;
    flags |= c->line_due ? FLAG_LINE_DUE : 0;
    for (int side = 0; side < 2; side++) {
        flags |= c->closed[side] ? (uint32_t)FLAG_CLOSED << side : 0;
        flags |= c->eof[side] ? (uint32_t)FLAG_EOF << side : 0;
    }
    return flags;
}

static void export_channel(struct writer *w, uint32_t number, const struct relay_channel *c)
{
    write_u32(w, number);
    write_u8(w, c->state);
    write_u8(w, c->opener);
    write_u32(w, flags_of(c));
    for (int side = 0; side < 2; side++) {
        write_u32(w, c->peer[side]);
        write_u32(w, c->credit[side]);
        write_u32(w, c->packet[side]);
        write_u32(w, c->pending[side]);
    }
    write_u32(w, c->reserve);
    write_u32(w, c->want);
    write_u32(w, c->base);
    write_u32(w, c->line_max);
}

static void export_owed(struct writer *w, const struct relay_answer *list, size_t count)
{
    static const uint8_t failure[] = {MSG_REQUEST_FAILURE};
    write_u32(w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        /* What this process was signing nobody will sign there. */
        bool lost = list[i].local && !list[i].is_done;
        write_bool(w, list[i].local);
        write_bool(w, list[i].is_done || lost);
        write_string(w, lost ? view_of(failure, sizeof failure) : buf_view(&list[i].payload));
    }
}

enum err relay_export(const struct relay *r, struct buf *out)
{
    if (r->cut || r->over)
        return ERR_STATE;
    struct writer w = writer_to(out);
    write_u32(&w, RELAY_STATE_VERSION);
    write_u32(&w, (uint32_t)r->channel_count);
    for (size_t i = 0; i < r->channel_cap; i++) {
        if (r->channels[i].state != RELAY_CHANNEL_FREE)
            export_channel(&w, (uint32_t)i, &r->channels[i]);
    }
    for (int side = 0; side < 2; side++)
        export_owed(&w, r->owed[side], r->owed_count[side]);
    write_u64(&w, r->bytes[RELAY_CLIENT]);
    write_u64(&w, r->bytes[RELAY_TARGET]);
    write_string(&w, buf_view(&r->line));
    return writer_done(&w);
}

static enum err import_channel(struct relay *r, struct reader *in)
{
    uint32_t number = read_u32(in);
    struct relay_channel c = {.state = read_u8(in)};
    c.opener = read_u8(in);
    uint32_t flags = read_u32(in);
    for (int side = 0; side < 2; side++) {
        c.peer[side] = read_u32(in);
        c.credit[side] = read_u32(in);
        c.packet[side] = read_u32(in);
        c.pending[side] = read_u32(in);
        c.closed[side] = flags & (uint32_t)FLAG_CLOSED << side;
        c.eof[side] = flags & (uint32_t)FLAG_EOF << side;
    }
    c.reserve = read_u32(in);
    c.want = read_u32(in);
    c.base = read_u32(in);
    c.line_max = read_u32(in);
    c.session = flags & FLAG_SESSION;
    c.tty = flags & FLAG_TTY;
    c.line_due = flags & FLAG_LINE_DUE;
    TRY(reader_ok(in));
    bool known = c.state == RELAY_CHANNEL_OPENING || c.state == RELAY_CHANNEL_OPEN;
    if (!known || c.opener > RELAY_TARGET || flags & ~(uint32_t)FLAG_ALL ||
        number >= r->config.max_channels || (c.closed[0] && c.closed[1]) ||
        c.base > RELAY_RESERVE || c.want > RELAY_RESERVE || c.reserve > RELAY_RESERVE ||
        (uint64_t)c.credit[RELAY_TARGET] + c.reserve > UINT32_MAX)
        return ERR_DAMAGED;
    relay_channels_reserve(r, number + 1);
    if (r->channels[number].state != RELAY_CHANNEL_FREE)
        return ERR_DAMAGED;
    r->channels[number] = c;
    r->channel_count++;
    return OK;
}

static enum err import_owed(struct relay *r, enum relay_side side, struct reader *in)
{
    uint32_t count = read_u32(in);
    if (count > r->config.max_requests)
        return ERR_DAMAGED;
    for (uint32_t i = 0; i < count; i++) {
        bool local = read_bool(in);
        bool is_done = read_bool(in);
        struct view payload = read_string_max(in, RELAY_ANSWERS_MAX);
        TRY(reader_ok(in));
        if ((local && !is_done) || (is_done && !payload.len) ||
            r->owed_bytes + payload.len > RELAY_ANSWERS_MAX)
            return ERR_DAMAGED;
        struct relay_answer *a = relay_owe(r, side, local);
        if (!a)
            return ERR_DAMAGED;
        a->is_done = is_done;
        buf_init(&a->payload, payload.len);
        TRY(buf_append(&a->payload, payload));
        r->owed_bytes += payload.len;
    }
    return OK;
}

static enum err import_all(struct relay *r, struct reader *in)
{
    uint32_t count = read_u32(in);
    TRY(reader_ok(in));
    if (count > r->config.max_channels)
        return ERR_DAMAGED;
    for (uint32_t i = 0; i < count; i++)
        TRY(import_channel(r, in));
    TRY(import_owed(r, RELAY_CLIENT, in));
    TRY(import_owed(r, RELAY_TARGET, in));
    r->bytes[RELAY_CLIENT] = read_u64(in);
    r->bytes[RELAY_TARGET] = read_u64(in);
    TRY(buf_append(&r->line, read_string_max(in, RELAY_LINE_MAX)));
    return reader_done(in);
}

enum err relay_import(struct relay *r, struct view in)
{
    struct relay_config config = r->config;
    struct reader reader = reader_of(in);
    uint32_t version = read_u32(&reader);
    if (reader_ok(&reader) != OK)
        return ERR_DAMAGED;
    if (version != RELAY_STATE_VERSION)
        return ERR_VERSION;
    if (import_all(r, &reader) == OK) {
        relay_flush(r);
        return OK;
    }
    relay_fini(r);
    relay_init(r, &config);
    return ERR_DAMAGED;
}
