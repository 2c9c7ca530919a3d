#include "proxy/worker_metrics.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "common/daemon/process_stats.h"
#include "proxy/ssh_measure.h"

void worker_metrics_answer(struct worker_link *link, struct ssh_service *ssh,
                           struct tunnels *tunnels)
{
    struct process_stats p = process_stats_read();
    metrics_set(METRIC_WORKER_CPU, (int64_t)p.cpu_us);
    metrics_set(METRIC_WORKER_MEMORY, (int64_t)p.memory);
    metrics_set(METRIC_WORKER_FDS, (int64_t)p.fds);
    metrics_set(METRIC_WORKER_FDS_MAX, (int64_t)p.fds_max);
    metrics_set(METRIC_WORKER_STARTED, (int64_t)p.started_ms);
    metrics_set(METRIC_LOG_DROPPED, (int64_t)log_dropped());
    if (ssh)
        ssh_measure(ssh);
    if (tunnels)
        tunnels_measure(tunnels);
    AUTO_FREE struct metrics_cells *cells = mem_zalloc(sizeof *cells);
    AUTO(buf_fini) struct buf body;
    buf_init(&body, WORKER_FRAME_BODY_MAX);
    metrics_collect(cells);
    if (metrics_pack(cells, &body) == OK)
        IGNORE(worker_link_send(link, WORKER_FRAME_METRICS, 0, buf_view(&body)),
               "a supervisor that does not read is gone soon");
}
