#include "authorize/ca/ca_probe.h"

#include "common/base/mem.h"

#define COMMAND "/bin/false"

enum err ca_sign_probe(const struct ca_request *r, enum ca_probe_window window,
                       const struct private_key *ca, const struct rng *rng,
                       struct ca_certificate *out)
{
    static const struct cert_option force = {
        .name = {(const uint8_t *)"force-command", sizeof "force-command" - 1},
        .data = {(const uint8_t *)"\0\0\0\x0a" COMMAND, 4 + sizeof COMMAND - 1},
    };
    AUTO(buf_fini) struct buf key_id;
    struct ca_request named = *r;
    named.session_id = VIEW("probe");
    buf_init(&key_id, CERT_KEY_ID_MAX);
    TRY(ca_write_key_id(&named, &key_id));
    if (r->login.len == 0)
        return ERR_RANGE;
    uint64_t back = window == CA_PROBE_BEHIND ? CA_PROBE_SKEW_S : CA_BACKDATE_S;
    uint64_t ahead = window == CA_PROBE_AHEAD ? CA_PROBE_SKEW_S : CA_LIFETIME_S;
    struct cert_spec spec = {
        .kind = CERT_USER,
        .key = r->key,
        .serial = ca_serial(rng),
        .key_id = buf_view(&key_id),
        .principals = &r->login,
        .principals_len = 1,
        .valid_after = r->now_s > back ? r->now_s - back : 0,
        .valid_before = r->now_s + ahead,
        .critical = &force,
        .critical_len = 1,
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
