#include "databroker/daemon.h"
#include "databroker/measure.h"

int main(int argc, char **argv)
{
    struct databroker d = {0};
    const struct daemon_spec spec = {
        .service = CONFIG_DATABROKER,
        .ctx = &d,
        .start = databroker_start,
        .reload = databroker_reload,
        .drain = databroker_drain,
        .stop = databroker_stop,
        .fini = databroker_fini,
        .collect = measure_collect,
    };
    return daemon_run(argc, argv, &spec);
}
