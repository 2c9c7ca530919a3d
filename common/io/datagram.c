#include "common/io/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/tick.h"
#include "common/io/timer.h"

/* <linux/udp.h> has them, and clashes with <netinet/udp.h>. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    BATCHES_PER_TURN = 2, /* so that one busy peer does not starve the others */
    SEGMENTS_MAX = 64,    /* the least of what kernels have as UDP_MAX_SEGMENTS */
    SEGMENTED_MAX = 65000,
    MESSAGES = DATAGRAM_BATCH_MAX,
    /* One slot takes the largest datagram or GRO batch; slots do not share the sets of a cache. */
    SLOT = 65536 + 1088,
    CONTROL = CMSG_SPACE(sizeof(int)),
    /* What a fast sender sends meanwhile has to fit; kernels give less than this by default. */
    MODERATED_BUFFER = 1024 * 1024,
};

struct datagram {
    struct loop *loop;
    uv_poll_t poll;
    struct timer report;
    int fd;
    struct address peer;
    struct datagram_handler handler;
    void *ctx;
    struct datagram_counts counts;
    int pending_errno; /* met while sending */
    struct tick tick;  /* set: moderated, and not polled */
    uint64_t burst_at; /* when the first wake-up of those that are counted together came, in ns */
    uint64_t burst;    /* datagrams in those after it; moderated: in ticks */
    uint64_t known_at; /* when moderating ended, and */
    bool was_worth;
    bool has_buffer; /* MODERATED_BUFFER was asked for */
    bool segment;    /* the kernel takes UDP_SEGMENT */
    bool paused;
    bool closed;
};

static enum err errno_err(int number)
{
    switch (number) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EADDRNOTAVAIL:
        return ERR_UNAVAILABLE;
    default:
        return ERR_IO;
    }
}

static bool would_block(int number)
{
    return number == EAGAIN || number == EWOULDBLOCK || number == ENOBUFS;
}

static void tell_error(struct datagram *d, int number)
{
    if (!d->closed && d->handler.on_error)
        d->handler.on_error(d->ctx, errno_err(number), strerror(number));
}

static void on_report(void *ctx)
{
    struct datagram *d = ctx;
    int number = d->pending_errno;
    d->pending_errno = 0;
    if (number)
        tell_error(d, number);
}

/* --- reading --- */

/* The size of the parts that the kernel has put together; `len` when it has not. */
static size_t part_len(struct msghdr *h, size_t len)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO &&
            c->cmsg_len >= CMSG_LEN(sizeof(int))) {
            int size = 0;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            if (size > 0)
                return (size_t)size;
        }
    }
    return len;
}

struct batch {
    struct view packets[DATAGRAM_BATCH_MAX];
    size_t count;
};

static void hand_over(struct datagram *d, struct batch *b)
{
    if (b->count && !d->closed && d->handler.on_read)
        d->handler.on_read(d->ctx, b->packets, b->count);
    b->count = 0;
}

static void add_packet(struct datagram *d, struct batch *b, struct view packet)
{
    d->counts.packets_in++;
    d->counts.bytes_in += packet.len;
    b->packets[b->count++] = packet;
    if (b->count == DATAGRAM_BATCH_MAX)
        hand_over(d, b);
}

static void split(struct datagram *d, struct batch *b, struct view bytes, size_t part)
{
    do {
        add_packet(d, b, view_take(bytes, part));
        bytes = view_skip(bytes, part);
    } while (bytes.len > 0 && !d->closed);
}

/* Made once, since a read uses few of the slots mostly; a used one is made ready again. */
struct loop_datagrams {
    struct mmsghdr messages[MESSAGES];
    struct iovec iov[MESSAGES];
    alignas(struct cmsghdr) uint8_t control[MESSAGES][CONTROL];
    uint8_t bytes[MESSAGES][SLOT];
};

static void ready_slot(struct loop_datagrams *r, size_t i)
{
    r->messages[i].msg_hdr = (struct msghdr){.msg_iov = &r->iov[i],
                                             .msg_iovlen = 1,
                                             .msg_control = r->control[i],
                                             .msg_controllen = CONTROL};
}

static struct loop_datagrams *reader_of(struct loop *l)
{
    if (l->datagrams)
        return l->datagrams;
    l->datagrams = mem_zalloc(sizeof *l->datagrams);
    for (size_t i = 0; i < MESSAGES; i++) {
        l->datagrams->iov[i] = (struct iovec){l->datagrams->bytes[i], 65536};
        ready_slot(l->datagrams, i);
    }
    return l->datagrams;
}

/* How many messages there were; 0 when there is nothing more for now. */
static size_t read_batch(struct datagram *d)
{
    struct loop_datagrams *r = reader_of(d->loop);
    int n = recvmmsg(d->fd, r->messages, MESSAGES, MSG_DONTWAIT, NULL);
    if (n < 0 && !would_block(errno) && errno != EINTR)
        tell_error(d, errno);
    struct batch b;
    b.count = 0;
    for (int i = 0; i < n; i++) {
        size_t len = r->messages[i].msg_len;
        size_t part = part_len(&r->messages[i].msg_hdr, len);
        ready_slot(r, (size_t)i);
        if (!d->closed)
            split(d, &b, view_of(r->bytes[i], len), part);
    }
    hand_over(d, &b);
    return n > 0 ? (size_t)n : 0;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void listen_again(struct datagram *d)
{
    CHECK(uv_poll_start(&d->poll, UV_READABLE, on_poll) == 0);
}

/* How many datagrams there were. */
static uint64_t read_turn(struct datagram *d)
{
    uint64_t before = d->counts.packets_in;
    size_t got = MESSAGES;
    /* A pause holds back what is not read yet; a whole batch says that there may be more. */
    for (int i = 0; i < BATCHES_PER_TURN && got == MESSAGES && !d->paused && !d->closed; i++)
        got = read_batch(d);
    return d->counts.packets_in - before;
}

static bool moderate(struct datagram *d)
{
    int size = MODERATED_BUFFER;
    if (!tick_set(&d->tick))
        return false;
    (void)uv_poll_stop(&d->poll);
    d->burst = 0;
    if (!d->has_buffer)
        (void)setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    d->has_buffer = true;
    return true;
}

static void on_tick(void *ctx)
{
    struct datagram *d = ctx;
    d->counts.ticks++;
    uint64_t got = read_turn(d);
    d->burst += got;
    if (d->closed || d->paused)
        return;
    if (got >= DATAGRAM_TICK_MIN && got <= DATAGRAM_TICK_MAX && tick_set(&d->tick))
        return;
    d->known_at = uv_hrtime();
    d->was_worth = d->burst >= DATAGRAM_FULL;
    listen_again(d);
}

static bool is_within(uint64_t now, uint64_t since, uint64_t us)
{
    return now - since <= us * 1000;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct datagram *d = poll->data;
    uint64_t now = uv_hrtime();
    bool is_first = !is_within(now, d->burst_at, DATAGRAM_FAST_US);
    bool is_known = is_within(now, d->known_at, DATAGRAM_KNOWN_US);
    d->counts.wakes++;
    if (!is_first && status == 0 && is_known && d->was_worth && moderate(d))
        return;
    uint64_t got = read_turn(d);
    if (d->closed || d->paused)
        return;
    if (is_first) {
        d->burst_at = now;
        d->burst = 0;
    } else {
        d->burst += got;
    }
    /* libuv stops on EPOLLERR; what it was, the reading has told. */
    if (status < 0)
        listen_again(d);
    else if (d->burst >= DATAGRAM_FAST && got < DATAGRAM_FULL && !is_known)
        (void)moderate(d);
}

/* --- sending --- */

/* Packets of one size, of which the last may be shorter, go as one message. */
static size_t run_of(const struct view *packets, size_t count)
{
    size_t first = packets[0].len;
    size_t total = first;
    size_t n = 1;
    if (first == 0)
        return 1;
    while (n < count && n < SEGMENTS_MAX && packets[n].len > 0 && packets[n].len <= first &&
           total + packets[n].len <= SEGMENTED_MAX) {
        total += packets[n].len;
        if (packets[n++].len < first)
            break;
    }
    return n;
}

struct outgoing {
    struct mmsghdr messages[DATAGRAM_BATCH_MAX];
    struct iovec iov[DATAGRAM_BATCH_MAX];
    size_t packets[DATAGRAM_BATCH_MAX]; /* of each message */
    alignas(struct cmsghdr) uint8_t control[DATAGRAM_BATCH_MAX][CMSG_SPACE(sizeof(uint16_t))];
    size_t count;
};

static void set_segment(struct outgoing *o, size_t index, uint16_t size)
{
    struct msghdr *h = &o->messages[index].msg_hdr;
    memset(o->control[index], 0, sizeof o->control[index]);
    h->msg_control = o->control[index];
    h->msg_controllen = sizeof o->control[index];
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(c), &size, sizeof size);
}

static void pack(struct outgoing *o, const struct view *packets, size_t count, bool segment)
{
    o->count = 0;
    for (size_t i = 0; i < count;) {
        size_t n = segment ? run_of(packets + i, count - i) : 1;
        for (size_t k = i; k < i + n; k++)
            o->iov[k] = (struct iovec){(void *)packets[k].ptr, packets[k].len};
        o->messages[o->count] =
            (struct mmsghdr){.msg_hdr = {.msg_iov = &o->iov[i], .msg_iovlen = n}};
        if (n > 1)
            set_segment(o, o->count, (uint16_t)packets[i].len);
        o->packets[o->count++] = n;
        i += n;
    }
}

static void count_sent(struct datagram *d, const struct view *packets, size_t n)
{
    d->counts.packets_out += n;
    for (size_t i = 0; i < n; i++)
        d->counts.bytes_out += packets[i].len;
}

/* An ICMP message that came since is told by the next send, which does not send then. */
static bool is_of_before(struct datagram *d, int number)
{
    if (number != ECONNREFUSED && number != EHOSTUNREACH && number != ENETUNREACH)
        return false;
    bool first = d->pending_errno == 0;
    d->pending_errno = number;
    timer_after(&d->report, 0);
    return first;
}

/*
 * Sends from the front as far as it goes. Returns how many packets are dealt with: sent, or one
 * that cannot be; less than `count` means that what comes next has to be packed anew.
 */
static size_t send_packed(struct datagram *d, const struct outgoing *o, const struct view *packets,
                          size_t count)
{
    size_t done = 0;
    for (size_t at = 0; at < o->count;) {
        int n = sendmmsg(d->fd, (struct mmsghdr *)o->messages + at, (unsigned)(o->count - at),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        for (int i = 0; i < n; i++, at++) {
            count_sent(d, packets + done, o->packets[at]);
            done += o->packets[at];
        }
        if (n > 0)
            continue;
        int number = errno;
        if (number == EINTR || is_of_before(d, number))
            continue;
        if (would_block(number)) {
            d->counts.dropped += count - done;
            return count;
        }
        if (o->packets[at] > 1) {
            /* The device or the path does not take it so: one by one from here. */
            d->segment = false;
            return done;
        }
        d->counts.dropped++;
        done++;
        at++;
    }
    return done;
}

void datagram_send(struct datagram *d, const struct view *packets, size_t count)
{
    struct outgoing o;
    while (count > 0) {
        size_t n = count < DATAGRAM_BATCH_MAX ? count : DATAGRAM_BATCH_MAX;
        pack(&o, packets, n, d->segment);
        n = send_packed(d, &o, packets, n);
        packets += n;
        count -= n;
    }
}

/* --- the owner's side --- */

static enum err connect_socket(const struct address *peer, int *out_fd, const char **out_why)
{
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(peer, &sa);
    int fd = len ? socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0) {
        *out_why = "no socket for this address";
        return ERR_IO;
    }
    if (connect(fd, (const struct sockaddr *)&sa, len) == 0) {
        *out_fd = fd;
        return OK;
    }
    enum err e = errno_err(errno);
    *out_why = e == ERR_UNAVAILABLE ? "there is no way to this address" : "connect failed";
    (void)close(fd);
    return e;
}

enum err datagram_open(struct loop *l, const struct address *peer,
                       const struct datagram_handler *handler, void *ctx, struct datagram **out,
                       const char **out_why)
{
    int fd = -1;
    int on = 1;
    TRY(connect_socket(peer, &fd, out_why));
    struct datagram *d = mem_zalloc(sizeof *d);
    *d = (struct datagram){
        .loop = l, .fd = fd, .peer = *peer, .handler = *handler, .ctx = ctx, .segment = true};
    /* Where it is not known, datagrams come one by one. */
    (void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    timer_init(&d->report, l, on_report, d);
    tick_init(&d->tick, l, on_tick, d);
    CHECK(uv_poll_init(&l->uv, &d->poll, fd) == 0);
    d->poll.data = d;
    listen_again(d);
    *out = d;
    return OK;
}

void datagram_without_offload(struct datagram *d)
{
    int off = 0;
    (void)setsockopt(d->fd, IPPROTO_UDP, UDP_GRO, &off, sizeof off);
    d->segment = false;
}

void datagram_pause(struct datagram *d)
{
    d->paused = true;
    tick_clear(&d->tick);
    (void)uv_poll_stop(&d->poll);
}

void datagram_resume(struct datagram *d)
{
    if (!d->paused)
        return;
    d->paused = false;
    listen_again(d);
}

bool datagram_is_moderated(const struct datagram *d)
{
    return tick_is_set(&d->tick);
}

const struct datagram_counts *datagram_counts(const struct datagram *d)
{
    return &d->counts;
}

const struct address *datagram_peer(const struct datagram *d)
{
    return &d->peer;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct datagram *d = handle->data;
    (void)close(d->fd);
    mem_free(d);
}

void datagram_close(struct datagram *d)
{
    if (!d)
        return;
    CHECK(!d->closed);
    d->closed = true;
    tick_clear(&d->tick);
    timer_fini(&d->report);
    (void)uv_poll_stop(&d->poll);
    uv_close((uv_handle_t *)&d->poll, on_poll_closed);
}
