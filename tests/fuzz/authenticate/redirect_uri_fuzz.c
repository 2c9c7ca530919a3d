/* A redirect that is taken leads to this machine or to the one domain, read in another way. */
#include <arpa/inet.h>
#include <stdint.h>

#include "authenticate/redirect_uri.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_ours(char *host)
{
    struct in_addr four;
    char *end = strrchr(host, ':');
    if (*host == '[')
        return true; /* the literal was read by inet_pton itself */
    if (end)
        *end = '\0';
    return strcmp(host, "localhost") == 0 || strcmp(host, "app.example.test") == 0 ||
           (inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_item item = {.text = "app.example.test"};
    const struct config_list domains = {&item, 1};
    struct view uri = view_of(data, size);
    if (redirect_uri_check(uri, &domains) != OK)
        return 0;
    AUTO(buf_fini) struct buf origin;
    buf_init(&origin, URL_MAX);
    CHECK(redirect_uri_origin(uri, &origin) == OK);
    AUTO_FREE char *text = mem_strndup((const char *)data, size);
    text_lower_str(text);
    char *host = strstr(text, "://");
    CHECK(host && strlen(text) == size);
    host += 3;
    host[strcspn(host, "/?#")] = '\0';
    CHECK(is_ours(host));
    return 0;
}
