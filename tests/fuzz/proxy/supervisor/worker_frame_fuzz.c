/* The first byte says in which pieces the rest is fed; bodies are parsed as what they claim. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/metrics.h"
#include "proxy/supervisor/worker_frame.h"
#include "proxy/supervisor/worker_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_metrics(struct view body)
{
    AUTO_FREE struct metrics_cells *cells = mem_zalloc(sizeof *cells);
    IGNORE(metrics_unpack(body, cells), "any outcome is fine");
}

static void parse_body(const struct worker_frame *frame)
{
    struct worker_config *config;
    struct worker_status status;
    struct worker_sign_message sign;
    struct buf signature;
    switch (frame->type) {
    case WORKER_FRAME_CONFIG:
        if (worker_config_parse(frame->body, &config) == OK)
            worker_config_unref(config);
        break;
    case WORKER_FRAME_SIGN_KEX:
    case WORKER_FRAME_SIGN_HOSTKEYS_PROVE:
    case WORKER_FRAME_SIGN_TLS:
        if (worker_sign_parse((uint8_t)frame->type, frame->body, &sign) == OK)
            worker_sign_fini(&sign);
        break;
    case WORKER_FRAME_SIGNED:
        buf_init(&signature, WORKER_FRAME_MAX);
        IGNORE(worker_signed_parse(frame->body, &signature), "any outcome is fine");
        buf_fini(&signature);
        break;
    case WORKER_FRAME_STATUS:
        if (worker_status_parse(frame->body, &status) == OK)
            worker_status_fini(&status);
        break;
    case WORKER_FRAME_METRICS:
        parse_metrics(frame->body);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = data[0] ? data[0] : size;
    struct view rest = view_of(data + 1, size - 1);
    struct worker_frames f;
    worker_frames_init(&f);
    enum err e = ERR_MORE;
    while (rest.len && e == ERR_MORE) {
        struct view part = view_take(view_take(rest, piece), worker_frames_room(&f));
        CHECK(part.len > 0);
        if (worker_frames_feed(&f, part) != OK)
            break;
        rest = view_skip(rest, part.len);
        struct worker_frame frame;
        while ((e = worker_frames_next(&f, &frame)) == OK)
            parse_body(&frame);
    }
    worker_frames_fini(&f);
    return 0;
}
