#include "common/config/keys.h"

#include "common/base/check.h"
#include "common/config/config.h"

static const struct config_key table[] = {
#define K(key, type, services, field, initial, flags, choices, what, note)                         \
    {#key,       CONFIG_TYPE_##type,                                                               \
     (services), offsetof(struct config, field),                                                   \
     (initial),  (flags),                                                                          \
     choices,    (what),                                                                           \
     (note)},
#include "common/config/keys.def"
#undef K
};

const char *config_service_name(enum config_service s)
{
    switch (s) {
    case CONFIG_AUTHENTICATE:
        return "authenticate";
    case CONFIG_AUTHORIZE:
        return "authorize";
    case CONFIG_PROXY:
        return "proxy";
    case CONFIG_DATABROKER:
        return "databroker";
    case CONFIG_CLI:
        return "cli";
    case CONFIG_DAEMONS:
    case CONFIG_ALL:
        break;
    }
    return "all";
}

const struct config_key *config_keys(size_t *out_count)
{
    *out_count = ARRAY_LEN(table);
    return table;
}

const struct config_key *config_key_find(const char *name, bool *out_file_form)
{
    struct view v = view_str(name);
    bool file = view_ends_with(v, VIEW("_file"));
    struct view stem = file ? view_take(v, v.len - 5) : v;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct config_key *k = &table[i];
        if (view_eq_str(v, k->name)) {
            *out_file_form = k->flags & CONFIG_FILE_ONLY;
            return k;
        }
        if (file && (k->flags & CONFIG_FILE_FORM) && view_eq_str(stem, k->name)) {
            *out_file_form = true;
            return k;
        }
    }
    return NULL;
}

enum { OF_SSH = 1, OF_TUNNEL = 2, OF_ALL = OF_SSH | OF_TUNNEL };

struct unsupported {
    const char *name;
    unsigned kinds; /* of routes */
    bool refused;
    const char *why;
};

#define IGNORED false
#define REFUSED true
#define U(name, refused, why) {name, OF_ALL, refused, why},
static const struct unsupported global[] = {
#include "common/config/unsupported.def"
};
#undef U
#define U(name, kinds, refused, why) {name, kinds, refused, why},
static const struct unsupported of_routes[] = {
#include "common/config/route_unsupported.def"
};
#undef U

static const char *find(const struct unsupported *rows, size_t count, const char *name,
                        unsigned kind, bool *out_refused)
{
    for (size_t i = 0; i < count; i++) {
        if ((rows[i].kinds & kind) && strcmp(rows[i].name, name) == 0) {
            *out_refused = rows[i].refused;
            return rows[i].why;
        }
    }
    return NULL;
}

const char *config_unsupported(const char *name, bool *out_refused)
{
    return find(global, ARRAY_LEN(global), name, OF_ALL, out_refused);
}

const char *route_unsupported(const char *name, bool tunnel, bool *out_refused)
{
    return find(of_routes, ARRAY_LEN(of_routes), name, tunnel ? OF_TUNNEL : OF_SSH, out_refused);
}

enum { NAME_MAX_COMPARED = 63 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein; both names are at most NAME_MAX_COMPARED long. */
static size_t edit_distance(struct view a, struct view b)
{
    size_t row[NAME_MAX_COMPARED + 1];
    for (size_t k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t above = row[k];
            row[k] = min3(above + 1, row[k - 1] + 1, diagonal + (a.ptr[i - 1] != b.ptr[k - 1]));
            diagonal = above;
        }
    }
    return row[b.len];
}

void closest_offer(struct closest *c, const char *name, const char *candidate)
{
    struct view a = view_str(name), b = view_str(candidate);
    if (a.len > NAME_MAX_COMPARED || b.len > NAME_MAX_COMPARED)
        return;
    size_t d = edit_distance(a, b);
    size_t near = a.len < 6 ? 1 : 2;
    if (d <= near && (!c->best || d < c->distance))
        *c = (struct closest){candidate, d};
}

const char *config_key_closest(const char *name)
{
    struct closest c = {0};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        closest_offer(&c, name, table[i].name);
        if (!(table[i].flags & CONFIG_FILE_FORM))
            continue;
        /* A slip in NAME_file is one in NAME. */
        struct view v = view_str(name);
        if (view_ends_with(v, VIEW("_file")) && v.len - 5 <= NAME_MAX_COMPARED) {
            char stem[NAME_MAX_COMPARED + 1] = {0};
            memcpy(stem, name, v.len - 5);
            closest_offer(&c, stem, table[i].name);
        }
    }
    return c.best;
}
