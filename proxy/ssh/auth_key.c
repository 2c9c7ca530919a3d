#include "proxy/ssh/auth_key.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/cert.h"

enum { AUTH_KEY_SIGNED_MAX = 512 * 1024 };

static enum err parse_certificate(struct auth_key *k, enum key_type type, struct view blob)
{
    AUTO(cert_fini) struct cert c = {0};
    enum key_type found;
    TRY(cert_type_find(k->type, &found));
    if (found != type)
        return ERR_MISMATCH;
    TRY(cert_parse(&c, blob));
    if (c.key.type != type)
        return ERR_MISMATCH;
    if (c.kind != CERT_USER)
        return ERR_DENIED;
    TRY(cert_verify(&c));
    public_key_copy(&k->key, &c.key);
    return OK;
}

enum err auth_key_parse(struct auth_key *k, struct view algorithm, struct view blob)
{
    bool is_cert = false;
    const struct key_alg *alg = key_alg_find(algorithm, &is_cert);
    if (!alg)
        return ERR_UNSUPPORTED;
    struct reader r = reader_of(blob);
    k->type = read_string(&r);
    TRY(reader_ok(&r));
    if (is_cert)
        return parse_certificate(k, alg->type, blob);
    enum key_type found;
    TRY(key_type_find(k->type, &found));
    if (found != alg->type)
        return ERR_MISMATCH;
    return public_key_parse(&k->key, blob);
}

void auth_key_fini(struct auth_key *k)
{
    public_key_fini(&k->key);
}

enum err auth_key_verify(const struct auth_key *k, struct view algorithm, struct view session_id,
                         struct view request, struct view signature)
{
    AUTO(buf_fini) struct buf data;
    buf_init(&data, AUTH_KEY_SIGNED_MAX);
    struct writer w = writer_to(&data);
    write_string(&w, session_id);
    write_bytes(&w, request);
    TRY(writer_done(&w));
    return public_key_verify(&k->key, algorithm, buf_view(&data), signature);
}
