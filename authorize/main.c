#include "authorize/authorize.h"
#include "authorize/gauges.h"

int main(int argc, char **argv)
{
    struct authorize a = {0};
    const struct daemon_spec spec = {
        .service = CONFIG_AUTHORIZE,
        .ctx = &a,
        .validate = authorize_validate,
        .start = authorize_start,
        .reload = authorize_reload,
        .drain = authorize_drain,
        .stop = authorize_stop,
        .fini = authorize_fini,
        .collect = gauges_collect,
    };
    return daemon_run(argc, argv, &spec);
}
