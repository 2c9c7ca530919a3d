#include "authorize/ca/ca.h"

#include "common/base/mem.h"
#include "common/base/wire.h"

static bool is_word_byte(uint8_t c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '=' && c != ',';
}

static enum err write_part(const char *name, struct view value, struct buf *out)
{
    TRY(buf_append_str(out, name));
    value = view_take(value, CA_ID_PART_MAX);
    for (size_t i = 0; i < value.len; i++)
        TRY(buf_append_u8(out, is_word_byte(value.ptr[i]) ? value.ptr[i] : '_'));
    return OK;
}

enum err ca_write_key_id(const struct ca_request *r, struct buf *out)
{
    TRY(write_part("session=", r->session_id, out));
    TRY(write_part(" user=", r->user, out));
    return write_part(" connection=", r->connection_id, out);
}

uint64_t ca_serial(const struct rng *rng)
{
    uint8_t bytes[8];
    uint64_t serial;
    do {
        rng_fill(rng, bytes, sizeof bytes);
        serial = load_u64(bytes);
    } while (serial == 0);
    return serial;
}

enum err ca_sign(const struct ca_request *r, const struct private_key *ca, const struct rng *rng,
                 struct ca_certificate *out)
{
    AUTO(buf_fini) struct buf key_id;
    buf_init(&key_id, CERT_KEY_ID_MAX);
    TRY(ca_write_key_id(r, &key_id));
    if (r->login.len == 0)
        return ERR_RANGE;
    struct cert_spec spec = {
        .kind = CERT_USER,
        .key = r->key,
        .serial = ca_serial(rng),
        .key_id = buf_view(&key_id),
        .principals = &r->login,
        .principals_len = 1,
        .valid_after = r->now_s > CA_BACKDATE_S ? r->now_s - CA_BACKDATE_S : 0,
        .valid_before = r->now_s + CA_LIFETIME_S,
        .extensions = cert_permits,
        .extensions_len = CERT_PERMITS,
    };
    struct ca_certificate made = {.serial = spec.serial, .valid_before_s = spec.valid_before};
    buf_init(&made.blob, CERT_BLOB_MAX);
    enum err e = cert_sign(&spec, ca, rng, &made.blob);
    if (e != OK) {
        buf_fini(&made.blob);
        return e;
    }
    *out = made;
    return OK;
}

void ca_certificate_fini(struct ca_certificate *c)
{
    buf_fini(&c->blob);
}
