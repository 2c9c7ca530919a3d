/*
 * The packets were made with OpenSSL (python3-cryptography) out of the primitives, by the texts
 * of PROTOCOL.chacha20poly1305, RFC 5647 and RFC 4344: two packets with the sequence numbers 7 and
 * 0x89abcdef; key 00 01 02 …, MAC key 64 65 66 …; the IV counters overflow in between.
 */
#include "common/crypto/cipher.h"

#include "common/crypto/rng.h"
#include "tests/support/test.h"

static const uint32_t seqs[2] = {7, 0x89abcdef};
static const size_t lens[2] = {16, 48};

struct row {
    enum cipher_alg alg;
    enum cipher_mac mac;
    const char *packets[2];
};

static const struct row rows[] = {
    {CIPHER_CHACHA20_POLY1305,
     CIPHER_MAC_NONE,
     {"a39afcba2e4717404a862c596464b1fbdb82dd23e4a06984b6b8ad0cafed64e83173a653",
      "52a7507f3b977311f0a86dfb4846a12ab34bc65c4c12f5d179198a7ff4679d571189ef3a9651beb9"
      "cdc030c81f90a95f7e9452a30e0233b4eafa85c00f129f1d1f080418"}},
    {CIPHER_AES128_GCM,
     CIPHER_MAC_NONE,
     {"0000001099418b75e32d4fb06c4cd77b5405fc876934359304e09982b5c427b911c90f01",
      "0000003058c119f15b53e9b36134879a9969b01d1a03b15125c2fac398d2c0700d9f22efbdf6ac96"
      "ef5f4abbb71070255be3bfcd042170fd81fdae103b6d1ca793f9cfc9"}},
    {CIPHER_AES256_GCM,
     CIPHER_MAC_NONE,
     {"000000104a10ac2ad09093152c327441d45ef8f7578c5ada2dbd024efbcfeaca8aa7b28d",
      "000000305ee251fb23bc64ad4ffb3bffe28ad649cefd2da00af0528b2ed182291bc8163763667dd1"
      "0a3bd3ab22fec1bb7453f470fa078ba0ae4fa33d7da3c5bc17dae208"}},
    {CIPHER_AES128_CTR,
     CIPHER_MAC_SHA256_ETM,
     {"00000010c2ba8e5079328bc7d7dc30550556dfc37066ae5a2cd57e007c4c0a074677fbb6edec2308"
      "e64633911bb5b7da51c4d28f",
      "00000030155a5147a50bf929f053725a4cbc45fb984f4ce192aff1700fbe1478f819db5d1c0d31e1"
      "c98ef3aa4609d3a443ce8025c2fbb33ee67ee4a0373089533832223c5874f5fd3bea7e399097e992"
      "a27e350f"}},
    {CIPHER_AES192_CTR,
     CIPHER_MAC_SHA512_ETM,
     {"00000010b97e264c674930f6483c099c055e4c99c39b3cad6afd629da0df1caac00825c780d55519"
      "d27d75fd9fb4e4c7b47bf53605482a6e1d11de77bc8a0d97ff0f140dd3ae45b6a5ea9f98d1b4f991"
      "bd0f7803",
      "000000309ad2408081761f3c6708dc5698a788ec7234f07829e9ff5b32b9912ef7c32c0ce8e12523"
      "152249714302e33a2733d68d52e4b00541aa221f3d0485dc8b80f6c3cc0ce6d7694c509173cdbe30"
      "05bbda702f378179386c012b4b355c8ab6a4dea965ac5a62f46e9388875ec9bfb10a1395"}},
    {CIPHER_AES256_CTR,
     CIPHER_MAC_SHA256_ETM,
     {"00000010c75eb0adabb3ca63f61e34b409a88d7e49dd6fda8dc145b6c702323062e649312cfbc337"
      "4f7d4d1d6c9e3f8f5e02613c",
      "00000030d0c9154369f8195c30bbd17b5db4cea47d40f055bed6d48f5b1e8e281f051f08c3a8e2bf"
      "66cd431b224423d23d4363b580b4bbd0a1f2946ac4e543f525946295c8ec08120e76b588bb9e8cc9"
      "564128e4"}},
    {CIPHER_AES128_CTR,
     CIPHER_MAC_SHA512_ETM,
     {"00000010c2ba8e5079328bc7d7dc30550556dfc35949d17b814636759688221be675b588180c4927"
      "a0062fcb281a44538f23329bc880bc8cdd3ba52a0d2a6eabcc90fc31954e23415e71b8a01d32001f"
      "ec5829d7",
      "00000030155a5147a50bf929f053725a4cbc45fb984f4ce192aff1700fbe1478f819db5d1c0d31e1"
      "c98ef3aa4609d3a443ce802554a5c7109522fa16676f8a67b77cb3e127ed5cfd0fb7425bdb75a309"
      "e40f81e84c783c72388354881e2f2c830943a978e660d4773b56f84124a003a7d5c08282"}},
};

static struct cipher_keys keys_of(enum cipher_alg alg, enum cipher_mac mac)
{
    struct cipher_keys k = {.alg = alg, .mac = mac};
    struct view iv = cipher_info(alg)->needs_mac ? test_hex("00112233445566778899aabbffffffff")
                                                 : test_hex("f0f1f2f3fffffffffffffffe");
    for (size_t i = 0; i < CIPHER_KEY_MAX; i++) {
        k.key[i] = (uint8_t)i;
        k.mac_key[i] = (uint8_t)(100 + i);
    }
    memcpy(k.iv, iv.ptr, iv.len);
    return k;
}

static void fill_body(uint8_t *body, int which)
{
    body[0] = 6;
    for (size_t i = 1; i < lens[which]; i++)
        body[i] = (uint8_t)((which ? 50 : 1) + i - 1);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct cipher_keys keys = keys_of(rows[n].alg, rows[n].mac);
        AUTO(cipher_fini) struct cipher sealer = {0}, opener = {0};
        CHECK_OK(cipher_init(&sealer, &keys));
        CHECK_OK(cipher_init(&opener, &keys));
        for (int i = 0; i < 2; i++) {
            uint8_t packet[4 + 48 + CIPHER_TAG_MAX];
            uint8_t body[48];
            size_t total = 4 + lens[i] + cipher_tag_len(&sealer);
            fill_body(body, i);
            memcpy(packet + 4, body, lens[i]);
            cipher_seal(&sealer, seqs[i], packet, lens[i]);
            CHECK_VIEW(view_of(packet, total), test_hex(rows[n].packets[i]));
            assert_int_equal(cipher_length(&opener, seqs[i], packet), lens[i]);
            CHECK_OK(cipher_open(&opener, seqs[i], packet, lens[i]));
            assert_memory_equal(packet + 4, body, lens[i]);
            assert_memory_equal(packet, ((uint8_t[]){0, 0, 0, (uint8_t)lens[i]}), 4);
        }
    }
}

static void test_every_bit_counts(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct cipher_keys keys = keys_of(rows[n].alg, rows[n].mac);
        struct view good = test_hex(rows[n].packets[0]);
        for (size_t bit = 0; bit < good.len * 8; bit++) {
            uint8_t packet[4 + 48 + CIPHER_TAG_MAX];
            AUTO(cipher_fini) struct cipher c = {0};
            CHECK_OK(cipher_init(&c, &keys));
            memcpy(packet, good.ptr, good.len);
            packet[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            CHECK_ERR(cipher_open(&c, seqs[0], packet, lens[0]), ERR_VERIFY);
        }
    }
}

static void test_sequence_number_counts(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        if (rows[n].alg == CIPHER_AES128_GCM || rows[n].alg == CIPHER_AES256_GCM)
            continue; /* has its own counter, as the next test shows */
        struct cipher_keys keys = keys_of(rows[n].alg, rows[n].mac);
        struct view good = test_hex(rows[n].packets[0]);
        uint8_t packet[4 + 48 + CIPHER_TAG_MAX];
        AUTO(cipher_fini) struct cipher c = {0};
        CHECK_OK(cipher_init(&c, &keys));
        memcpy(packet, good.ptr, good.len);
        CHECK_ERR(cipher_open(&c, seqs[0] + 1, packet, lens[0]), ERR_VERIFY);
    }
}

static void test_replay_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct cipher_keys keys = keys_of(rows[n].alg, rows[n].mac);
        struct view good = test_hex(rows[n].packets[0]);
        uint8_t packet[4 + 48 + CIPHER_TAG_MAX];
        AUTO(cipher_fini) struct cipher c = {0};
        CHECK_OK(cipher_init(&c, &keys));
        memcpy(packet, good.ptr, good.len);
        CHECK_OK(cipher_open(&c, seqs[0], packet, lens[0]));
        memcpy(packet, good.ptr, good.len);
        CHECK_ERR(cipher_open(&c, seqs[0] + 1, packet, lens[0]), ERR_VERIFY);
    }
}

/* A context made again out of the exported keys goes on where the old one was. */
static void test_export(void **state)
{
    (void)state;
    struct rng_test t;
    struct rng rng = rng_test(&t, 3);
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct cipher_keys keys = keys_of(rows[n].alg, rows[n].mac);
        AUTO(cipher_fini) struct cipher sealer = {0}, opener = {0};
        CHECK_OK(cipher_init(&sealer, &keys));
        CHECK_OK(cipher_init(&opener, &keys));
        for (uint32_t seq = 0; seq < 40; seq++) {
            static uint8_t packet[4 + 64 * 48 + CIPHER_TAG_MAX];
            static uint8_t body[64 * 48];
            size_t len = 48 * (1 + seq % 64);
            rng_fill(&rng, body, len);
            memcpy(packet + 4, body, len);
            cipher_seal(&sealer, seq, packet, len);
            assert_int_equal(cipher_length(&opener, seq, packet), len);
            CHECK_OK(cipher_open(&opener, seq, packet, len));
            assert_memory_equal(packet + 4, body, len);
            struct cipher *moved = seq % 2 ? &sealer : &opener;
            cipher_export(moved, &keys);
            cipher_fini(moved);
            assert_int_equal(moved->keys.alg, CIPHER_NONE);
            CHECK_OK(cipher_init(moved, &keys));
        }
    }
}

static void test_none(void **state)
{
    (void)state;
    struct cipher c = {0};
    uint8_t packet[4 + 12] = {0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
    cipher_seal(&c, 0, packet, 12);
    assert_int_equal(cipher_tag_len(&c), 0);
    assert_int_equal(cipher_block_len(&c), 8);
    assert_int_equal(cipher_length(&c, 0, packet), 12);
    CHECK_OK(cipher_open(&c, 0, packet, 12));
    assert_memory_equal(packet + 4, "hello", 5);
}

static void test_alignment(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct cipher_keys keys = keys_of(rows[n].alg, rows[n].mac);
        uint8_t packet[4 + 48 + CIPHER_TAG_MAX] = {0};
        AUTO(cipher_fini) struct cipher c = {0};
        CHECK_OK(cipher_init(&c, &keys));
        for (size_t len = 0; len <= 48; len++)
            if (len % cipher_block_len(&c))
                CHECK_ERR(cipher_open(&c, 0, packet, len), ERR_PROTOCOL);
    }
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned i = 1; i < CIPHER_ALG_COUNT; i++) {
        enum cipher_alg alg;
        CHECK_OK(cipher_find(view_str(cipher_info((enum cipher_alg)i)->name), &alg));
        assert_int_equal(alg, i);
    }
    for (unsigned i = 1; i < CIPHER_MAC_COUNT; i++) {
        enum cipher_mac mac;
        CHECK_OK(cipher_mac_find(view_str(cipher_mac_info((enum cipher_mac)i)->name), &mac));
        assert_int_equal(mac, i);
    }
    enum cipher_alg alg;
    enum cipher_mac mac;
    const char *const bad[] = {"none", "", "aes128-cbc", "aes128-ctr ", "3des-cbc"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(cipher_find(view_str(bad[i]), &alg), ERR_UNSUPPORTED);
        CHECK_ERR(cipher_mac_find(view_str(bad[i]), &mac), ERR_UNSUPPORTED);
    }
}

static void test_mac_must_fit(void **state)
{
    (void)state;
    struct cipher c = {0};
    struct cipher_keys keys = {.alg = CIPHER_AES128_CTR};
    CHECK_ERR(cipher_init(&c, &keys), ERR_STATE);
    keys = (struct cipher_keys){.alg = CIPHER_AES128_GCM, .mac = CIPHER_MAC_SHA256_ETM};
    CHECK_ERR(cipher_init(&c, &keys), ERR_STATE);
    keys = (struct cipher_keys){.alg = CIPHER_ALG_COUNT};
    CHECK_ERR(cipher_init(&c, &keys), ERR_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_sequence_number_counts),
        cmocka_unit_test(test_replay_is_refused),
        cmocka_unit_test(test_export),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_mac_must_fit),
    };
    return RUN(tests);
}
