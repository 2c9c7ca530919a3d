#include "proxy/ssh/packet.h"

#include "common/base/check.h"
#include "common/base/wire.h"

enum {
    BODY_MIN_CLEAR = 12, /* RFC 4253 §6: a packet has at least 16 bytes */
};

static bool is_clear(const struct packet_dir *d)
{
    return d->cipher.keys.alg == CIPHER_NONE;
}

static enum err check_length(const struct packet_dir *d, uint32_t body_len, size_t max_body)
{
    size_t block = cipher_block_len(&d->cipher);
    size_t min = is_clear(d) ? (size_t)BODY_MIN_CLEAR : block;
    size_t aligned = is_clear(d) ? (size_t)body_len + PACKET_LENGTH_LEN : body_len;
    if (body_len > max_body || body_len < min || aligned % block != 0)
        return ERR_RANGE;
    return OK;
}

enum err packet_open(struct packet_dir *d, uint8_t *data, size_t len, size_t max_body,
                     struct packet *out)
{
    if (len < PACKET_LENGTH_LEN)
        return ERR_MORE;
    if (d->body_len == 0) {
        uint32_t claimed = cipher_length(&d->cipher, d->seq, data);
        TRY(check_length(d, claimed, max_body));
        d->body_len = claimed;
    }
    size_t body_len = d->body_len;
    size_t total = PACKET_LENGTH_LEN + body_len + cipher_tag_len(&d->cipher);
    if (len < total)
        return ERR_MORE;
    if (cipher_open(&d->cipher, d->seq, data, body_len) != OK)
        return ERR_MAC;
    size_t pad = data[PACKET_LENGTH_LEN];
    /* RFC 4253 §6: at least four bytes of padding; a payload has its message number. */
    if (pad < PACKET_PAD_MIN || body_len < 1 + 1 + pad)
        return ERR_SYNTAX;
    *out = (struct packet){
        .payload = data + PACKET_LENGTH_LEN + 1,
        .len = body_len - 1 - pad,
        .total = total,
        .seq = d->seq,
    };
    d->body_len = 0;
    d->seq++;
    d->bytes += total;
    d->packets++;
    return OK;
}

static void fill_pad(struct packet_pad *pad, const struct rng *rng, uint8_t *out, size_t n)
{
    if (pad->left < n) {
        rng_fill(rng, pad->pool, sizeof pad->pool);
        pad->left = sizeof pad->pool;
    }
    pad->left -= n;
    memcpy(out, pad->pool + pad->left, n);
}

enum err packet_seal(struct packet_dir *d, struct packet_pad *pad, const struct rng *rng,
                     struct view payload, struct buf *out)
{
    CHECK(payload.len > 0);
    size_t block = cipher_block_len(&d->cipher);
    size_t head = is_clear(d) ? PACKET_LENGTH_LEN + 1 : 1;
    size_t fill = block - (head + payload.len) % block;
    if (fill < PACKET_PAD_MIN)
        fill += block;
    size_t body_len = 1 + payload.len + fill;
    size_t total = PACKET_LENGTH_LEN + body_len + cipher_tag_len(&d->cipher);
    uint8_t *p;
    TRY(buf_reserve(out, total, &p));
    p[PACKET_LENGTH_LEN] = (uint8_t)fill;
    memcpy(p + PACKET_LENGTH_LEN + 1, payload.ptr, payload.len);
    fill_pad(pad, rng, p + PACKET_LENGTH_LEN + 1 + payload.len, fill);
    cipher_seal(&d->cipher, d->seq, p, body_len);
    buf_commit(out, total);
    d->seq++;
    d->bytes += total;
    d->packets++;
    return OK;
}

enum err packet_rekey(struct packet_dir *d, const struct cipher_keys *keys, bool reset_seq)
{
    TRY(cipher_init(&d->cipher, keys));
    d->bytes = 0;
    d->packets = 0;
    if (reset_seq)
        d->seq = 0;
    return OK;
}

void packet_dir_fini(struct packet_dir *d)
{
    cipher_fini(&d->cipher);
    *d = (struct packet_dir){0};
}
