#include "common/config/value.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/service_url.h"

enum { SHOWN_MAX = 60, INLINE_MAX = 1 << 20, KEY32_LEN = 32, BLOBS_MAX = 64 };

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Without white space at its end: files end with a newline. */
static struct view trim_end(struct view v)
{
    while (v.len && is_space(v.ptr[v.len - 1]))
        v.len--;
    return v;
}

void value_expected(struct parse *p, const struct value *v, const char *what)
{
    AUTO(buf_fini) struct buf shown;
    buf_init(&shown, SHOWN_MAX * 2);
    if (v->node->type != NODE_SCALAR)
        IGNORE(buf_printf(&shown, ", got %s", node_type_name(v->node)), "fits");
    else if (!(v->key->flags & CONFIG_HIDDEN)) {
        IGNORE(buf_append_str(&shown, ", got \""), "fits");
        IGNORE(text_printable(view_take(node_view(v->node), SHOWN_MAX), &shown), "fits");
        IGNORE(buf_append_str(&shown, v->node->len > SHOWN_MAX ? "…\"" : "\""), "fits");
    }
    diag_error(p->diag, v->node->at, v->name, "expected %s%.*s", what, VIEW_FMT(buf_view(&shown)));
}

const char *value_str(struct parse *p, struct view text)
{
    return tree_strndup(p->arena, (const char *)text.ptr, text.len);
}

static bool is_scalar(struct parse *p, const struct value *v, const char *what)
{
    if (v->node->type == NODE_SCALAR)
        return true;
    value_expected(p, v, what);
    return false;
}

/* {service} in a path stands for the service's name. */
static const char *substitute(struct parse *p, struct view path)
{
    static const struct view mark = {(const uint8_t *)"{service}", 9};
    ptrdiff_t at = view_search(path, mark);
    if (at < 0)
        return value_str(p, path);
    struct view tail = view_skip(path, (size_t)at + mark.len);
    AUTO_FREE char *s = mem_printf("%.*s%s%.*s", VIEW_FMT(view_take(path, (size_t)at)),
                                   config_service_name(p->config->service), VIEW_FMT(tail));
    return value_str(p, view_str(s));
}

static void add_file(struct parse *p, const char *path, struct diag_place at)
{
    struct config_list *files = &p->config->files;
    /* The array is as long as the next power of two. */
    if ((files->count & (files->count - 1)) == 0) {
        size_t room = files->count ? files->count * 2 : 1;
        struct config_item *items = tree_alloc(p->arena, room * sizeof *items);
        if (files->count)
            memcpy(items, files->items, files->count * sizeof *items);
        files->items = items;
    }
    files->items[files->count++] = (struct config_item){path, at};
}

bool value_read_file(struct parse *p, const struct value *v, const struct node *node,
                     struct secret *out, const char **out_path)
{
    const struct config_source *source = p->source;
    if (!source->read)
        return false;
    const char *path = substitute(p, node_view(node));
    const char *reason = "cannot be read";
    AUTO(secret_fini) struct secret text = {0};
    add_file(p, path, node->at);
    enum err e = source->read(source->ctx, path, v->key->flags & CONFIG_FILE_TIGHT, &text, &reason);
    if (e == OK && trim_end(secret_view(&text)).len == 0) {
        reason = "the file is empty";
        e = ERR_SYNTAX;
    }
    if (e != OK) {
        const char *what = v->key->what ? v->key->what : v->key->name;
        diag_error(p->diag, node->at, v->name, "config: invalid %s file %s: %s", what, path,
                   e == ERR_PERMISSION ? "permissions are too open" : reason);
        return false;
    }
    *out = text;
    text = (struct secret){0};
    *out_path = path;
    return true;
}

static void apply_string(struct parse *p, const struct value *v)
{
    if (is_scalar(p, v, "a text"))
        *(const char **)v->field = value_str(p, node_view(v->node));
}

static void apply_bool(struct parse *p, const struct value *v)
{
    if (!node_bool(v->node, v->field))
        value_expected(p, v, "true or false");
}

static void apply_duration(struct parse *p, const struct value *v)
{
    uint64_t ms;
    if (v->node->type != NODE_SCALAR || text_duration_ms(node_view(v->node), &ms) != OK)
        value_expected(p, v, "a duration such as 30s, 15m or 1h30m");
    else if (ms == 0 && (v->key->flags & CONFIG_POSITIVE))
        value_expected(p, v, "a duration above 0");
    else
        *(uint64_t *)v->field = ms;
}

static void apply_choice(struct parse *p, const struct value *v)
{
    struct view rest = view_str(v->key->choices), words;
    AUTO(buf_fini) struct buf what;
    buf_init(&what, 512);
    IGNORE(buf_append_str(&what, "one of "), "fits");
    for (int i = 0; view_next(&rest, '|', &words); i++) {
        struct view word, first = {0};
        while (view_next(&words, ',', &word)) {
            first = first.ptr ? first : word;
            if (v->node->type == NODE_SCALAR && view_eq_case(word, node_view(v->node))) {
                *(int *)v->field = i;
                return;
            }
        }
        if (first.len)
            IGNORE(buf_printf(&what, "%s%.*s", what.len > 7 ? ", " : "", VIEW_FMT(first)), "fits");
    }
    if (v->key->what)
        IGNORE(buf_printf(&what, " (%s)", v->key->what), "fits");
    AUTO_FREE char *text = buf_to_str(&what);
    value_expected(p, v, text);
}

/* One element of a list, or of a scalar that is split. */
static void list_add(struct parse *p, struct config_list *list, struct view text,
                     struct diag_place at)
{
    text = view_trim(text);
    if (text.len)
        list->items[list->count++] = (struct config_item){value_str(p, text), at};
}

bool value_list(struct parse *p, const struct value *v, struct config_list *out)
{
    const struct node *n = v->node;
    struct config_list list = {0};
    if (n->type == NODE_SCALAR) {
        size_t parts = 1;
        for (size_t i = 0; i < n->len; i++)
            parts += n->text[i] == ',';
        list.items = tree_alloc(p->arena, parts * sizeof *list.items);
        struct view rest = node_view(n), part;
        while (view_next(&rest, ',', &part))
            list_add(p, &list, part, n->at);
    } else if (n->type == NODE_LIST) {
        list.items = tree_alloc(p->arena, n->count * sizeof *list.items);
        for (size_t i = 0; i < n->count; i++) {
            struct value item = *v;
            item.node = n->items[i];
            if (!is_scalar(p, &item, "a text"))
                return false;
            list_add(p, &list, node_view(item.node), item.node->at);
        }
    } else {
        value_expected(p, v, "a list");
        return false;
    }
    *out = list;
    return true;
}

static void apply_list(struct parse *p, const struct value *v)
{
    struct config_list list;
    if (value_list(p, v, &list))
        *(struct config_list *)v->field = list;
}

static void apply_pairs(struct parse *p, const struct value *v)
{
    const struct node *n = v->node;
    if (n->type != NODE_MAP) {
        value_expected(p, v, "a map of texts");
        return;
    }
    struct config_pairs pairs = {.items = tree_alloc(p->arena, n->count * sizeof *pairs.items)};
    for (size_t i = 0; i < n->count; i++) {
        struct value item = *v;
        item.node = n->items[i];
        if (!is_scalar(p, &item, "a text"))
            return;
        pairs.items[pairs.count++] = (struct config_pair){value_str(p, view_str(n->keys[i])),
                                                          value_str(p, node_view(item.node))};
    }
    *(struct config_pairs *)v->field = pairs;
}

void value_address(struct parse *p, const struct value *v)
{
    bool optional = v->key->flags & CONFIG_PORT_22;
    struct view host, text = view_trim(node_view(v->node));
    uint16_t port;
    if (v->node->type != NODE_SCALAR ||
        service_address_parse(text, optional ? 22 : 0, &host, &port) != OK) {
        value_expected(p, v, "an address such as :443, 127.0.0.1:443 or [::1]:443");
        return;
    }
    bool v6 = view_find(host, ':') >= 0;
    AUTO_FREE char *s = mem_printf(v6 ? "[%.*s]:%u" : "%.*s:%u", VIEW_FMT(host), port);
    *(const char **)v->field = value_str(p, view_str(s));
}

static bool parse_url(struct parse *p, const struct value *v, struct diag_place at,
                      struct view text, struct config_url *out)
{
    const char *why;
    if (service_url_parse(p->arena, text, v->key->flags & CONFIG_SERVICE_URL, out, &why) != OK) {
        AUTO(buf_fini) struct buf shown;
        buf_init(&shown, SHOWN_MAX * 2);
        IGNORE(text_printable(view_take(text, SHOWN_MAX), &shown), "fits");
        diag_error(p->diag, at, v->name, "\"%.*s\" %s", VIEW_FMT(buf_view(&shown)), why);
        return false;
    }
    out->at = at;
    return true;
}

static void apply_url(struct parse *p, const struct value *v)
{
    struct config_url url;
    if (is_scalar(p, v, "a URL") &&
        parse_url(p, v, v->node->at, view_trim(node_view(v->node)), &url))
        *(struct config_url *)v->field = url;
}

/* The singular and the plural key add to the same list; a URL that is there already does not. */
static void apply_urls(struct parse *p, const struct value *v)
{
    struct config_list list;
    struct config_urls *urls = v->field;
    if (!value_list(p, v, &list))
        return;
    struct config_url *items =
        tree_alloc(p->arena, (urls->count + list.count) * sizeof(struct config_url));
    size_t count = urls->count;
    if (count)
        memcpy(items, urls->items, count * sizeof *items);
    for (size_t i = 0; i < list.count; i++) {
        struct config_url url;
        if (!parse_url(p, v, list.items[i].at, view_str(list.items[i].text), &url))
            return;
        bool known = false;
        for (size_t k = 0; k < count; k++)
            known |= strcmp(items[k].target, url.target) == 0;
        if (!known)
            items[count++] = url;
    }
    *urls = (struct config_urls){items, count};
}

/* The value as text: inline, or what the named file holds without the newline at its end. */
static bool secret_text(struct parse *p, const struct value *v, struct secret *out)
{
    if (!is_scalar(p, v, v->file ? "the name of a file" : "a text"))
        return false;
    if (!v->file) {
        secret_set(out, node_view(v->node));
        return true;
    }
    const char *path;
    AUTO(secret_fini) struct secret content = {0};
    if (!v->own || !value_read_file(p, v, v->node, &content, &path))
        return false;
    secret_set(out, trim_end(secret_view(&content)));
    return true;
}

static void apply_secret(struct parse *p, const struct value *v)
{
    AUTO(secret_fini) struct secret text = {0};
    if (secret_text(p, v, &text))
        secret_set(v->field, secret_view(&text));
}

static bool has_space(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (is_space(v.ptr[i]))
            return true;
    }
    return false;
}

static void apply_key32(struct parse *p, const struct value *v)
{
    AUTO(secret_fini) struct secret text = {0};
    if (!secret_text(p, v, &text))
        return;
    AUTO(buf_wipe) struct buf key;
    buf_init(&key, INLINE_MAX);
    static const char remedy[] = "'postern keygen secrets' makes one";
    if (text.len > 1024 || text_unbase64(secret_view(&text), &key) != OK)
        diag_error(p->diag, v->node->at, v->name, "expected base64 of 32 random bytes%s; %s",
                   has_space(secret_view(&text)) ? " (there is white space in it)" : "", remedy);
    else if (key.len != KEY32_LEN)
        diag_error(p->diag, v->node->at, v->name,
                   "expected base64 of 32 random bytes, got %zu bytes; %s", key.len, remedy);
    else
        secret_set(v->field, buf_view(&key));
}

void config_blob_set(struct config_blob *b, struct view text)
{
    uint8_t *copy = mem_zalloc(text.len + 1);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    secret_fini(&b->text);
    b->text = (struct secret){copy, text.len};
}

void value_inline_text(struct view text, struct config_blob *out)
{
    static const struct view begin = {(const uint8_t *)"-----BEGIN", 10};
    AUTO(buf_wipe) struct buf plain;
    buf_init(&plain, INLINE_MAX);
    text = trim_end(text);
    if (view_search(text, begin) < 0 && text_unbase64(text, &plain) == OK &&
        view_search(buf_view(&plain), begin) >= 0)
        text = trim_end(buf_view(&plain));
    /* One allocation of the right size: growing would leave copies behind. */
    AUTO(buf_wipe) struct buf line;
    uint8_t *p;
    buf_init(&line, text.len + 1);
    IGNORE(buf_reserve(&line, text.len + 1, &p), "fits");
    IGNORE(buf_append(&line, text), "fits");
    IGNORE(buf_append_u8(&line, '\n'), "fits");
    config_blob_set(out, buf_view(&line));
}

bool value_blob_file(struct parse *p, const struct value *v, const struct node *node,
                     struct config_blob *out)
{
    AUTO(secret_fini) struct secret text = {0};
    if (!value_read_file(p, v, node, &text, &out->file))
        return false;
    config_blob_set(out, secret_view(&text));
    return true;
}

void value_blob_keep(struct tree *t, struct config_blob *blob)
{
    char *text = tree_strndup(t, (const char *)blob->text.data, blob->text.len);
    size_t len = blob->text.len;
    secret_fini(&blob->text);
    blob->text = (struct secret){(uint8_t *)text, len};
}

static bool read_blob(struct parse *p, const struct value *v, const struct node *n,
                      struct config_blob *out)
{
    struct value item = *v;
    item.node = n;
    if (!is_scalar(p, &item, v->file ? "the name of a file" : "a text"))
        return false;
    struct config_blob blob = {.key = v->name, .at = n->at};
    if (!v->file)
        value_inline_text(node_view(n), &blob);
    else if (!v->own || !value_blob_file(p, v, n, &blob))
        return false;
    *out = blob;
    return true;
}

static void apply_blob(struct parse *p, const struct value *v)
{
    struct config_blob blob;
    if (!read_blob(p, v, v->node, &blob))
        return;
    value_fini(CONFIG_TYPE_BLOB, v->field);
    *(struct config_blob *)v->field = blob;
}

static void apply_blobs(struct parse *p, const struct value *v)
{
    const struct node *n = v->node;
    struct config_blobs *blobs = v->field;
    bool list = n->type == NODE_LIST;
    size_t added = list ? n->count : 1;
    if (added > BLOBS_MAX) {
        value_expected(p, v, "at most 64 elements");
        return;
    }
    struct config_blob *items = tree_alloc(p->arena, (blobs->count + added) * sizeof *items);
    if (blobs->count)
        memcpy(items, blobs->items, blobs->count * sizeof *items);
    blobs->items = items;
    for (size_t i = 0; i < added; i++) {
        if (read_blob(p, v, list ? n->items[i] : n, &items[blobs->count]))
            blobs->count++;
    }
}

void value_fini(enum config_type type, void *field)
{
    if (type == CONFIG_TYPE_SECRET || type == CONFIG_TYPE_KEY32)
        secret_fini(field);
    if (type == CONFIG_TYPE_BLOB)
        secret_fini(&((struct config_blob *)field)->text);
    struct config_blobs *blobs = field;
    for (size_t i = 0; type == CONFIG_TYPE_BLOBS && i < blobs->count; i++)
        secret_fini(&blobs->items[i].text);
}

void value_apply(struct parse *p, const struct value *v)
{
    static void (*const by_type[])(struct parse *, const struct value *) = {
        [CONFIG_TYPE_STRING] = apply_string,     [CONFIG_TYPE_BOOL] = apply_bool,
        [CONFIG_TYPE_DURATION] = apply_duration, [CONFIG_TYPE_CHOICE] = apply_choice,
        [CONFIG_TYPE_LIST] = apply_list,         [CONFIG_TYPE_PAIRS] = apply_pairs,
        [CONFIG_TYPE_ADDRESS] = value_address,   [CONFIG_TYPE_URL] = apply_url,
        [CONFIG_TYPE_URLS] = apply_urls,         [CONFIG_TYPE_SECRET] = apply_secret,
        [CONFIG_TYPE_KEY32] = apply_key32,       [CONFIG_TYPE_BLOB] = apply_blob,
        [CONFIG_TYPE_BLOBS] = apply_blobs,       [CONFIG_TYPE_CUSTOM] = custom_apply,
    };
    by_type[v->key->type](p, v);
}
