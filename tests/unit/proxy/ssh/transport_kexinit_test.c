#include "proxy/ssh/ident.h"
#include "proxy/ssh/kexinit.h"
#include "tests/support/pair.h"

/* The lists of a server with one key of each type. */
static struct kexinit_lists lists(void)
{
    static char kex[] = "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org";
    static char host_key[] = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256";
    static char cipher[] = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,"
                           "aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr";
    static char mac[] = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com";
    return (struct kexinit_lists){kex, host_key, cipher, mac};
}

/* What the clients in tests/vectors/ssh said: identification, then KEXINIT. */
static struct view recorded(const char *name, struct view *out_ident)
{
    AUTO_FREE char *path = mem_printf("tests/vectors/ssh/%s", name);
    struct view all = test_file(path);
    struct ident s = {0};
    size_t used;
    CHECK_OK(ident_take(&s, true, all, &used, out_ident));
    struct view packet = view_skip(all, used);
    return pair_clear_next(&packet);
}

static void test_recorded(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const char *software;
        const char *kex;
        const char *cipher;
        bool strict;
        bool peer_is_server;
    } cases[] = {
        {"openssh-9.2-client", "OpenSSH_9.2p1", "curve25519-sha256",
         "chacha20-poly1305@openssh.com", true, false},
        {"openssh-10.0-client", "OpenSSH_10.0", "mlkem768x25519-sha256",
         "chacha20-poly1305@openssh.com", true, false},
        {"plink-0.78-client", "PuTTY_Release_0.78", "curve25519-sha256", "aes256-ctr", true, false},
        {"dropbear-2022.83-client", "dropbear_2022.83", "curve25519-sha256",
         "chacha20-poly1305@openssh.com", true, false},
        {"openssh-9.2-server", "OpenSSH_9.2p1", "curve25519-sha256",
         "chacha20-poly1305@openssh.com", true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kexinit theirs;
        struct kexinit_choice choice;
        struct kexinit_mismatch why;
        struct kexinit_lists ours = lists();
        struct view ident;
        struct view payload = recorded(cases[i].file, &ident);
        CHECK_VIEW_STR(ident_software(ident), cases[i].software);
        CHECK_OK(kexinit_parse(payload, &theirs));
        CHECK_OK(kexinit_negotiate(&ours, &theirs, !cases[i].peer_is_server, &choice, &why));
        assert_string_equal(kex_info(choice.kex)->name, cases[i].kex);
        assert_string_equal(choice.host_key->name, "ssh-ed25519");
        assert_string_equal(cipher_info(choice.cipher[0])->name, cases[i].cipher);
        assert_int_equal(kexinit_has_strict(&theirs, cases[i].peer_is_server), cases[i].strict);
        assert_false(kexinit_has_strict(&theirs, !cases[i].peer_is_server));
        for (size_t n = 0; n < payload.len; n++)
            CHECK_ERR(kexinit_parse(view_take(payload, n), &theirs), ERR_SYNTAX);
    }
}

static void write_lists(struct buf *out, const char *const values[10], bool first_follows)
{
    static const uint8_t cookie[KEXINIT_COOKIE_LEN];
    struct writer w = writer_to(out);
    buf_clear(out);
    write_u8(&w, MSG_KEXINIT);
    write_bytes(&w, view_of(cookie, sizeof cookie));
    for (size_t i = 0; i < 10; i++)
        write_cstring(&w, values[i]);
    write_bool(&w, first_follows);
    write_u32(&w, 0);
    CHECK_OK(writer_done(&w));
}

#define AES "aes128-ctr"
#define MAC1 "hmac-sha2-256-etm@openssh.com"
#define MAC2 "hmac-sha2-512-etm@openssh.com"

/* The two directions are negotiated apart. */
static void test_directions(void **state)
{
    (void)state;
    struct buf out;
    struct kexinit theirs;
    struct kexinit_choice c;
    struct kexinit_mismatch why;
    struct kexinit_lists ours = lists();
    buf_init(&out, 8192);
    write_lists(&out,
                (const char *const[]){"curve25519-sha256", "ssh-ed25519", AES,
                                      "aes256-gcm@openssh.com", MAC2, "hmac-md5", "zlib,none",
                                      "none", "de", "fr"},
                false);
    CHECK_OK(kexinit_parse(buf_view(&out), &theirs));
    CHECK_OK(kexinit_negotiate(&ours, &theirs, true, &c, &why));
    assert_int_equal(c.cipher[0], CIPHER_AES128_CTR);
    assert_int_equal(c.mac[0], CIPHER_MAC_SHA512_ETM);
    assert_int_equal(c.cipher[1], CIPHER_AES256_GCM);
    assert_int_equal(c.mac[1], CIPHER_MAC_NONE);
    buf_fini(&out);
}

static void test_mismatches(void **state)
{
    (void)state;
    static const struct {
        const char *values[10];
        const char *what;
    } cases[] = {
        {{"ext-info-s,kex-strict-s-v00@openssh.com", "ssh-ed25519", AES, AES, MAC1, MAC1, "none",
          "none", "", ""},
         "key exchange"},
        {{"", "ssh-ed25519", AES, AES, MAC1, MAC1, "none", "none", "", ""}, "key exchange"},
        {{"curve25519-sha256", "ssh-rsa,ssh-dss", AES, AES, MAC1, MAC1, "none", "none", "", ""},
         "host key"},
        {{"curve25519-sha256", "ssh-ed25519", "aes128-cbc", AES, MAC1, MAC1, "none", "none", "",
          ""},
         "cipher, client to server"},
        {{"curve25519-sha256", "ssh-ed25519", AES, "none", MAC1, MAC1, "none", "none", "", ""},
         "cipher, server to client"},
        {{"curve25519-sha256", "ssh-ed25519", AES, AES, "hmac-sha2-256", MAC1, "none", "none", "",
          ""},
         "MAC, client to server"},
        {{"curve25519-sha256", "ssh-ed25519", AES, AES, MAC1, "none", "none", "none", "", ""},
         "MAC, server to client"},
        {{"curve25519-sha256", "ssh-ed25519", AES, AES, MAC1, MAC1, "zlib@openssh.com", "none", "",
          ""},
         "compression, client to server"},
        {{"curve25519-sha256", "ssh-ed25519", AES, AES, MAC1, MAC1, "none", "zlib", "", ""},
         "compression, server to client"},
    };
    struct buf out;
    buf_init(&out, 8192);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kexinit theirs;
        struct kexinit_choice c;
        struct kexinit_mismatch why = {0};
        struct kexinit_lists ours = lists();
        write_lists(&out, cases[i].values, false);
        CHECK_OK(kexinit_parse(buf_view(&out), &theirs));
        CHECK_ERR(kexinit_negotiate(&ours, &theirs, true, &c, &why), ERR_NEGOTIATION);
        assert_string_equal(why.what, cases[i].what);
    }
    buf_fini(&out);
}

static void test_guess(void **state)
{
    (void)state;
    static const struct {
        const char *kex;
        const char *host_key;
        bool follows;
        bool wrong;
    } cases[] = {
        {"mlkem768x25519-sha256,x", "ssh-ed25519,y", true, false},
        {"x,mlkem768x25519-sha256", "ssh-ed25519", true, true},
        {"mlkem768x25519-sha256", "y,ssh-ed25519", true, true},
        {"x,mlkem768x25519-sha256", "ssh-ed25519", false, false},
        {"", "", true, true},
    };
    struct buf out;
    buf_init(&out, 8192);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kexinit theirs;
        struct kexinit_lists ours = lists();
        write_lists(&out,
                    (const char *const[]){cases[i].kex, cases[i].host_key, AES, AES, MAC1, MAC1,
                                          "none", "none", "", ""},
                    cases[i].follows);
        CHECK_OK(kexinit_parse(buf_view(&out), &theirs));
        assert_int_equal(kexinit_is_wrong_guess(&ours, &theirs), cases[i].wrong);
    }
    buf_fini(&out);
}

/* Ours is what the parser takes, with the markers in the first one alone. */
static void test_ours(void **state)
{
    (void)state;
    static const uint8_t cookie[KEXINIT_COOKIE_LEN] = {1, 2, 3};
    struct kexinit_lists ours = lists();
    struct buf out;
    buf_init(&out, 8192);
    for (int is_server = 0; is_server < 2; is_server++) {
        for (int is_first = 0; is_first < 2; is_first++) {
            struct kexinit k;
            buf_clear(&out);
            CHECK_OK(kexinit_write(&out, &ours, is_server, is_first, cookie));
            CHECK_OK(kexinit_parse(buf_view(&out), &k));
            assert_memory_equal(buf_ptr(&out) + 1, cookie, sizeof cookie);
            assert_int_equal(kexinit_has_strict(&k, is_server), is_first);
            assert_int_equal(kexinit_has_ext_info(&k, is_server), is_first);
            assert_true(view_starts_with(k.kex, view_str(ours.kex)));
            CHECK_VIEW_STR(k.host_key, ours.host_key);
            CHECK_VIEW_STR(k.cipher[1], ours.cipher);
            CHECK_VIEW_STR(k.mac[0], ours.mac);
            CHECK_VIEW_STR(k.compression[1], "none");
            assert_false(k.first_follows);
        }
    }
    buf_fini(&out);
}

static void test_limits(void **state)
{
    (void)state;
    struct buf out;
    struct kexinit k;
    buf_init(&out, 1 << 20);
    char *names = mem_zalloc(KEXINIT_MAX + 1);
    memset(names, 'a', KEXINIT_MAX);
    write_lists(
        &out,
        (const char *const[]){names, "ssh-ed25519", AES, AES, MAC1, MAC1, "none", "none", "", ""},
        false);
    CHECK_ERR(kexinit_parse(buf_view(&out), &k), ERR_LIMIT);
    write_lists(
        &out,
        (const char *const[]){"a,,b", "ssh-ed25519", AES, AES, MAC1, MAC1, "none", "none", "", ""},
        false);
    CHECK_ERR(kexinit_parse(buf_view(&out), &k), ERR_SYNTAX);
    mem_free(names);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded),   cmocka_unit_test(test_directions),
        cmocka_unit_test(test_mismatches), cmocka_unit_test(test_guess),
        cmocka_unit_test(test_ours),       cmocka_unit_test(test_limits),
    };
    return RUN(tests);
}
