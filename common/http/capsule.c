#include "common/http/capsule.h"

#include "common/base/check.h"

enum {
    CAPSULE_TYPE_DATAGRAM = 0,
    CONTEXT_UDP = 0,
    VARINT_MAX = 8,
    /* The context of a payload may be written in any of four lengths (RFC 9000 §16). */
    DATAGRAM_MAX = CAPSULE_PAYLOAD_MAX + VARINT_MAX,
    PARTIAL_MAX = 2 * VARINT_MAX + DATAGRAM_MAX,
};

static size_t varint_len(uint8_t first)
{
    return (size_t)1 << (first >> 6);
}

/* RFC 9000 §16: a value may be written longer than needed. ERR_MORE. */
static enum err take_varint(struct view *in, uint64_t *out)
{
    if (!in->len || in->len < varint_len(in->ptr[0]))
        return ERR_MORE;
    size_t len = varint_len(in->ptr[0]);
    uint64_t v = in->ptr[0] & 0x3f;
    for (size_t i = 1; i < len; i++)
        v = v << 8 | in->ptr[i];
    *in = view_skip(*in, len);
    *out = v;
    return OK;
}

static size_t write_varint(uint64_t v, uint8_t *out)
{
    size_t log = v < 1U << 6 ? 0 : v < 1U << 14 ? 1 : 2;
    size_t len = (size_t)1 << log;
    for (size_t i = len; i > 0; i--) {
        out[i - 1] = (uint8_t)v;
        v >>= 8;
    }
    out[0] |= (uint8_t)(log << 6);
    return len;
}

/* A capsule whose header has come. */
struct capsule {
    uint64_t type;
    uint64_t len;
    struct view value; /* what of it is there */
};

static enum err take_header(struct view in, struct capsule *out)
{
    TRY(take_varint(&in, &out->type));
    TRY(take_varint(&in, &out->len));
    out->value = in;
    return OK;
}

/* What a capsule at the front of some bytes is, as far as they tell. */
enum verdict {
    VERDICT_MORE, /* more bytes are needed, and worth keeping */
    VERDICT_SKIP, /* of no use: `used` header bytes, then `skip` more */
    VERDICT_PAYLOAD,
    VERDICT_LIMIT,
    VERDICT_SYNTAX,
};

struct look {
    struct view payload;
    size_t used;
    uint64_t skip;
};

/* The capsule's value, of which perhaps not all is there. */
static enum verdict look_datagram(const struct capsule *c, struct look *out)
{
    uint64_t context;
    struct view value = view_take(c->value, c->len > SIZE_MAX ? SIZE_MAX : (size_t)c->len);
    struct view payload = value;
    if (take_varint(&payload, &context) != OK)
        return value.len == c->len ? VERDICT_SYNTAX : VERDICT_MORE;
    size_t context_len = value.len - payload.len;
    if (context != CONTEXT_UDP) {
        out->skip = c->len;
        return VERDICT_SKIP;
    }
    if (c->len - context_len > CAPSULE_PAYLOAD_MAX)
        return VERDICT_LIMIT;
    if (value.len < c->len)
        return VERDICT_MORE;
    out->payload = payload;
    out->used += value.len;
    return VERDICT_PAYLOAD;
}

static enum verdict look_at(struct view in, struct look *out)
{
    struct capsule c;
    if (take_header(in, &c) != OK)
        return VERDICT_MORE;
    out->used = in.len - c.value.len;
    if (c.type == CAPSULE_TYPE_DATAGRAM)
        return look_datagram(&c, out);
    out->skip = c.len;
    return VERDICT_SKIP;
}

/* How many bytes behind `have` bytes are needed for the next step, one at least. */
static size_t missing(struct view have)
{
    struct view rest = have;
    struct capsule c = {0};
    if (!have.len)
        return 1;
    if (take_header(rest, &c) != OK) {
        size_t type_len = varint_len(have.ptr[0]);
        if (have.len <= type_len)
            return type_len + 1 - have.len;
        return type_len + varint_len(have.ptr[type_len]) - have.len;
    }
    if (!c.value.len)
        return 1;
    size_t context_len = varint_len(c.value.ptr[0]);
    if (c.value.len < context_len && c.len >= context_len)
        return context_len - c.value.len;
    return (size_t)c.len - c.value.len;
}

static void drop_skipped(struct capsule_decoder *d, struct view *in)
{
    size_t n = d->skip < in->len ? (size_t)d->skip : in->len;
    *in = view_skip(*in, n);
    d->skip -= n;
}

static void drop_shown(struct capsule_decoder *d)
{
    if (!d->clear)
        return;
#ifdef POSTERN_POISON
    memset(buf_ptr(&d->partial), 0xdd, d->partial.len);
#endif
    buf_clear(&d->partial);
    d->clear = false;
}

/* The capsule begins in `partial`: grows it by no more than belongs to it. */
static enum verdict look_at_partial(struct capsule_decoder *d, struct view *in, struct look *l)
{
    enum verdict v = VERDICT_MORE;
    while (in->len && v == VERDICT_MORE) {
        struct view part = view_take(*in, missing(buf_view(&d->partial)));
        IGNORE(buf_append(&d->partial, part), "no capsule above PARTIAL_MAX is kept");
        *in = view_skip(*in, part.len);
        *l = (struct look){0};
        v = look_at(buf_view(&d->partial), l);
    }
    if (v == VERDICT_SKIP) {
        l->skip -= d->partial.len - l->used;
        buf_clear(&d->partial);
    }
    d->clear = v == VERDICT_PAYLOAD;
    return v;
}

static enum verdict look_at_input(struct capsule_decoder *d, struct view *in, struct look *l)
{
    enum verdict v = look_at(*in, l);
    if (v == VERDICT_MORE) {
        d->partial.max = PARTIAL_MAX;
        IGNORE(buf_append(&d->partial, *in), "no capsule above PARTIAL_MAX is kept");
        *in = view_skip(*in, in->len);
    } else {
        *in = view_skip(*in, l->used);
    }
    return v;
}

enum err capsule_next(struct capsule_decoder *d, struct view *in, struct view *out_payload)
{
    drop_shown(d);
    for (;;) {
        struct look l = {0};
        drop_skipped(d, in);
        if (!in->len)
            return ERR_MORE;
        switch (d->partial.len ? look_at_partial(d, in, &l) : look_at_input(d, in, &l)) {
        case VERDICT_MORE:
            return ERR_MORE;
        case VERDICT_SKIP:
            d->skip = l.skip;
            d->skipped++;
            break;
        case VERDICT_PAYLOAD:
            *out_payload = l.payload;
            return OK;
        case VERDICT_LIMIT:
            return ERR_LIMIT;
        case VERDICT_SYNTAX:
            return ERR_SYNTAX;
        }
    }
}

bool capsule_at_boundary(const struct capsule_decoder *d)
{
    return !d->skip && (d->clear || !d->partial.len);
}

void capsule_fini(struct capsule_decoder *d)
{
    buf_fini(&d->partial);
}

size_t capsule_write_header(size_t payload_len, uint8_t out[CAPSULE_DATAGRAM_OVERHEAD])
{
    CHECK(payload_len <= CAPSULE_PAYLOAD_MAX);
    out[0] = CAPSULE_TYPE_DATAGRAM;
    size_t len = 1 + write_varint(payload_len + 1, out + 1);
    out[len] = CONTEXT_UDP;
    return len + 1;
}

enum err capsule_write(struct view payload, struct buf *out)
{
    uint8_t header[CAPSULE_DATAGRAM_OVERHEAD];
    if (payload.len > CAPSULE_PAYLOAD_MAX)
        return ERR_LIMIT;
    size_t len = capsule_write_header(payload.len, header);
    if (buf_room(out) < len + payload.len)
        return ERR_LIMIT;
    TRY(buf_append(out, view_of(header, len)));
    return buf_append(out, payload);
}
