#include "authenticate/server.h"

int main(int argc, char **argv)
{
    struct server s = {0};
    const struct daemon_spec spec = {
        .service = CONFIG_AUTHENTICATE,
        .ctx = &s,
        .validate = server_validate,
        .start = server_start,
        .reload = server_reload,
        .stop = server_stop,
        .fini = server_fini,
    };
    return daemon_run(argc, argv, &spec);
}
