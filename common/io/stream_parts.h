/* Private to stream*.c. */
#ifndef COMMON_IO_STREAM_PARTS_H
#define COMMON_IO_STREAM_PARTS_H

#include "common/base/buf.h"
#include "common/io/pace.h"
#include "common/io/poller.h"
#include "common/io/stream.h"
#include "common/io/tick.h"
#include "common/io/timer.h"
#include "common/io/tls_session.h"

enum { STREAM_WHY_MAX = 200 };

struct stream {
    struct loop *loop;
    struct poller *poller;
    int fd;
    struct timer deadline;
    struct timer kick;
    struct tick tick; /* set: not polled for what comes */
    struct pace pace;
    uint64_t paced; /* of bytes_in */
    struct tls_session *tls;
    struct stream_handler handler;
    void *ctx;
    struct buf queue;
    size_t queue_low;
    size_t read_max;
    uint64_t paused_in;  /* the loop's turn */
    uint64_t busy_until; /* closing: how long a peer that sends is waited for */
    uint64_t bytes_in;
    uint64_t bytes_out;
    enum tls_want read_want; /* TLS: what reading and writing wait for */
    enum tls_want write_want;
    bool may_have; /* there may be something to read; else the poll tells first */
    bool opened;
    bool told_open;
    bool above_low;
    bool paused;
    bool shut_asked;
    bool shut_sent;
    bool read_ended;
    bool told_end;
    bool told_failure;
    bool in_turn;
    bool closing; /* the owner is gone */
    bool raw;     /* closing, and nothing is sent any more: what comes is dropped as it is */
    bool dropped; /* something, since the linger's last deadline */
    bool dead;    /* freed at the end of this turn */
    enum err write_err;
    enum err failed; /* OK while the connection is usable */
    loop_fn on_closed;
    void *closed_ctx;
    char why[STREAM_WHY_MAX];
};

#endif
