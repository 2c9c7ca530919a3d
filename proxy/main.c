#include <string.h>

#include "proxy/supervisor/supervisor.h"
#include "proxy/worker.h"

int main(int argc, char **argv)
{
    /* How the supervisor starts its worker; of no use to anybody else. */
    if (argc == 2 && strcmp(argv[1], "--worker") == 0)
        return worker_main();
    return supervisor_main(argc, argv);
}
