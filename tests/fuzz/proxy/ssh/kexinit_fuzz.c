/* KEXINIT with the negotiation in both roles, EXT_INFO and DISCONNECT: byte 0 says which. */
#include "common/base/check.h"
#include "proxy/ssh/kexinit.h"
#include "proxy/ssh/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_kexinit(struct view in)
{
    static char kex[] = "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org";
    static char host_key[] = "ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512";
    static char cipher[] = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes128-ctr";
    static char mac[] = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com";
    const struct kexinit_lists ours = {kex, host_key, cipher, mac};
    struct kexinit theirs;
    if (kexinit_parse(in, &theirs) != OK)
        return;
    (void)kexinit_is_wrong_guess(&ours, &theirs);
    for (int server = 0; server < 2; server++) {
        struct kexinit_choice c;
        struct kexinit_mismatch why = {0};
        (void)kexinit_has_strict(&theirs, server);
        enum err e = kexinit_negotiate(&ours, &theirs, server, &c, &why);
        CHECK(e == OK || (e == ERR_NEGOTIATION && why.what));
        if (e == OK)
            CHECK(c.host_key && cipher_info(c.cipher[0])->needs_mac == (c.mac[0] != 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct view in = view_of(data + 1, size - 1);
    struct msg_ext_info info;
    struct msg_disconnect d;
    if (data[0] % 3 == 0)
        fuzz_kexinit(in);
    else if (data[0] % 3 == 1)
        IGNORE(msg_ext_info_parse(in, &info), "any result will do");
    else if (msg_disconnect_parse(in, &d) == OK)
        CHECK(d.text.len <= MSG_TEXT_MAX);
    return 0;
}
