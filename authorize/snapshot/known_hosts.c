#include "authorize/snapshot/known_hosts.h"

#include "common/base/mem.h"
#include "common/base/text.h"

static const char key_name[] = "ssh_known_hosts_file";

static struct view next_word(struct view *rest)
{
    *rest = view_trim(*rest);
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '\t')
        n++;
    struct view word = view_take(*rest, n);
    *rest = view_skip(*rest, n);
    return word;
}

static void parse_line(struct known_hosts *k, struct view line, unsigned number,
                       struct diag_place at, struct diag *d)
{
    enum known_hosts_kind kind = KNOWN_HOSTS_KEY;
    struct view names = next_word(&line);
    if (names.len && names.ptr[0] == '@') {
        if (view_eq(names, VIEW("@cert-authority"))) {
            kind = KNOWN_HOSTS_CA;
        } else if (view_eq(names, VIEW("@revoked"))) {
            kind = KNOWN_HOSTS_REVOKED;
        } else {
            diag_warn(d, at, key_name, "line %u: unknown marker, the line is ignored", number);
            return;
        }
        names = next_word(&line);
    }
    if (view_starts_with(names, VIEW("|"))) {
        diag_warn(d, at, key_name, "line %u: hashed names are not supported, the line is ignored",
                  number);
        return;
    }
    struct public_key key;
    enum err e = public_key_parse_line(&key, line, NULL);
    if (e != OK) {
        diag_warn(d, at, key_name, "line %u: %s, the line is ignored", number, err_text(e));
        return;
    }
    k->items = mem_realloc(k->items, (k->count + 1) * sizeof *k->items);
    k->items[k->count++] = (struct known_host){kind, mem_strndup(names.ptr, names.len), key};
}

void known_hosts_parse(struct known_hosts *k, struct view text, struct diag_place at,
                       struct diag *d)
{
    struct view line;
    unsigned number = 0;
    while (view_next(&text, '\n', &line)) {
        number++;
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        line = view_trim(line);
        if (line.len && line.ptr[0] != '#')
            parse_line(k, line, number, at, d);
    }
}

void known_hosts_fini(struct known_hosts *k)
{
    for (size_t i = 0; i < k->count; i++) {
        mem_free(k->items[i].patterns);
        public_key_fini(&k->items[i].key);
    }
    mem_free(k->items);
    *k = (struct known_hosts){0};
}

/* Iterative, so that a pattern of many stars costs no stack. */
static bool is_match(struct view pattern, struct view name)
{
    size_t p = 0;
    size_t n = 0;
    size_t star = SIZE_MAX;
    size_t resume = 0;
    while (n < name.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            resume = n;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' ||
                                       text_lower(pattern.ptr[p]) == text_lower(name.ptr[n]))) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool is_for(const struct known_host *row, struct view name)
{
    struct view patterns = view_str(row->patterns);
    struct view pattern;
    bool found = false;
    while (view_next(&patterns, ',', &pattern)) {
        if (pattern.len && pattern.ptr[0] == '!') {
            if (is_match(view_skip(pattern, 1), name))
                return false;
        } else if (is_match(pattern, name)) {
            found = true;
        }
    }
    return found;
}

static char *target_name(const char *host, uint16_t port)
{
    return port == 22 ? mem_strdup(host) : mem_printf("[%s]:%u", host, port);
}

bool known_hosts_has(const struct known_hosts *k, enum known_hosts_kind kind, const char *host,
                     uint16_t port, const struct public_key *key)
{
    AUTO_FREE char *name = target_name(host, port);
    for (size_t i = 0; i < k->count; i++) {
        if (k->items[i].kind == kind && public_key_equal(&k->items[i].key, key) &&
            is_for(&k->items[i], view_str(name)))
            return true;
    }
    return false;
}

unsigned known_hosts_types(const struct known_hosts *k, const char *host, uint16_t port)
{
    AUTO_FREE char *name = target_name(host, port);
    unsigned types = 0;
    for (size_t i = 0; i < k->count; i++) {
        if (k->items[i].kind == KNOWN_HOSTS_KEY && is_for(&k->items[i], view_str(name)))
            types |= 1U << k->items[i].key.type;
    }
    return types;
}
