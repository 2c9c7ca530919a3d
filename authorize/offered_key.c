#include "authorize/offered_key.h"

#include "common/base/mem.h"

static enum err parse_certificate(struct offered_key *k, struct view blob)
{
    TRY(cert_parse(&k->cert, blob));
    const struct cert *c = &k->cert;
    k->is_certificate = true;
    k->type = cert_type_name(c->key.type);
    public_key_fingerprint(&c->key, k->fingerprint);
    k->options = mem_zalloc_array(c->critical_len, sizeof *k->options);
    for (size_t i = 0; i < c->critical_len; i++) {
        k->options[i].name = c->critical[i].name;
        /* An option whose argument cannot be read keeps an empty one, which admits nobody. */
        IGNORE(cert_option_text(&c->critical[i], &k->options[i].value), "an empty value");
    }
    k->facts = (struct facts_certificate){
        .is_user = c->kind == CERT_USER,
        .is_verified = cert_verify(c) == OK,
        .ca_key = public_key_blob(&c->ca),
        .valid_after_s = c->valid_after,
        .valid_before_s = c->valid_before,
        .principals = c->principals,
        .principal_count = c->principals_len,
        .critical = k->options,
        .critical_count = c->critical_len,
    };
    return OK;
}

enum err offered_key_parse(struct offered_key *k, struct view blob)
{
    struct offered_key made = {0};
    struct public_key plain;
    enum err e = public_key_parse(&plain, blob);
    if (e == OK) {
        made.type = key_type_name(plain.type);
        public_key_fingerprint(&plain, made.fingerprint);
        public_key_fini(&plain);
    } else {
        TRY(parse_certificate(&made, blob));
    }
    buf_init(&made.blob, blob.len);
    IGNORE(buf_append(&made.blob, blob), "its maximum is that length");
    made.binding = mem_printf("sshkey-%s", made.fingerprint);
    *k = made;
    return OK;
}

void offered_key_fini(struct offered_key *k)
{
    buf_fini(&k->blob);
    mem_free(k->binding);
    mem_free(k->options);
    if (k->is_certificate)
        cert_fini(&k->cert);
    *k = (struct offered_key){0};
}
