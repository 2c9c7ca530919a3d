#include "cli/tunnel/listing.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/http/url.h"

#define POMERIUM_CLI VIEW("pomerium-cli ")

static const struct json *routes_of(const struct json *answer)
{
    return json_get(answer, "routes");
}

/* What the gateway sends ends up on a terminal or in a file that ssh reads: one line, no controls.
 */
static enum err add_line(struct buf *out, const char *name, struct view value)
{
    TRY(buf_printf(out, "%s%s", name, value.len ? " " : ""));
    TRY(text_printable(value, out));
    return buf_append_u8(out, '\n');
}

enum err listing_text(const struct json *answer, struct buf *out)
{
    static const char *const names[] = {"id", "type", "from", "description"};
    const struct json *routes = routes_of(answer);
    for (size_t i = 0; i < json_len(routes); i++) {
        const struct json *r = json_at(routes, i);
        if (i)
            TRY(buf_append_u8(out, '\n'));
        TRY(add_line(out, "Route", json_get_str(r, "name")));
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            AUTO_FREE char *label = mem_printf("%s:", names[k]);
            TRY(add_line(out, label, json_get_str(r, names[k])));
        }
        struct view command = json_get_str(r, "connect_command");
        if (view_starts_with(command, POMERIUM_CLI)) {
            TRY(add_line(out, "connect_command: postern", view_skip(command, POMERIUM_CLI.len)));
        } else {
            TRY(add_line(out, "connect_command:", command));
        }
    }
    return OK;
}

/* Fit for a Host line: what host names and patterns are made of. */
static bool is_host(struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!text_is_alpha(c) && !text_is_digit(c) && !strchr(".-_*:", c))
            return false;
    }
    return text.len && text.ptr[0] != '-';
}

/* tcp+https://HOST[:22] or tcp+https://PROXY/HOST:22 */
static enum err tcp_host(const struct json *route, const struct listing_ssh *how, struct buf *out)
{
    struct url u;
    struct view from = json_get_str(route, "from");
    ptrdiff_t plus = view_find(from, '+');
    if (plus < 0 || url_parse(view_skip(from, (size_t)plus + 1), &u) != OK)
        return OK;
    struct view path = u.path.len ? view_skip(u.path, 1) : u.path;
    struct authority target = u.authority;
    if (path.len && authority_parse(path, &target) != OK)
        return OK;
    if ((target.port && target.port != 22) || !is_host(target.host))
        return OK;
    TRY(buf_printf(out, "\nHost %.*s\n", VIEW_FMT(target.host)));
    if (!path.len)
        return buf_printf(out, "  ProxyCommand %s tcp%s --listen - %%h:%%p\n", how->program,
                          how->flags);
    struct view head = view_take(from, from.len - u.path.len);
    if (view_find(head, '\'') >= 0 || view_find(head, '%') >= 0)
        return OK;
    return buf_printf(out, "  ProxyCommand %s tcp%s --listen - %.*s/%%h:%%p\n", how->program,
                      how->flags, VIEW_FMT(head));
}

/* connect_command is "ssh LOGIN@ROUTE@GATEWAY", with "-p PORT" where it is not 22. */
static enum err ssh_host(const struct json *route, const struct listing_ssh *how, struct buf *out)
{
    struct view rest = json_get_str(route, "connect_command");
    struct view where = {0}, port = {0};
    for (struct view word = view_word(&rest); word.len; word = view_word(&rest)) {
        if (view_eq_str(word, "-p"))
            port = view_word(&rest);
        else if (view_find(word, '@') >= 0)
            where = word;
    }
    ptrdiff_t last = view_rfind(where, '@'), first = view_find(where, '@');
    if (first < 0 || last <= first)
        return OK;
    struct view gateway = view_skip(where, (size_t)last + 1);
    struct view name = view_take(view_skip(where, (size_t)first + 1), (size_t)(last - first - 1));
    if (!is_host(gateway) || !is_host(name) || (port.len && !is_host(port)))
        return OK;
    TRY(buf_printf(out, "\nHost %.*s\n  HostName %.*s\n  User %s@%.*s\n", VIEW_FMT(name),
                   VIEW_FMT(gateway), how->login, VIEW_FMT(name)));
    return port.len ? buf_printf(out, "  Port %.*s\n", VIEW_FMT(port)) : OK;
}

enum err listing_ssh_config(const struct json *answer, const struct listing_ssh *how,
                            struct buf *out)
{
    TRY(buf_printf(out, "# Routes of %s, made by \"postern ssh-config\".\n", how->gateway));
    const struct json *routes = routes_of(answer);
    for (size_t i = 0; i < json_len(routes); i++) {
        const struct json *r = json_at(routes, i);
        struct view type = json_get_str(r, "type");
        if (view_eq_str(type, "tcp"))
            TRY(tcp_host(r, how, out));
        else if (view_eq_str(type, "ssh"))
            TRY(ssh_host(r, how, out));
    }
    return OK;
}
