#include "authenticate/tokens.h"

#include "common/base/mem.h"
#include "common/crypto/seal.h"
#include "common/json/json.h"

static void wipe(char *text)
{
    if (text)
        mem_wipe(text, strlen(text));
    mem_free(text);
}

void tokens_fini(struct tokens *t)
{
    wipe(t->access_token);
    wipe(t->refresh_token);
    wipe(t->id_token);
    *t = (struct tokens){0};
}

void tokens_of_result(const struct oidc_result *r, const struct tokens *old, struct tokens *out)
{
    bool has_id = r->id_token[0] || !old;
    *out = (struct tokens){
        .access_token = mem_strdup(r->access_token),
        .refresh_token = mem_strdup(r->refresh_token),
        .id_token = mem_strdup(has_id ? r->id_token : old->id_token),
        .access_expires_ms = r->access_expires_at,
        .id_expires_ms = has_id ? r->id_expires_at : 0,
    };
}

static enum err write_json(const struct tokens *t, struct buf *out)
{
    AUTO(json_free_ptr) struct json *o = json_new_object();
    TRY(json_set_str(o, "access_token", view_str(t->access_token)));
    TRY(json_set_str(o, "refresh_token", view_str(t->refresh_token)));
    TRY(json_set_str(o, "id_token", view_str(t->id_token)));
    TRY(json_set_i64(o, "access_expires_at", (int64_t)t->access_expires_ms));
    TRY(json_set_i64(o, "id_expires_at", (int64_t)t->id_expires_ms));
    return json_write(o, JSON_ORDER_INSERTED, out);
}

enum err tokens_seal(const struct tokens *t, const struct secret *key, const char *session_id,
                     const struct rng *rng, struct buf *out)
{
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, TOKENS_MAX - SEAL_OVERHEAD);
    TRY(write_json(t, &text));
    return seal(key, view_str(session_id), buf_view(&text), rng, out);
}

static char *copy(const struct json *o, const char *name)
{
    struct view v = json_get_str(o, name);
    return mem_strndup(v.ptr, v.len);
}

static uint64_t read_time(const struct json *o, const char *name)
{
    int64_t ms;
    return json_get_i64(o, name, &ms) == OK && ms > 0 ? (uint64_t)ms : 0;
}

enum err tokens_unseal(struct view sealed, const struct secret *key, const char *session_id,
                       struct tokens *out)
{
    AUTO(json_free_ptr) struct json *o = NULL;
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, TOKENS_MAX);
    TRY(unseal(key, view_str(session_id), sealed, &text));
    TRY(json_parse(buf_view(&text), &o));
    tokens_fini(out);
    *out = (struct tokens){
        .access_token = copy(o, "access_token"),
        .refresh_token = copy(o, "refresh_token"),
        .id_token = copy(o, "id_token"),
        .access_expires_ms = read_time(o, "access_expires_at"),
        .id_expires_ms = read_time(o, "id_expires_at"),
    };
    return OK;
}

static uint64_t early(uint64_t expires_ms)
{
    return expires_ms > TOKENS_EARLY_MS ? expires_ms - TOKENS_EARLY_MS : 0;
}

uint64_t tokens_refresh_at(const struct tokens *t, uint64_t last_ms)
{
    if (!t->refresh_token || !t->refresh_token[0])
        return TOKENS_NEVER;
    uint64_t at = t->access_expires_ms ? early(t->access_expires_ms) : last_ms + TOKENS_UNKNOWN_MS;
    if (t->id_expires_ms && early(t->id_expires_ms) < at)
        at = early(t->id_expires_ms);
    uint64_t soonest = last_ms + TOKENS_PAUSE_MS;
    return at > soonest ? at : soonest;
}
