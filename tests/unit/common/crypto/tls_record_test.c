#include "common/crypto/tls_record.h"

#include "common/base/mem.h"
#include "tests/support/test.h"

enum { WIRE = 1 << 20 };

static uint8_t wire[WIRE];
static uint8_t plain[WIRE];
static const uint16_t suites[] = {0x1301, 0x1302, 0x1303};

struct both {
    struct tls_reader reader;
    struct tls_writer writer;
};

static void begin(struct both *b, uint16_t suite, bool is_client)
{
    struct tls_record_keys k = {.suite = suite};
    memset(k.secret, 7, sizeof k.secret);
    CHECK_OK(tls_reader_init(&b->reader, &k, is_client));
    CHECK_OK(tls_writer_init(&b->writer, &k));
}

static void finish(struct both *b)
{
    tls_reader_fini(&b->reader);
    tls_writer_fini(&b->writer);
}

static void fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + i / 251);
}

/* RFC 8448 §3: the client's application data and its close_notify. */
static void test_rfc8448(void **state)
{
    (void)state;
    struct tls_record_keys k = {.suite = 0x1301,
                                .secret = {0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d,
                                           0xc0, 0x5a, 0xf8, 0x88, 0x9b, 0xce, 0x65, 0x52,
                                           0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf, 0x00, 0x87,
                                           0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5}};
    static const uint8_t records[] = {
        0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf,
        0xfa, 0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa,
        0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5,
        0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2,
        0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49,
        0x15, 0xe4, 0x17, 0x03, 0x03, 0x00, 0x13, 0xc9, 0x87, 0x27, 0x60, 0x65, 0x56, 0x66,
        0xb7, 0x4d, 0x7f, 0xf1, 0x15, 0x3e, 0xfd, 0x6d, 0xb6, 0xd0, 0xb0, 0xe3};
    struct tls_reader r;
    struct tls_writer w;
    struct tls_opened o;
    CHECK_OK(tls_reader_init(&r, &k, false));
    CHECK_OK(tls_writer_init(&w, &k));
    CHECK_OK(tls_reader_open(&r, view_of(records, sizeof records), plain, WIRE, &o));
    assert_int_equal(o.len, 50);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(plain[i], i);
    assert_true(o.closed && o.used == sizeof records);
    size_t n = tls_writer_seal(&w, view_of(plain, 50), wire);
    n += tls_writer_alert(&w, TLS_ALERT_CLOSE_NOTIFY, wire + n);
    CHECK_VIEW(view_of(wire, n), view_of(records, sizeof records));
    tls_reader_fini(&r);
    tls_writer_fini(&w);
}

static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 16383, 16384, 16385, 32768, 100000, 262144};
    AUTO_FREE uint8_t *data = mem_zalloc(262144);
    fill(data, 262144);
    for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
        struct both b;
        begin(&b, suites[s], false);
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            struct tls_opened o;
            size_t n = tls_writer_seal(&b.writer, view_of(data, sizes[i]), wire);
            assert_true(n <= tls_sealed_max(sizes[i]));
            CHECK_OK(tls_reader_open(&b.reader, view_of(wire, n), plain, n, &o));
            assert_true(o.used == n && !o.closed && !o.update_requested);
            CHECK_VIEW(view_of(plain, o.len), view_of(data, sizes[i]));
        }
        finish(&b);
    }
}

/* However the bytes are cut, the same comes out. */
static void test_every_split(void **state)
{
    (void)state;
    struct both b;
    begin(&b, 0x1301, true);
    static const uint8_t ticket[] = {4, 0, 0, 3, 'a', 'b', 'c', 4, 0, 0, 0};
    size_t n = tls_writer_seal(&b.writer, VIEW("first"), wire);
    n += tls_writer_record(&b.writer, 22, view_of(ticket, 5), wire + n);
    n += tls_writer_record(&b.writer, 22, view_of(ticket + 5, sizeof ticket - 5), wire + n);
    n += tls_writer_update(&b.writer, wire + n);
    n += tls_writer_seal(&b.writer, VIEW("second"), wire + n);
    n += tls_writer_alert(&b.writer, TLS_ALERT_CLOSE_NOTIFY, wire + n);
    tls_reader_fini(&b.reader);
    for (size_t cut = 0; cut <= n; cut++) {
        struct tls_record_keys k = {.suite = 0x1301};
        struct tls_opened o[2];
        memset(k.secret, 7, sizeof k.secret);
        CHECK_OK(tls_reader_init(&b.reader, &k, true));
        CHECK_OK(tls_reader_open(&b.reader, view_of(wire, cut), plain, WIRE, &o[0]));
        struct view rest = view_of(wire + o[0].used, n - o[0].used);
        CHECK_OK(tls_reader_open(&b.reader, rest, plain + o[0].len, WIRE - 11, &o[1]));
        CHECK_VIEW_STR(view_of(plain, o[0].len + o[1].len), "firstsecond");
        assert_true(o[0].used + o[1].used == n && (cut == n ? o[0].closed : o[1].closed));
        tls_reader_fini(&b.reader);
    }
    tls_writer_fini(&b.writer);
}

/* Room for some of the records only: the others stay in the input. */
static void test_room(void **state)
{
    (void)state;
    struct both b;
    struct tls_opened o;
    begin(&b, 0x1301, false);
    size_t one = tls_writer_seal(&b.writer, VIEW("1234"), wire);
    size_t n = one + tls_writer_seal(&b.writer, VIEW("5678"), wire + one);
    CHECK_OK(tls_reader_open(&b.reader, view_of(wire, n), plain, 4, &o));
    assert_true(o.used == 0 && o.len == 0);
    CHECK_OK(tls_reader_open(&b.reader, view_of(wire, n), plain, 8, &o));
    assert_true(o.used == one && o.len == 4);
    CHECK_OK(tls_reader_open(&b.reader, view_of(wire + one, n - one), plain, 8, &o));
    assert_true(o.used == n - one && o.len == 4);
    finish(&b);
}

static void test_key_update(void **state)
{
    (void)state;
    static const uint8_t request[] = {24, 0, 0, 1, 1};
    struct both b;
    struct tls_opened o;
    begin(&b, 0x1302, false);
    /* By itself, after so many records. */
    b.writer.records_max = 3;
    for (int i = 0; i < 20; i++) {
        size_t n = tls_writer_seal(&b.writer, VIEW("data"), wire);
        assert_true(n <= tls_sealed_max(4));
        CHECK_OK(tls_reader_open(&b.reader, view_of(wire, n), plain, WIRE, &o));
        assert_true(o.len == 4 && !o.update_requested);
        assert_true(b.writer.keys.seq < 3 && b.writer.keys.seq == b.reader.keys.seq);
    }
    size_t n = tls_writer_record(&b.writer, 22, view_of(request, 5), wire);
    CHECK_OK(tls_reader_open(&b.reader, view_of(wire, n), plain, WIRE, &o));
    assert_true(o.update_requested);
    finish(&b);
}

/* One record of any inner type, and what the reader says to it. */
static void refuse(bool is_client, uint8_t type, struct view content, enum err e, uint8_t alert)
{
    struct both b;
    struct tls_opened o;
    begin(&b, 0x1301, is_client);
    size_t n = tls_writer_record(&b.writer, type, content, wire);
    CHECK_ERR(tls_reader_open(&b.reader, view_of(wire, n), plain, WIRE, &o), e);
    assert_int_equal(o.alert, alert);
    finish(&b);
}

static void test_refused_inside(void **state)
{
    (void)state;
    refuse(false, 22, VIEW(""), ERR_PROTOCOL, 10);
    refuse(false, 0, VIEW(""), ERR_PROTOCOL, 10);
    refuse(false, 0, VIEW("\0\0\0"), ERR_PROTOCOL, 10);
    refuse(false, 20, VIEW("\1"), ERR_PROTOCOL, 10);
    refuse(false, 99, VIEW("x"), ERR_PROTOCOL, 10);
    refuse(false, 21, VIEW("\1"), ERR_PROTOCOL, 50);
    refuse(false, 21, VIEW("\1\0\1\0"), ERR_PROTOCOL, 50);
    refuse(false, 22, VIEW("\4\0\0\1x"), ERR_PROTOCOL, 10);      /* a ticket for a server */
    refuse(true, 22, VIEW("\4\2\0\1x"), ERR_LIMIT, 50);          /* too long a ticket */
    refuse(true, 22, VIEW("\1\0\0\1x"), ERR_PROTOCOL, 10);       /* a hello */
    refuse(false, 22, VIEW("\15\0\0\1x"), ERR_PROTOCOL, 10);     /* CertificateRequest */
    refuse(false, 22, VIEW("\30\0\0\2\0\0"), ERR_PROTOCOL, 50);  /* KeyUpdate of two bytes */
    refuse(false, 22, VIEW("\30\0\0\1\2"), ERR_PROTOCOL, 50);    /* KeyUpdate that asks oddly */
    refuse(false, 22, VIEW("\30\0\0\1\0\30"), ERR_PROTOCOL, 10); /* not the last of its record */
    struct both b;
    struct tls_opened o;
    begin(&b, 0x1301, false);
    size_t n = tls_writer_record(&b.writer, 21, VIEW("\2\50"), wire);
    CHECK_ERR(tls_reader_open(&b.reader, view_of(wire, n), plain, WIRE, &o), ERR_PROTOCOL);
    assert_true(o.peer_alert == 40 && o.alert == 0);
    finish(&b);
    /* Data between the parts of a message. */
    begin(&b, 0x1301, false);
    n = tls_writer_record(&b.writer, 22, VIEW("\30\0"), wire);
    n += tls_writer_seal(&b.writer, VIEW("x"), wire + n);
    CHECK_ERR(tls_reader_open(&b.reader, view_of(wire, n), plain, WIRE, &o), ERR_PROTOCOL);
    finish(&b);
}

/* What stood before the failure is given out. */
static void test_refused_outside(void **state)
{
    (void)state;
    static const struct {
        uint8_t head[5];
        enum err e;
        uint8_t alert;
    } rows[] = {{{20, 3, 3, 0, 1}, ERR_PROTOCOL, 10},  {{21, 3, 3, 0, 2}, ERR_PROTOCOL, 10},
                {{22, 3, 3, 0, 40}, ERR_PROTOCOL, 10}, {{23, 3, 3, 0, 16}, ERR_PROTOCOL, 50},
                {{23, 3, 3, 0, 0}, ERR_PROTOCOL, 50},  {{23, 3, 3, 0x41, 1}, ERR_LIMIT, 22},
                {{23, 3, 3, 255, 255}, ERR_LIMIT, 22}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct both b;
        struct tls_opened o;
        begin(&b, 0x1303, false);
        size_t n = tls_writer_seal(&b.writer, VIEW("before"), wire);
        memcpy(wire + n, rows[i].head, 5);
        CHECK_ERR(tls_reader_open(&b.reader, view_of(wire, n + 5), plain, WIRE, &o), rows[i].e);
        assert_true(o.alert == rows[i].alert && o.used == n);
        CHECK_VIEW_STR(view_of(plain, o.len), "before");
        finish(&b);
    }
}

/* Each bit of a record counts. */
static void test_tampered(void **state)
{
    (void)state;
    struct both b;
    begin(&b, 0x1301, false);
    size_t n = tls_writer_seal(&b.writer, VIEW("data"), wire);
    for (size_t i = 1; i < n; i++) {
        struct tls_reader r;
        struct tls_opened o;
        if (i == 3 || i == 4)
            continue;
        wire[i] ^= 1;
        CHECK_OK(tls_reader_init(&r, &b.reader.keys, false));
        CHECK_ERR(tls_reader_open(&r, view_of(wire, n), plain, WIRE, &o), ERR_VERIFY);
        assert_int_equal(o.alert, TLS_ALERT_BAD_RECORD_MAC);
        tls_reader_fini(&r);
        wire[i] ^= 1;
    }
    finish(&b);
}

static void test_idle_records(void **state)
{
    (void)state;
    for (int updates = 0; updates < 2; updates++) {
        struct both b;
        struct tls_opened o;
        enum err e = OK;
        int records = 0;
        begin(&b, 0x1301, false);
        /* Data in between forgive. */
        for (int i = 0; i < 100; i++) {
            size_t n = tls_writer_update(&b.writer, wire);
            n += tls_writer_seal(&b.writer, VIEW("x"), wire + n);
            CHECK_OK(tls_reader_open(&b.reader, view_of(wire, n), plain, WIRE, &o));
        }
        for (; e == OK && records < 100; records++) {
            size_t n = updates ? tls_writer_update(&b.writer, wire)
                               : tls_writer_record(&b.writer, 23, VIEW(""), wire);
            e = tls_reader_open(&b.reader, view_of(wire, n), plain, WIRE, &o);
        }
        CHECK_ERR(e, ERR_LIMIT);
        assert_int_equal(records, TLS_IDLE_RECORDS_MAX + 1);
        finish(&b);
    }
}

/* An export goes on where the original was. */
static void test_export(void **state)
{
    (void)state;
    struct both b;
    struct both next;
    struct tls_opened o;
    begin(&b, 0x1303, false);
    size_t n = tls_writer_seal(&b.writer, VIEW("one"), wire);
    n += tls_writer_update(&b.writer, wire + n);
    n += tls_writer_seal(&b.writer, VIEW("two"), wire + n);
    CHECK_OK(tls_reader_open(&b.reader, view_of(wire, n), plain, WIRE, &o));
    CHECK_OK(tls_reader_init(&next.reader, &b.reader.keys, false));
    CHECK_OK(tls_writer_init(&next.writer, &b.writer.keys));
    n = tls_writer_seal(&next.writer, VIEW("three"), wire);
    CHECK_OK(tls_reader_open(&next.reader, view_of(wire, n), plain, WIRE, &o));
    CHECK_VIEW_STR(view_of(plain, o.len), "three");
    finish(&b);
    finish(&next);
}

static void test_suites(void **state)
{
    (void)state;
    struct tls_reader r = {0};
    struct tls_writer w = {0};
    struct tls_record_keys k = {.suite = 0xc02f};
    CHECK_ERR(tls_reader_init(&r, &k, false), ERR_UNSUPPORTED);
    CHECK_ERR(tls_writer_init(&w, &k), ERR_UNSUPPORTED);
    assert_false(tls_suite_is_known(0xc02f));
    assert_int_equal(tls_suite_secret_len(0x1301), 32);
    assert_int_equal(tls_suite_secret_len(0x1302), 48);
    assert_int_equal(tls_suite_secret_len(0), 0);
    tls_reader_fini(&r);
    tls_writer_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc8448),         cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_every_split),     cmocka_unit_test(test_room),
        cmocka_unit_test(test_key_update),      cmocka_unit_test(test_refused_inside),
        cmocka_unit_test(test_refused_outside), cmocka_unit_test(test_tampered),
        cmocka_unit_test(test_idle_records),    cmocka_unit_test(test_export),
        cmocka_unit_test(test_suites),
    };
    return RUN(tests);
}
