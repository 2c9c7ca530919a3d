#include "databroker/presence.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/timer.h"
#include "common/rpc/instance.h"

struct presence {
    struct databroker *databroker;
    struct timer timer;
    char *type;
    struct buf written; /* packed, as of the last time */
    uint64_t written_at;
    uint64_t started_ms;
};

struct presence_put {
    struct engine_put put;
    uint64_t expected;
    uint64_t version;
};

/* A record that could not be written is written again when it is due. */
static void on_done(struct engine_job *job)
{
    struct presence_put *p = CONTAINER_OF(job, struct presence_put, put.base);
    record_page_fini(&p->put.rows);
    mem_free(p);
}

static void write_record(struct presence *p, struct view packed)
{
    struct databroker *d = p->databroker;
    struct presence_put *job = mem_zalloc(sizeof *job);
    const struct record_row row = {
        .type = p->type, .id = daemon_instance_id(d->daemon), .data = packed};
    record_page_add(&job->put.rows, &row);
    job->expected = STORE_ANY;
    job->put.base.done = on_done;
    job->put.put = (struct store_put){.rows = job->put.rows.items,
                                      .expected = &job->expected,
                                      .count = 1,
                                      .versions = &job->version};
    if (engine_put(d->broker.engine, &job->put) != OK)
        on_done(&job->put.base);
}

static void on_tick(void *ctx)
{
    struct presence *p = ctx;
    struct databroker *d = p->databroker;
    const struct config *c = daemon_config(d->daemon);
    uint64_t now = loop_now_ms(d->broker.loop);
    AUTO(buf_fini) struct buf problem;
    AUTO(buf_fini) struct buf packed;
    buf_init(&problem, INSTANCE_TEXT_MAX);
    buf_init(&packed, INSTANCE_PACKED_MAX);
    timer_after(&p->timer, INSTANCE_TICK_MS);
    health_problem(daemon_health(d->daemon), &problem);
    AUTO_FREE char *text = buf_to_str(&problem);
    const struct instance self = {.service = "databroker",
                                  .build = daemon_version(),
                                  .config_hash = c->hash,
                                  .address = c->internal_listen,
                                  .problem = text,
                                  .started_ms = p->started_ms};
    if (instance_pack(&self, daemon_instance_id(d->daemon), &packed) != OK)
        return;
    if (view_eq(buf_view(&packed), buf_view(&p->written)) &&
        now - p->written_at < INSTANCE_REFRESH_MS)
        return;
    p->written_at = now;
    buf_clear(&p->written);
    IGNORE(buf_append(&p->written, buf_view(&packed)), "of the same size");
    write_record(p, buf_view(&packed));
}

struct presence *presence_new(struct databroker *d)
{
    struct presence *p = mem_zalloc(sizeof *p);
    *p = (struct presence){.databroker = d, .type = instance_type(), .started_ms = loop_wall_ms()};
    buf_init(&p->written, INSTANCE_PACKED_MAX);
    timer_init(&p->timer, d->broker.loop, on_tick, p);
    timer_after(&p->timer, 0);
    return p;
}

void presence_free(struct presence *p)
{
    if (!p)
        return;
    timer_fini(&p->timer);
    buf_fini(&p->written);
    mem_free(p->type);
    mem_free(p);
}
