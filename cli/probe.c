#include "cli/probe.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/rng.h"
#include "common/io/loop.h"
#include "proto/postern/records.pb-c.h"

enum { PROBE_ID_LEN = 16 };

static char *draw_id(void)
{
    struct rng rng = rng_system();
    uint8_t random[PROBE_ID_LEN];
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, 2 * sizeof random);
    rng_fill(&rng, random, sizeof random);
    IGNORE(text_hex(view_of(random, sizeof random), &hex), "fits");
    return buf_to_str(&hex);
}

static enum err put(struct client *c, const char *id, const struct probe_ask *ask)
{
    Google__Protobuf__Timestamp now = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Postern__ProbeRequest m = POSTERN__PROBE_REQUEST__INIT;
    now.seconds = (int64_t)(loop_wall_ms() / 1000);
    m.kind = (char *)(uintptr_t)ask->kind;
    m.route = (char *)(uintptr_t)ask->route;
    m.login = (char *)(uintptr_t)ask->login;
    m.state = (char *)(uintptr_t) "new";
    m.by = (char *)(uintptr_t)client_name(c);
    m.created_at = &now;
    const struct record_write write = {&postern__probe_request__descriptor, id, &m.base,
                                       RECORDS_ABSENT};
    return client_put(c, &write, 1);
}

enum err probe_run(struct client *c, const struct probe_ask *ask, struct json **out)
{
    AUTO_FREE char *id = draw_id();
    TRY(put(c, id, ask));
    for (int waited = 0;; waited += PROBE_POLL_MS) {
        AUTO(json_free_ptr) struct json *record = NULL;
        client_sleep(c, PROBE_POLL_MS);
        enum err e = client_get(c, &postern__probe_request__descriptor, id, &record, NULL);
        if (e == ERR_NOT_FOUND)
            (void)cli_fail("the request is gone: the databroker was restarted; try again");
        TRY(e);
        struct view state = json_get_str(record, "state");
        if (view_eq(state, VIEW("done"))) {
            *out = record;
            record = NULL;
            return OK;
        }
        if (view_eq(state, VIEW("new")) && waited >= PROBE_TAKE_MS) {
            (void)cli_fail("no authorize has taken the request: see that postern-authorize runs "
                           "(postern config status)");
            return ERR_TIMEOUT;
        }
        if (waited >= PROBE_WAIT_MS) {
            (void)cli_fail("no answer came: see the logs of authorize and proxy");
            return ERR_TIMEOUT;
        }
    }
}
