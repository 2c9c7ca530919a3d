/*
 * What a gateway sends to a client: a list of routes, a refusal, a token. The first byte says
 * which; 'd' is a destination, that people or links bring. What comes out goes to terminals and
 * into a file that ssh reads: no line that the gateway chose, no control byte.
 */
#include "cli/tunnel/destination.h"
#include "cli/tunnel/listing.h"
#include "cli/tunnel/reply.h"
#include "common/base/check.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        CHECK(text.ptr[i] == '\n' || (text.ptr[i] >= ' ' && text.ptr[i] != 0x7f));
}

/* Each line of the file is one of those that are written there. */
static void check_config(struct view text)
{
    static const char *const starts[] = {
        "#", "Host ", "  ProxyCommand p tcp --listen - ", "  HostName ", "  User l@", "  Port "};
    struct view line;
    while (view_next(&text, '\n', &line)) {
        bool known = line.len == 0;
        for (size_t i = 0; i < ARRAY_LEN(starts); i++)
            known = known || view_starts_with(line, view_str(starts[i]));
        CHECK(known);
    }
}

static void routes(struct view text)
{
    AUTO(json_free_ptr) struct json *v = NULL;
    if (json_parse(text, &v) != OK)
        return;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, LISTING_MAX);
    if (listing_text(v, &b) == OK)
        check_text(buf_view(&b));
    buf_clear(&b);
    const struct listing_ssh how = {"p", "", "https://g", "l"};
    if (listing_ssh_config(v, &how, &b) != OK)
        return;
    check_text(buf_view(&b));
    check_config(buf_view(&b));
}

static void refusal(struct view body)
{
    AUTO_FREE char *said = reply_said(body);
    check_text(view_str(said));
}

/* What was understood is understood again, as the same. */
static void destination(struct view text)
{
    AUTO_FREE char *written = mem_strndup(text.ptr, text.len);
    AUTO_FREE char *why = NULL;
    AUTO(destination_fini) struct destination d = {0}, again = {0};
    if (destination_parse(written, "tcp", NULL, &d, &why) != OK) {
        CHECK(why && *why && !d.target);
        return;
    }
    AUTO_FREE char *url = endpoint_url(&d.proxy);
    AUTO_FREE char *whole = mem_printf("%s/%s", url, d.target);
    CHECK(destination_parse(whole, "tcp", NULL, &again, &why) == OK);
    CHECK(strcmp(again.target, d.target) == 0 && strcmp(again.proxy.dial, d.proxy.dial) == 0);
    AUTO_FREE char *name = endpoint_file_name(&d.proxy);
    CHECK(!strchr(name, '/') && name[0] != '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct view rest = view_of(data + 1, size - 1);
    uint64_t ends_ms;
    switch (data[0]) {
    case 'r':
        routes(rest);
        break;
    case 'e':
        refusal(rest);
        break;
    case 't':
        IGNORE(token_expiry(rest, &ends_ms), "any token");
        break;
    case 'd':
        destination(rest);
        break;
    default:
        break;
    }
    return 0;
}
