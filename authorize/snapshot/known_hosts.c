#include "authorize/snapshot/known_hosts.h"

#include "common/base/mem.h"
#include "common/base/text.h"

static const char key_name[] = "ssh_known_hosts_file";

static enum err parse_sha1(struct view base64, uint8_t out[DIGEST_SHA1_LEN])
{
    AUTO(buf_fini) struct buf bytes;
    buf_init(&bytes, DIGEST_SHA1_LEN);
    TRY(text_unbase64(base64, &bytes));
    if (bytes.len != DIGEST_SHA1_LEN)
        return ERR_SYNTAX;
    memcpy(out, buf_ptr(&bytes), DIGEST_SHA1_LEN);
    return OK;
}

/* "|1|SALT|HASH", HashKnownHosts of ssh_config(5); such a line has one name. */
static enum err parse_hashed(struct view names, struct known_host *row)
{
    struct view salt;
    if (!view_starts_with(names, VIEW("|1|")))
        return ERR_SYNTAX;
    names = view_skip(names, 3);
    if (!view_next(&names, '|', &salt))
        return ERR_SYNTAX;
    TRY(parse_sha1(salt, row->salt));
    TRY(parse_sha1(names, row->hash));
    row->is_hashed = true;
    return OK;
}

static void parse_line(struct known_hosts *k, struct view line, unsigned number,
                       struct diag_place at, struct diag *d)
{
    enum known_hosts_kind kind = KNOWN_HOSTS_KEY;
    struct view names = view_word(&line);
    if (names.len && names.ptr[0] == '@') {
        if (view_eq(names, VIEW("@cert-authority"))) {
            kind = KNOWN_HOSTS_CA;
        } else if (view_eq(names, VIEW("@revoked"))) {
            kind = KNOWN_HOSTS_REVOKED;
        } else {
            diag_warn(d, at, key_name, "line %u: unknown marker, the line is ignored", number);
            return;
        }
        names = view_word(&line);
    }
    struct known_host row = {.kind = kind};
    if (view_starts_with(names, VIEW("|")) && parse_hashed(names, &row) != OK) {
        diag_warn(d, at, key_name, "line %u: expected |1|SALT|HASH, the line is ignored", number);
        return;
    }
    enum err e = public_key_parse_line(&row.key, line, NULL);
    if (e != OK) {
        diag_warn(d, at, key_name, "line %u: %s, the line is ignored", number, err_text(e));
        return;
    }
    row.patterns = mem_strndup(names.ptr, names.len);
    k->items = mem_realloc(k->items, (k->count + 1) * sizeof *k->items);
    k->items[k->count++] = row;
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

static bool is_hash_of(const struct known_host *row, struct view name)
{
    uint8_t hash[DIGEST_SHA1_LEN];
    AUTO_FREE char *lower = mem_strndup(name.ptr, name.len);
    text_lower_str(lower);
    digest_hmac_sha1(view_of(row->salt, sizeof row->salt), view_of(lower, name.len), hash);
    return memcmp(hash, row->hash, sizeof hash) == 0;
}

static bool is_for_name(const struct known_host *row, struct view name)
{
    struct view patterns = view_str(row->patterns);
    struct view pattern;
    bool found = false;
    if (row->is_hashed)
        return is_hash_of(row, name);
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

static bool is_for(const struct known_host *row, const char *host, uint16_t port)
{
    AUTO_FREE char *name = port == 22 ? mem_strdup(host) : mem_printf("[%s]:%u", host, port);
    return is_for_name(row, view_str(name)) ||
           (row->kind != KNOWN_HOSTS_KEY && is_for_name(row, view_str(host)));
}

bool known_hosts_has(const struct known_hosts *k, enum known_hosts_kind kind, const char *host,
                     uint16_t port, const struct public_key *key)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->items[i].kind == kind && public_key_equal(&k->items[i].key, key) &&
            is_for(&k->items[i], host, port))
            return true;
    }
    return false;
}

bool known_hosts_has_ca(const struct known_hosts *k, const char *host, uint16_t port)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->items[i].kind == KNOWN_HOSTS_CA && is_for(&k->items[i], host, port))
            return true;
    }
    return false;
}

unsigned known_hosts_types(const struct known_hosts *k, const char *host, uint16_t port)
{
    unsigned types = 0;
    for (size_t i = 0; i < k->count; i++) {
        if (k->items[i].kind == KNOWN_HOSTS_KEY && is_for(&k->items[i], host, port))
            types |= 1U << k->items[i].key.type;
    }
    return types;
}
