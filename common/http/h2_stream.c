#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/h2_state.h"

static struct h2_stream **bucket_of(const struct h2 *h, uint32_t id)
{
    return (struct h2_stream **)&h->buckets[(id >> 1) % H2_BUCKETS];
}

struct h2_stream *h2_stream_new(struct h2 *h, uint32_t id)
{
    struct h2_stream *s = mem_zalloc(sizeof *s);
    struct h2_stream **bucket = bucket_of(h, id);
    s->id = id;
    s->next = *bucket;
    *bucket = s;
    s->head.fields = &s->fields;
    buf_init(&s->queue, H2_STREAM_OUTPUT_MAX);
    h->count++;
    return s;
}

struct h2_stream *h2_find(const struct h2 *h, uint32_t id)
{
    struct h2_stream *s = *bucket_of(h, id);
    while (s && s->id != id)
        s = s->next;
    return s && !s->dead ? s : NULL;
}

void h2_stream_kill(struct h2 *h, struct h2_stream *s)
{
    if (s->dead)
        return;
    s->dead = true;
    s->owner = NULL;
    h->count--;
}

void h2_stream_closed(struct h2 *h, struct h2_stream *s, uint32_t code)
{
    struct h2_stream **link = bucket_of(h, s->id);
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    s->next = h->closed;
    h->closed = s;
    s->is_closed = true;
    /* What nobody will take any more does not narrow the connection's window. */
    if (s->unconsumed)
        (void)nghttp2_session_consume_connection(h->session, s->unconsumed);
    s->unconsumed = 0;
    buf_fini(&s->queue);
    if (s->dead)
        return;
    h->count--;
    bool is_whole = s->end_received && s->end_sent && !code;
    if (!is_whole && s->told)
        h2_push(h, H2_RESET, s, code);
}

static void stream_free(struct h2_stream *s)
{
    fields_fini(&s->pseudo);
    fields_fini(&s->fields);
    buf_fini(&s->queue);
    mem_free(s);
}

static void free_chain(struct h2_stream **first)
{
    while (*first) {
        struct h2_stream *s = *first;
        *first = s->next;
        stream_free(s);
    }
}

void h2_bury(struct h2 *h)
{
    free_chain(&h->closed);
}

void h2_streams_free(struct h2 *h)
{
    free_chain(&h->closed);
    for (size_t i = 0; i < H2_BUCKETS; i++)
        free_chain(&h->buckets[i]);
    mem_free(h->due);
}

/* --- events --- */

/* Frames are read one at a time and only while nothing is due, so few are: what one frame tells,
 * and a RESET or a DRAIN per stream. */
static struct h2_due *due_new(struct h2 *h)
{
    if (h->due_first == h->due_count)
        h->due_first = h->due_count = 0;
    if (h->due_count == h->due_cap) {
        h->due_cap = h->due_cap ? h->due_cap * 2 : 8;
        h->due = mem_realloc(h->due, h->due_cap * sizeof *h->due);
    }
    return &h->due[h->due_count++];
}

void h2_push(struct h2 *h, enum h2_event_type type, struct h2_stream *s, uint32_t code)
{
    *due_new(h) = (struct h2_due){.type = type, .stream = s, .code = code};
}

void h2_push_body(struct h2 *h, struct h2_stream *s, struct view bytes)
{
    *due_new(h) = (struct h2_due){.type = H2_BODY,
                                  .stream = s,
                                  .offset = (size_t)(bytes.ptr - buf_view(&h->in).ptr),
                                  .len = bytes.len};
}

bool h2_pop(struct h2 *h, struct h2_event *out)
{
    while (h->due_first < h->due_count) {
        const struct h2_due *d = &h->due[h->due_first++];
        struct h2_stream *s = d->stream;
        if (s && (s->dead || (s->is_closed && d->type == H2_DRAIN)))
            continue;
        *out = (struct h2_event){.type = d->type,
                                 .stream = s ? s->id : 0,
                                 .owner = s ? s->owner : NULL,
                                 .code = d->code};
        if (d->type == H2_BODY)
            out->bytes = view_take(view_skip(buf_view(&h->in), d->offset), d->len);
        if (d->type == H2_HEAD) {
            out->head = &s->head;
            h->shown_head = s;
        }
        if (d->type == H2_FAILED)
            out->text = h->failure;
        return true;
    }
    return false;
}
