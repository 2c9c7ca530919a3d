#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/cert.h"

enum { NONCE_LEN = 32 };

#define NAME(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

const struct cert_option cert_permits[CERT_PERMITS] = {
    {.name = NAME("permit-X11-forwarding")},  {.name = NAME("permit-agent-forwarding")},
    {.name = NAME("permit-port-forwarding")}, {.name = NAME("permit-pty")},
    {.name = NAME("permit-user-rc")},
};

static int by_name(const void *a, const void *b)
{
    const struct cert_option *x = a;
    const struct cert_option *y = b;
    return view_cmp(x->name, y->name);
}

static enum err write_options(struct writer *w, const struct cert_option *options, size_t len)
{
    struct cert_option sorted[CERT_OPTIONS_MAX];
    if (len > CERT_OPTIONS_MAX)
        return ERR_RANGE;
    if (len) {
        memcpy(sorted, options, len * sizeof *options);
        qsort(sorted, len, sizeof *sorted, by_name);
    }
    size_t mark = write_begin(w);
    for (size_t i = 0; i < len; i++) {
        if (i && view_eq(sorted[i - 1].name, sorted[i].name))
            return ERR_RANGE;
        write_string(w, sorted[i].name);
        write_string(w, sorted[i].data);
    }
    write_end(w, mark);
    return OK;
}

static enum err check_spec(const struct cert_spec *spec)
{
    if (spec->valid_after >= spec->valid_before || spec->key_id.len > CERT_KEY_ID_MAX ||
        spec->principals_len > CERT_PRINCIPALS_MAX)
        return ERR_RANGE;
    return spec->kind == CERT_USER && spec->principals_len == 0 ? ERR_RANGE : OK;
}

/* All that is signed, PROTOCOL.certkeys "New public key formats". */
static enum err write_signed_part(const struct cert_spec *spec, const struct private_key *ca,
                                  const struct rng *rng, struct writer *w)
{
    uint8_t nonce[NONCE_LEN];
    struct reader r = reader_of(public_key_blob(spec->key));
    (void)read_string(&r);
    rng_fill(rng, nonce, sizeof nonce);
    write_cstring(w, cert_type_name(spec->key->type));
    write_string(w, view_of(nonce, sizeof nonce));
    write_bytes(w, read_rest(&r));
    write_u64(w, spec->serial);
    write_u32(w, spec->kind);
    write_string(w, spec->key_id);
    size_t mark = write_begin(w);
    for (size_t i = 0; i < spec->principals_len; i++)
        write_string(w, spec->principals[i]);
    write_end(w, mark);
    write_u64(w, spec->valid_after);
    write_u64(w, spec->valid_before);
    TRY(write_options(w, spec->critical, spec->critical_len));
    TRY(write_options(w, spec->extensions, spec->extensions_len));
    write_cstring(w, "");
    write_string(w, public_key_blob(&ca->public));
    return writer_done(w);
}

enum err cert_sign(const struct cert_spec *spec, const struct private_key *ca,
                   const struct rng *rng, struct buf *out)
{
    AUTO(buf_fini) struct buf blob;
    AUTO(buf_fini) struct buf signature;
    buf_init(&blob, CERT_BLOB_MAX);
    buf_init(&signature, KEY_BLOB_MAX);
    struct writer w = writer_to(&blob);
    TRY(check_spec(spec));
    TRY(write_signed_part(spec, ca, rng, &w));
    TRY(private_key_sign(ca, view_str(key_alg_default(ca->public.type)->name), buf_view(&blob),
                         &signature));
    write_string(&w, buf_view(&signature));
    TRY(writer_done(&w));
    return buf_append(out, buf_view(&blob));
}
