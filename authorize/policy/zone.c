#include "authorize/policy/zone.h"

#include "authorize/policy/zone_rule.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/wire.h"

enum {
    TRANSITIONS_MAX = 8192,
    TYPES_MAX = 256,
    TYPE_LEN = 6,
    OFFSET_MAX_S = 26 * 3600, /* RFC 8536 §3.2 */
    RULE_MAX = 256,
};

struct transition {
    int64_t at_s;
    int32_t offset;
};

struct zone {
    int32_t first; /* before the first transition */
    struct transition *transitions;
    size_t count;
    bool has_rule; /* from the last one on */
    struct zone_rule rule;
};

/* RFC 8536 §3.1. */
struct header {
    uint8_t version;
    uint32_t is_ut_count;
    uint32_t is_std_count;
    uint32_t leap_count;
    uint32_t time_count;
    uint32_t type_count;
    uint32_t char_count;
};

static enum err read_header(struct reader *r, struct header *h)
{
    if (!view_eq_str(read_bytes(r, 4), "TZif"))
        return ERR_SYNTAX;
    h->version = read_u8(r);
    (void)read_bytes(r, 15);
    h->is_ut_count = read_u32(r);
    h->is_std_count = read_u32(r);
    h->leap_count = read_u32(r);
    h->time_count = read_u32(r);
    h->type_count = read_u32(r);
    h->char_count = read_u32(r);
    if (r->failed)
        return ERR_SYNTAX;
    if (h->time_count > TRANSITIONS_MAX || h->type_count > TYPES_MAX)
        return ERR_LIMIT;
    return h->type_count > 0 ? OK : ERR_SYNTAX;
}

static size_t rest_len(const struct header *h, size_t time_size)
{
    return (size_t)h->char_count + h->leap_count * (time_size + 4) + h->is_std_count +
           h->is_ut_count;
}

static enum err read_offsets(struct view types, size_t count, int32_t *out)
{
    struct reader r = reader_of(types);
    for (size_t i = 0; i < count; i++) {
        out[i] = (int32_t)read_u32(&r);
        (void)read_bytes(&r, TYPE_LEN - 4);
        if (out[i] < -OFFSET_MAX_S || out[i] > OFFSET_MAX_S)
            return ERR_SYNTAX;
    }
    return OK;
}

/* The data block of version 1 (time_size 4) or of the later ones (8). */
static enum err read_block(struct reader *r, const struct header *h, size_t time_size,
                           struct zone *z)
{
    int32_t offsets[TYPES_MAX] = {0};
    struct view times = read_bytes(r, h->time_count * time_size);
    struct view indexes = read_bytes(r, h->time_count);
    struct view types = read_bytes(r, (size_t)h->type_count * TYPE_LEN);
    (void)read_bytes(r, rest_len(h, time_size));
    if (r->failed)
        return ERR_SYNTAX;
    TRY(read_offsets(types, h->type_count, offsets));
    struct reader at = reader_of(times);
    z->first = offsets[0];
    z->transitions = mem_zalloc_array(h->time_count, sizeof *z->transitions);
    for (size_t i = 0; i < h->time_count; i++) {
        struct transition *t = &z->transitions[i];
        t->at_s = time_size == 8 ? (int64_t)read_u64(&at) : (int32_t)read_u32(&at);
        if (indexes.ptr[i] >= h->type_count || (i > 0 && t->at_s <= t[-1].at_s))
            return ERR_SYNTAX;
        t->offset = offsets[indexes.ptr[i]];
        z->count++;
    }
    return OK;
}

/* §3.3: "\n", a rule or nothing, "\n". */
static enum err read_footer(struct reader *r, struct zone *z)
{
    struct view rest = read_rest(r);
    if (rest.len == 0 || rest.ptr[0] != '\n')
        return ERR_SYNTAX;
    rest = view_skip(rest, 1);
    ptrdiff_t end = view_find(rest, '\n');
    if (end < 0 || end > RULE_MAX)
        return ERR_SYNTAX;
    z->has_rule = end > 0;
    return end > 0 ? zone_rule_parse(view_take(rest, (size_t)end), &z->rule) : OK;
}

static enum err parse(struct reader *r, struct zone *z)
{
    struct header h;
    TRY(read_header(r, &h));
    if (h.version == 0)
        return read_block(r, &h, 4, z);
    /* The block of version 1 is skipped: the same follows with times of 64 bits. */
    (void)read_bytes(r,
                     (size_t)h.time_count * 5 + (size_t)h.type_count * TYPE_LEN + rest_len(&h, 4));
    TRY(read_header(r, &h));
    TRY(read_block(r, &h, 8, z));
    return read_footer(r, z);
}

enum err zone_parse(struct view tzif, struct zone **out)
{
    if (tzif.len > ZONE_FILE_MAX)
        return ERR_LIMIT;
    struct zone *z = mem_zalloc(sizeof *z);
    struct reader r = reader_of(tzif);
    enum err e = parse(&r, z);
    if (e == OK)
        *out = z;
    else
        zone_free(z);
    return e;
}

void zone_free(struct zone *z)
{
    if (!z)
        return;
    mem_free(z->transitions);
    mem_free(z);
}

int32_t zone_offset(const struct zone *z, int64_t now_s, int64_t *out_until_s)
{
    *out_until_s = INT64_MAX;
    if (!z)
        return 0;
    size_t low = 0;
    size_t high = z->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (z->transitions[mid].at_s <= now_s)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == z->count && z->has_rule)
        return zone_rule_offset(&z->rule, now_s, out_until_s);
    if (low < z->count)
        *out_until_s = z->transitions[low].at_s;
    return low > 0 ? z->transitions[low - 1].offset : z->first;
}

/* --- by name --- */

void zones_fini(struct zones *zones)
{
    for (struct map_iter i = map_iter(&zones->by_name); map_next(&i);)
        zone_free(i.value);
    map_fini(&zones->by_name);
}

/* A name becomes a path: "Europe/Berlin", and nothing that leads elsewhere. */
static bool is_name(struct view name)
{
    struct view rest = name;
    struct view part;
    if (name.len == 0 || name.len > ZONE_NAME_MAX)
        return false;
    while (view_next(&rest, '/', &part)) {
        if (part.len == 0)
            return false;
        for (size_t i = 0; i < part.len; i++) {
            uint8_t c = part.ptr[i];
            if (!text_is_alpha(c) && !text_is_digit(c) && c != '_' && c != '-' && c != '+')
                return false;
        }
    }
    return true;
}

enum err zones_get(struct zones *zones, struct view name, const struct zone **out)
{
    if (view_eq_str(name, "UTC") || view_eq_str(name, "Etc/UTC")) {
        *out = NULL;
        return OK;
    }
    if (!zones || !zones->read || !is_name(name))
        return ERR_NOT_FOUND;
    struct zone *z = map_get(&zones->by_name, name);
    if (!z) {
        AUTO(buf_fini) struct buf bytes;
        AUTO_FREE char *text = mem_strndup(name.ptr, name.len);
        buf_init(&bytes, ZONE_FILE_MAX);
        TRY(zones->read(zones->ctx, text, &bytes));
        TRY(zone_parse(buf_view(&bytes), &z));
        map_put(&zones->by_name, name, z);
    }
    *out = z;
    return OK;
}
