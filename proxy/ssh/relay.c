#include "proxy/ssh/relay.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/relay_internal.h"

enum { RELAY_TEXT_MAX = 1024 };

void relay_init(struct relay *r, const struct relay_config *config)
{
    *r = (struct relay){.config = *config};
    if (!r->config.max_channels)
        r->config.max_channels = RELAY_CHANNELS_MAX;
    if (!r->config.max_requests)
        r->config.max_requests = RELAY_REQUESTS_MAX;
    buf_init(&r->line, RELAY_LINE_MAX);
    buf_init(&r->text, RELAY_TEXT_MAX);
}

void relay_fini(struct relay *r)
{
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < r->owed_count[side]; i++)
            relay_answer_fini(&r->owed[side][i]);
        mem_free(r->owed[side]);
    }
    mem_free(r->channels);
    buf_fini(&r->line);
    buf_fini(&r->text);
}

void relay_fault(struct relay *r, enum relay_side side, enum err e, const char *text)
{
    if (r->over)
        return;
    r->over = true;
    r->disconnect_pending = true;
    r->fault_side = side;
    if (r->cut) {
        r->fault_side = RELAY_CLIENT; /* it is over anyway, for the reason that it was cut for */
        return;
    }
    r->reason = msg_reason_of(e);
    buf_clear(&r->text);
    IGNORE(buf_append(&r->text, view_take(view_str(text), RELAY_TEXT_MAX)), "fits");
}

void relay_send(struct relay *r, enum relay_side to, struct view payload)
{
    enum err e = sink_send(&r->config.out[to], payload);
    /* A transport that has ended tells so itself. */
    if (e != OK && e != ERR_CLOSED)
        relay_fault(r, to, e, e == ERR_LIMIT ? "the peer does not read" : err_text(e));
}

size_t relay_channels(const struct relay *r)
{
    return r->channel_count;
}

typedef void (*message_fn)(struct relay *r, enum relay_side from, uint8_t *p, size_t len);

static const struct {
    uint8_t type;
    message_fn handle;
} handlers[] = {
    {MSG_CHANNEL_DATA, relay_on_data},
    {MSG_CHANNEL_WINDOW_ADJUST, relay_on_window_adjust},
    {MSG_CHANNEL_EXTENDED_DATA, relay_on_data},
    {MSG_CHANNEL_OPEN, relay_on_open},
    {MSG_CHANNEL_OPEN_CONFIRMATION, relay_on_open_confirmation},
    {MSG_CHANNEL_OPEN_FAILURE, relay_on_open_failure},
    {MSG_CHANNEL_EOF, relay_on_eof},
    {MSG_CHANNEL_CLOSE, relay_on_close},
    {MSG_CHANNEL_REQUEST, relay_on_channel_request},
    {MSG_CHANNEL_SUCCESS, relay_on_channel_reply},
    {MSG_CHANNEL_FAILURE, relay_on_channel_reply},
    {MSG_GLOBAL_REQUEST, relay_on_global_request},
    {MSG_REQUEST_SUCCESS, relay_on_global_reply},
    {MSG_REQUEST_FAILURE, relay_on_global_reply},
};

static void feed_other(struct relay *r, enum relay_side from, uint8_t type)
{
    /* RFC 4252 §5.3: requests behind the successful one. CVE-2018-10933: nothing else of it. */
    if (type == MSG_USERAUTH_REQUEST && from == RELAY_CLIENT)
        return;
    relay_fault(r, from, ERR_PROTOCOL, msg_name(type));
}

enum err relay_feed(struct relay *r, enum relay_side from, uint8_t *payload, size_t len)
{
    uint8_t type = len ? payload[0] : 0;
    if (r->over || (r->cut && (from == RELAY_TARGET || type != MSG_CHANNEL_CLOSE)))
        return OK;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (handlers[i].type == type) {
            handlers[i].handle(r, from, payload, len);
            return OK;
        }
    }
    if (type == MSG_SERVICE_REQUEST || type == MSG_SERVICE_ACCEPT ||
        (type >= MSG_USERAUTH_REQUEST && type < MSG_GLOBAL_REQUEST)) {
        feed_other(r, from, type);
        return OK;
    }
    return ERR_UNSUPPORTED;
}

bool relay_next(struct relay *r, struct relay_event *out)
{
    if (r->disconnect_pending) {
        r->disconnect_pending = false;
        *out = (struct relay_event){.type = RELAY_DISCONNECT,
                                    .side = r->fault_side,
                                    .cut = r->cut,
                                    .reason = r->reason,
                                    .text = buf_view(&r->text)};
        return true;
    }
    if (!r->prove_pending || r->over)
        return false;
    r->prove_pending = false;
    *out = (struct relay_event){.type = RELAY_PROVE, .key_count = r->prove_count};
    memcpy(out->keys, r->prove_keys, sizeof out->keys);
    return true;
}
