#include "proxy/edge/proxy_protocol.h"

#include "tests/support/test.h"

#define V2 "0d0a0d0a 000d0a51 5549540a "
#define ADDRESSES4 "c0000207 c6336402 d431 08ae " /* 192.0.2.7:54321 to 198.51.100.2:2222 */

struct row {
    const char *name;
    struct view bytes;
    enum err err;
    const char *source; /* "" = the connection's own */
    uint16_t source_port;
    const char *destination;
    uint16_t destination_port;
};

/* What a peer that follows sends behind a header must stay untouched. */
static const char behind[] = "SSH-2.0-x\r\n";

static enum err feed(struct proxy_protocol *p, struct view bytes, struct proxy_protocol_header *h)
{
    size_t used = 0;
    enum err e = proxy_protocol_feed(p, bytes, &used, h);
    assert_true(used <= bytes.len);
    if (e == ERR_MORE)
        assert_int_equal(used, bytes.len);
    return e;
}

static void check_header(const struct row *row, const struct proxy_protocol_header *h)
{
    struct ip source = {0};
    struct ip destination = {0};
    assert_int_equal(h->has_addresses, *row->source != '\0');
    if (*row->source) {
        CHECK_OK(ip_parse(view_str(row->source), &source));
        CHECK_OK(ip_parse(view_str(row->destination), &destination));
    }
    assert_int_equal(h->source.len, source.len);
    assert_memory_equal(h->source.bytes, source.bytes, sizeof source.bytes);
    assert_int_equal(h->destination.len, destination.len);
    assert_memory_equal(h->destination.bytes, destination.bytes, sizeof destination.bytes);
    assert_int_equal(h->source_port, row->source_port);
    assert_int_equal(h->destination_port, row->destination_port);
}

static void expect(const struct row *row, enum err e, const struct proxy_protocol *p,
                   const struct proxy_protocol_header *h)
{
    if (e != row->err)
        fail_msg("%s: %s (%s), wanted %s", row->name, err_name(e), proxy_protocol_why(p),
                 err_name(row->err));
    if (e == OK)
        check_header(row, h);
    else
        assert_string_not_equal(proxy_protocol_why(p), "");
}

/* At each split point, and byte by byte; the header's end is found exactly. */
static void check_splits(const struct row *row)
{
    for (size_t split = 0; split <= row->bytes.len; split++) {
        struct proxy_protocol p;
        struct proxy_protocol_header h = {0};
        proxy_protocol_init(&p);
        enum err e = feed(&p, view_take(row->bytes, split), &h);
        if (e == ERR_MORE)
            e = feed(&p, view_skip(row->bytes, split), &h);
        expect(row, e, &p, &h);
        proxy_protocol_fini(&p);
    }
    struct proxy_protocol p;
    struct proxy_protocol_header h = {0};
    proxy_protocol_init(&p);
    enum err e = ERR_MORE;
    for (size_t i = 0; i < row->bytes.len && e == ERR_MORE; i++) {
        e = feed(&p, view_of(row->bytes.ptr + i, 1), &h);
        if (e == OK)
            assert_int_equal(i, row->bytes.len - 1);
    }
    expect(row, e, &p, &h);
    proxy_protocol_fini(&p);
}

static void check_end(const struct row *row)
{
    struct proxy_protocol p;
    struct proxy_protocol_header h;
    struct buf all;
    size_t used = 0;
    buf_init(&all, 8192);
    CHECK_OK(buf_append(&all, row->bytes));
    CHECK_OK(buf_append_str(&all, behind));
    proxy_protocol_init(&p);
    CHECK_OK(proxy_protocol_feed(&p, buf_view(&all), &used, &h));
    assert_int_equal(used, row->bytes.len);
    proxy_protocol_fini(&p);
    buf_fini(&all);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_splits(&rows[i]);
        if (rows[i].err == OK)
            check_end(&rows[i]);
    }
}

#define GOOD(text, ...)                                                                            \
    {                                                                                              \
        text, VIEW(text "\r\n"), OK, __VA_ARGS__                                                   \
    }
#define BAD(text, e)                                                                               \
    {                                                                                              \
        text, VIEW(text), e, "", 0, "", 0                                                          \
    }

static void test_v1(void **state)
{
    (void)state;
    static const struct row rows[] = {
        GOOD("PROXY TCP4 192.0.2.7 198.51.100.2 54321 2222", "192.0.2.7", 54321, "198.51.100.2",
             2222),
        GOOD("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", "255.255.255.255", 65535,
             "255.255.255.255", 65535),
        GOOD("PROXY TCP4 1.2.3.4 5.6.7.8 0 1", "1.2.3.4", 0, "5.6.7.8", 1),
        GOOD("PROXY TCP6 2001:db8::7 ::1 4000 22", "2001:db8::7", 4000, "::1", 22),
        GOOD("PROXY TCP6 ::ffff:192.0.2.7 ::1 4000 22", "192.0.2.7", 4000, "::1", 22),
        GOOD("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
        GOOD("PROXY UNKNOWN", "", 0, "", 0),
        GOOD("PROXY UNKNOWN whatever \x01 this says", "", 0, "", 0),
        BAD("GET / HTTP/1.1\r\n", ERR_SYNTAX),
        BAD("SSH-2.0-OpenSSH_9.2\r\n", ERR_SYNTAX),
        BAD("PROXY\r\n", ERR_SYNTAX),
        BAD("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", ERR_SYNTAX),
        BAD("PROXY \r\n", ERR_UNSUPPORTED),
        BAD("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", ERR_UNSUPPORTED),
        BAD("PROXY UNKNOWNX\r\n", ERR_UNSUPPORTED),
        BAD("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", ERR_UNSUPPORTED),
        BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4 5.6.7.8  2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 ::1 ::1 1 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP6 fe80::1%lo ::1 1 2\r\n", ERR_SYNTAX),
        BAD("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n", ERR_SYNTAX),
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_v1_length(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 3; extra++) {
        char line[PROXY_PROTOCOL_V1_MAX + 3];
        size_t len = PROXY_PROTOCOL_V1_MAX - 1 + extra;
        memset(line, 'x', sizeof line);
        memcpy(line, "PROXY UNKNOWN ", 14);
        memcpy(line + len - 2, "\r\n", 2);
        struct row row = {"long", view_of(line, len), extra < 2 ? OK : ERR_LIMIT, "", 0, "", 0};
        check_splits(&row);
    }
}

static void check_hex(const char *name, const char *hex, enum err e, const char *source,
                      uint16_t port)
{
    struct row row = {name, test_hex(hex), e, source, port, "198.51.100.2", 2222};
    if (!*source)
        row.destination_port = 0;
    if (strchr(source, ':'))
        row.destination = "2001:db8::2";
    check_splits(&row);
    if (e == OK)
        check_end(&row);
}

static void test_v2(void **state)
{
    (void)state;
    check_hex("tcp4", V2 "21 11 000c " ADDRESSES4, OK, "192.0.2.7", 54321);
    check_hex("tcp6",
              V2 "21 21 0024 20010db8 00000000 00000000 00000007"
                 "20010db8 00000000 00000000 00000002 d431 08ae",
              OK, "2001:db8::7", 54321);
    check_hex("local", V2 "20 00 0000", OK, "", 0);
    check_hex("local with addresses", V2 "20 11 000c " ADDRESSES4, OK, "", 0);
    check_hex("local with anything", V2 "20 ff 0003 010203", OK, "", 0);
    check_hex("unspec", V2 "21 00 0000", OK, "", 0);
    check_hex("unspec with anything", V2 "21 00 0003 010203", OK, "", 0);
    check_hex("tlvs", V2 "21 11 0015 " ADDRESSES4 "04 0002 0000 ea 0001 78", OK, "192.0.2.7",
              54321);
    check_hex("empty tlv", V2 "21 11 000f " ADDRESSES4 "04 0000", OK, "192.0.2.7", 54321);

    check_hex("version 1 in binary", V2 "11 11 000c " ADDRESSES4, ERR_UNSUPPORTED, "", 0);
    check_hex("command 2", V2 "22 11 000c " ADDRESSES4, ERR_UNSUPPORTED, "", 0);
    check_hex("datagram", V2 "21 12 000c " ADDRESSES4, ERR_UNSUPPORTED, "", 0);
    check_hex("family 4", V2 "21 41 000c " ADDRESSES4, ERR_UNSUPPORTED, "", 0);
    check_hex("family without transport", V2 "21 10 000c " ADDRESSES4, ERR_UNSUPPORTED, "", 0);
    check_hex("too short for its addresses", V2 "21 11 000b c0000207 c6336402 d431 08", ERR_SYNTAX,
              "", 0);
    check_hex("no addresses", V2 "21 21 0000", ERR_SYNTAX, "", 0);
    check_hex("tcp6 with 12 bytes", V2 "21 21 000c " ADDRESSES4, ERR_SYNTAX, "", 0);
    check_hex("unix without path", V2 "21 31 000c " ADDRESSES4, ERR_SYNTAX, "", 0);
    check_hex("half a tlv", V2 "21 11 000e " ADDRESSES4 "04 00", ERR_SYNTAX, "", 0);
    check_hex("tlv beyond the end", V2 "21 11 0010 " ADDRESSES4 "04 0002 00", ERR_SYNTAX, "", 0);
    check_hex("another signature", "0d0a0d0a 000d0a51 55495400 21 11 000c " ADDRESSES4, ERR_SYNTAX,
              "", 0);
    check_hex("too long", V2 "21 11 1001 ", ERR_LIMIT, "", 0);
    check_hex("much too long", V2 "20 00 ffff ", ERR_LIMIT, "", 0);
}

/* Made with another implementation of CRC-32C. */
static void test_checksum(void **state)
{
    (void)state;
    check_hex("right", V2 "21 11 0013 " ADDRESSES4 "03 0004 7031e1b5", OK, "192.0.2.7", 54321);
    check_hex("right before another tlv", V2 "21 11 0017 " ADDRESSES4 "03 0004 22b5b252 04 0001 00",
              OK, "192.0.2.7", 54321);
    check_hex("wrong", V2 "21 11 0013 " ADDRESSES4 "03 0004 00000000", ERR_VERIFY, "", 0);
    check_hex("of another length", V2 "21 11 0012 " ADDRESSES4 "03 0003 000000", ERR_SYNTAX, "", 0);
    check_hex("twice", V2 "21 11 001a " ADDRESSES4 "03 0004 9f5505e1 03 0004 00000000", ERR_SYNTAX,
              "", 0);
}

static void test_largest(void **state)
{
    (void)state;
    struct buf all;
    buf_init(&all, PROXY_PROTOCOL_V2_MAX + 1);
    CHECK_OK(buf_append(&all, test_hex(V2 "21 31 1000")));
    for (size_t i = 0; i < 216; i++)
        CHECK_OK(buf_append_u8(&all, '/'));
    CHECK_OK(buf_append(&all, test_hex("04 0f25")));
    while (all.len < PROXY_PROTOCOL_V2_MAX)
        CHECK_OK(buf_append_u8(&all, 0));
    struct proxy_protocol p;
    struct proxy_protocol_header h = {.has_addresses = true};
    proxy_protocol_init(&p);
    size_t used = 0;
    CHECK_OK(proxy_protocol_feed(&p, buf_view(&all), &used, &h));
    assert_int_equal(used, PROXY_PROTOCOL_V2_MAX);
    assert_false(h.has_addresses);
    proxy_protocol_fini(&p);
    buf_fini(&all);
}

/* What is written is what is read. */
static void check_round(const char *source, const char *destination,
                        enum err (*write)(const struct proxy_protocol_header *, struct buf *))
{
    struct proxy_protocol_header sent = {
        .has_addresses = *source, .source_port = 54321, .destination_port = 5};
    struct proxy_protocol_header got = {.has_addresses = !*source};
    struct proxy_protocol p;
    struct buf out;
    size_t used;
    if (*source) {
        CHECK_OK(ip_parse(view_str(source), &sent.source));
        CHECK_OK(ip_parse(view_str(destination), &sent.destination));
    }
    buf_init(&out, PROXY_PROTOCOL_V1_MAX);
    CHECK_OK(write(&sent, &out));
    proxy_protocol_init(&p);
    CHECK_OK(proxy_protocol_feed(&p, buf_view(&out), &used, &got));
    assert_int_equal(used, out.len);
    assert_int_equal(got.has_addresses, sent.has_addresses);
    if (*source) {
        assert_memory_equal(&got.source, &sent.source, sizeof sent.source);
        assert_memory_equal(&got.destination, &sent.destination, sizeof sent.destination);
        assert_int_equal(got.source_port, 54321);
        assert_int_equal(got.destination_port, 5);
    }
    proxy_protocol_fini(&p);
    buf_fini(&out);
    struct buf small; /* never half of one */
    buf_init(&small, 10);
    CHECK_ERR(write(&sent, &small), ERR_LIMIT);
    buf_fini(&small);
}

static void test_write(void **state)
{
    (void)state;
    for (int v = 1; v <= 2; v++) {
        enum err (*write)(const struct proxy_protocol_header *, struct buf *) =
            v == 1 ? proxy_protocol_write_v1 : proxy_protocol_write_v2;
        check_round("192.0.2.7", "10.0.0.1", write);
        check_round("2001:db8::7", "fd00::1", write);
        check_round("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                    "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", write);
        check_round("192.0.2.7", "fd00::1", write); /* as ::ffff:192.0.2.7 */
        check_round("2001:db8::7", "10.0.0.1", write);
        check_round("", "", write);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1),      cmocka_unit_test(test_v1_length),
        cmocka_unit_test(test_v2),      cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_largest), cmocka_unit_test(test_write),
    };
    return RUN(tests);
}
