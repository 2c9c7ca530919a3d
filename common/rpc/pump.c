#include "common/rpc/pump.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/codec.h"

/* Messages that follow each other within this time are gathered by the polling thread. */
enum { GATHER_NS = 100000 };

/* True: rpc_wake is to be called, after the lock. */
static bool note_locked(struct pump *p)
{
    if (p->noted)
        return false;
    p->noted = true;
    return rpc_push_locked(p->rpc, &p->note_tag);
}

static void on_note(struct rpc_tag *tag)
{
    struct pump *p = CONTAINER_OF(tag, struct pump, note_tag);
    uv_mutex_lock(&p->rpc->lock);
    p->noted = false;
    uv_mutex_unlock(&p->rpc->lock);
    p->on_note(p);
}

/* p->armed is set. */
static void start_read(struct pump *p)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &p->received};
    grpc_call_error e = grpc_call_start_batch(p->call, &op, 1, &p->recv_tag, NULL);
    CHECK(e == GRPC_CALL_OK);
}

static bool on_received(struct rpc_tag *tag)
{
    struct pump *p = CONTAINER_OF(tag, struct pump, recv_tag);
    struct rpc *rpc = p->rpc;
    uv_mutex_lock(&rpc->lock);
    grpc_byte_buffer *buffer = p->received;
    p->received = NULL;
    bool over = !tag->ok || !buffer || p->in_over;
    if (over) {
        if (buffer)
            grpc_byte_buffer_destroy(buffer);
        p->in_over = true;
    } else {
        p->in[(p->in_head + p->in_count++) % RPC_RECV_QUEUE] = buffer;
    }
    bool again = !over && p->in_count < RPC_RECV_QUEUE;
    p->armed = again;
    bool wake = note_locked(p);
    uv_mutex_unlock(&rpc->lock);
    /* The owner finds the pump idle only after its note and, when armed, after the next message. */
    if (wake)
        rpc_wake(rpc);
    if (again)
        start_read(p);
    return true;
}

static void drop_queue_locked(struct pump *p)
{
    while (p->out_first) {
        struct pump_item *item = p->out_first;
        p->out_first = item->next;
        grpc_byte_buffer_destroy(item->buffer);
        mem_free(item);
    }
    p->out_last = NULL;
    p->out_count = p->out_bytes = 0;
}

/* One is at the head of the queue: it is what start_send sends. */
static void take_next_locked(struct pump *p)
{
    struct pump_item *item = p->out_first;
    p->out_first = item->next;
    if (!p->out_first)
        p->out_last = NULL;
    p->out_count--;
    p->out_bytes -= item->len;
    p->sending = true;
    p->sent = item->buffer;
    /* More is waiting: let the transport gather. */
    p->sent_flags = p->out_first ? GRPC_WRITE_BUFFER_HINT : 0;
    mem_free(item);
}

static grpc_op send_op(struct pump *p)
{
    return (grpc_op){.op = GRPC_OP_SEND_MESSAGE,
                     .flags = p->sent_flags,
                     .data.send_message.send_message = p->sent};
}

static bool has_room(const struct pump *p)
{
    return p->out_count <= RPC_SEND_MESSAGES_MAX / 2 && p->out_bytes <= RPC_SEND_BYTES_MAX / 2;
}

/* Few enough not to hold up for long what comes after. */
static bool is_low(const struct pump *p)
{
    return p->out_count <= RPC_SEND_MESSAGES_MAX / 2 && p->out_bytes < RPC_SEND_PACED_BYTES;
}

static bool is_writable(const struct pump *p)
{
    return (p->starved && has_room(p)) || (p->paced && is_low(p));
}

/* True: the next one is to be sent; then nobody else frees the pump or sends. */
static bool finish_send(struct pump *p)
{
    struct rpc *rpc = p->rpc;
    uv_mutex_lock(&rpc->lock);
    p->sending = false;
    grpc_byte_buffer_destroy(p->sent);
    p->sent = NULL;
    if (!p->send_tag.ok)
        p->dead = true;
    if (p->dead)
        drop_queue_locked(p);
    if (p->out_first)
        take_next_locked(p);
    bool next = p->sending;
    bool wake = false;
    if ((p->asked && !next) || is_writable(p))
        wake = note_locked(p);
    uv_mutex_unlock(&rpc->lock);
    if (wake)
        rpc_wake(rpc);
    return next;
}

static void start_send(struct pump *p)
{
    grpc_op op = send_op(p);
    grpc_call_error e = grpc_call_start_batch(p->call, &op, 1, &p->send_tag, NULL);
    CHECK(e == GRPC_CALL_OK);
}

static bool on_sent(struct rpc_tag *tag)
{
    struct pump *p = CONTAINER_OF(tag, struct pump, send_tag);
    if (finish_send(p))
        start_send(p);
    return true;
}

/* A single message wakes no thread of ours; of a burst the polling thread sends the rest. */
static void send_from_loop(struct pump *p)
{
    if (uv_hrtime() - p->sent_now_at < GATHER_NS) {
        start_send(p);
        return;
    }
    grpc_op op = send_op(p);
    if (!rpc_start_now(p->rpc, p->call, &op, &p->send_tag))
        return;
    p->sent_now_at = uv_hrtime();
    if (finish_send(p))
        start_send(p);
}

void pump_init(struct pump *p, struct rpc *rpc, grpc_call *call, pump_fn fn)
{
    *p = (struct pump){.rpc = rpc, .call = call, .on_note = fn};
    p->recv_tag.on_poll = on_received;
    p->send_tag.on_poll = on_sent;
    p->note_tag.on_loop = on_note;
}

void pump_fini(struct pump *p)
{
    for (; p->in_count; p->in_count--) {
        grpc_byte_buffer_destroy(p->in[p->in_head]);
        p->in_head = (p->in_head + 1) % RPC_RECV_QUEUE;
    }
    drop_queue_locked(p);
}

void pump_receive(struct pump *p)
{
    uv_mutex_lock(&p->rpc->lock);
    p->armed = true;
    uv_mutex_unlock(&p->rpc->lock);
    start_read(p);
}

grpc_byte_buffer *pump_take(struct pump *p)
{
    grpc_byte_buffer *buffer = NULL;
    bool arm = false;
    uv_mutex_lock(&p->rpc->lock);
    if (p->in_count) {
        buffer = p->in[p->in_head];
        p->in_head = (p->in_head + 1) % RPC_RECV_QUEUE;
        p->in_count--;
        arm = !p->armed && !p->in_over && p->in_count <= RPC_RECV_QUEUE / 2;
        p->armed = p->armed || arm;
    }
    uv_mutex_unlock(&p->rpc->lock);
    if (arm)
        start_read(p);
    return buffer;
}

bool pump_is_over(struct pump *p)
{
    uv_mutex_lock(&p->rpc->lock);
    bool over = p->in_over && p->in_count == 0;
    uv_mutex_unlock(&p->rpc->lock);
    return over;
}

enum err pump_push(struct pump *p, const ProtobufCMessage *message)
{
    grpc_byte_buffer *buffer;
    TRY(codec_pack(message, &buffer));
    size_t len = grpc_byte_buffer_length(buffer);
    enum err e = OK;
    bool start = false;
    uv_mutex_lock(&p->rpc->lock);
    if (p->dead)
        e = ERR_CLOSED;
    else if (p->out_count >= RPC_SEND_MESSAGES_MAX || p->out_bytes + len > RPC_SEND_BYTES_MAX)
        e = ERR_BUSY;
    if (e == ERR_BUSY)
        p->starved = true;
    if (e == OK) {
        struct pump_item *item = mem_zalloc(sizeof(*item));
        *item = (struct pump_item){.buffer = buffer, .len = len};
        if (p->out_last)
            p->out_last->next = item;
        else
            p->out_first = item;
        p->out_last = item;
        p->out_count++;
        p->out_bytes += len;
        start = !p->sending;
        if (start)
            take_next_locked(p);
    }
    uv_mutex_unlock(&p->rpc->lock);
    if (start)
        send_from_loop(p);
    if (e != OK)
        grpc_byte_buffer_destroy(buffer);
    return e;
}

bool pump_take_writable(struct pump *p)
{
    uv_mutex_lock(&p->rpc->lock);
    bool writable = !p->dead && is_writable(p);
    p->starved = p->starved && !has_room(p);
    p->paced = p->paced && !is_low(p);
    uv_mutex_unlock(&p->rpc->lock);
    return writable;
}

bool pump_has_room(struct pump *p)
{
    uv_mutex_lock(&p->rpc->lock);
    bool low = !p->dead && is_low(p);
    p->paced = !low;
    uv_mutex_unlock(&p->rpc->lock);
    return low;
}

bool pump_is_drained(struct pump *p)
{
    uv_mutex_lock(&p->rpc->lock);
    bool drained = !p->sending && !p->out_first;
    p->asked = p->asked || !drained;
    uv_mutex_unlock(&p->rpc->lock);
    return drained;
}

void pump_stop(struct pump *p)
{
    uv_mutex_lock(&p->rpc->lock);
    p->dead = true;
    p->in_over = true;
    drop_queue_locked(p);
    for (; p->in_count; p->in_count--) {
        grpc_byte_buffer_destroy(p->in[p->in_head]);
        p->in_head = (p->in_head + 1) % RPC_RECV_QUEUE;
    }
    uv_mutex_unlock(&p->rpc->lock);
}

bool pump_is_idle(struct pump *p)
{
    uv_mutex_lock(&p->rpc->lock);
    bool idle = !p->armed && !p->sending && !p->noted;
    p->asked = p->asked || !idle;
    uv_mutex_unlock(&p->rpc->lock);
    return idle;
}
