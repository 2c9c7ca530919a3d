/*
 * A server that sends anything. Steps as in auth_server_fuzz: 0 is server-sig-algs, 1 a
 * certificate, 2 the clock, all others are a packet.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/cert.h"
#include "proxy/ssh/auth_client.h"
#include "tests/support/sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct private_key ca;
static struct private_key rsa;

/* A real one for the key at hand, else nothing behind the request would ever be reached. */
static void certify(struct auth_client *a, struct view blob, const struct rng *rng)
{
    struct public_key key = {0};
    CHECK(public_key_parse(&key, blob) == OK);
    struct view principal = VIEW("dev");
    struct cert_spec spec = {.kind = CERT_USER,
                             .key = &key,
                             .principals = &principal,
                             .principals_len = 1,
                             .valid_after = 1,
                             .valid_before = 2};
    AUTO(buf_fini) struct buf cert;
    buf_init(&cert, CERT_BLOB_MAX);
    CHECK(cert_sign(&spec, &ca, rng, &cert) == OK);
    auth_client_certificate(a, buf_view(&cert));
    public_key_fini(&key);
}

/* The same each time: making one takes too long. */
static void give_rsa(struct auth_client *a)
{
    struct private_key key = {0};
    struct buf text;
    buf_init(&text, KEY_FILE_MAX);
    CHECK(private_key_write_pem(&rsa, &text) == OK);
    CHECK(private_key_parse(&key, buf_view(&text)) == OK);
    buf_wipe(&text);
    auth_client_key(a, &key);
}

static void act(struct auth_client *a, uint8_t step, struct view v)
{
    if (step == 0)
        auth_client_sig_algs(a, v);
    else if (step == 1)
        auth_client_certificate(a, v);
    else if (step == 2)
        auth_client_tick(a, v.len);
    else
        IGNORE(auth_client_feed(a, v), "any answer will do");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sink_list out;
    struct auth_client a;
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 1);
    if (!ca.pkey)
        CHECK(private_key_generate(&ca, KEY_ED25519, &rng) == OK);
    if (!rsa.pkey)
        CHECK(private_key_generate_rsa(&rsa, NULL) == OK);
    struct auth_client_config c = {
        .out = sink_list_init(&out), .login = VIEW("dev"), .rng = rng, .deadline = 60000};
    auth_client_init(&a, &c, VIEW("0123456789abcdef0123456789abcdef"));
    auth_client_start(&a);
    struct reader r = reader_of(view_of(data, size));
    bool by_fuzzer = reader_left(&r) && *r.pos & 1; /* certificates come from the input alone */
    while (reader_left(&r) && !r.failed) {
        uint8_t step = read_u8(&r);
        struct view v = read_bytes(&r, read_u16(&r));
        uint8_t *copy = mem_zalloc(v.len);
        if (v.len)
            memcpy(copy, v.ptr, v.len);
        act(&a, step, view_of(copy, v.len));
        mem_free(copy);
        struct auth_client_event e;
        while (auth_client_next(&a, &e)) {
            if (e.type == AUTH_CLIENT_NEED_KEY)
                give_rsa(&a);
            if (e.type == AUTH_CLIENT_CERTIFY && !by_fuzzer)
                certify(&a, e.public_key, &rng);
            if (e.type == AUTH_CLIENT_SUCCESS)
                CHECK(out.count == 1 + a.tries);
        }
        CHECK(a.tries <= AUTH_CLIENT_TRIES_MAX && out.count <= 1 + a.tries);
        CHECK(a.banner_total <= AUTH_CLIENT_BANNER_MAX);
    }
    auth_client_fini(&a);
    sink_list_fini(&out);
    return 0;
}
