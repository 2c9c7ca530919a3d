/* A known_hosts file: parsed, then asked for a host and its keys. */
#include <stdint.h>

#include "authorize/snapshot/known_hosts.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct known_hosts k = {0};
    struct diag d = {0};
    known_hosts_parse(&k, view_of(data, size), (struct diag_place){0}, &d);
    CHECK(d.errors == 0);
    (void)known_hosts_types(&k, "target.test", 22);
    for (size_t i = 0; i < k.count; i++) {
        bool found = known_hosts_has(&k, k.items[i].kind, "web1", 2022, &k.items[i].key);
        if (found && k.items[i].kind == KNOWN_HOSTS_KEY)
            CHECK(known_hosts_types(&k, "web1", 2022) >> k.items[i].key.type & 1);
    }
    known_hosts_fini(&k);
    diag_fini(&d);
    return 0;
}
