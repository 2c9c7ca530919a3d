/* source_ip: an address or network, or a list of them; true when the client is in one. */
#include "authorize/policy/criterion.h"
#include "common/base/mem.h"

static void add(struct criterion *c, const struct policy_source *s, const struct node *n)
{
    struct ip_net net;
    if (n->type != NODE_SCALAR || ip_net_parse(node_view(n), &net) != OK) {
        policy_error(s, n, "expected an IP address or a network such as 10.0.0.0/8 or fd00::/8");
        return;
    }
    c->nets = mem_realloc(c->nets, (c->net_count + 1) * sizeof *c->nets);
    c->nets[c->net_count++] = net;
}

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    if (data->type != NODE_LIST) {
        add(c, s, data);
        return;
    }
    for (size_t i = 0; i < data->count; i++)
        add(c, s, data->items[i]);
}

static bool match(const struct criterion *c, const struct facts *f)
{
    for (size_t i = 0; i < c->net_count; i++) {
        if (ip_net_has(&c->nets[i], &f->source))
            return true;
    }
    return false;
}

const struct criterion_type criterion_source_ip = {
    .name = "source_ip",
    .about = CRITERION_ABOUT_REQUEST,
    .ok = REASON_SOURCE_IP_OK,
    .not_ok = REASON_SOURCE_IP_UNAUTHORIZED,
    .parse = parse,
    .match = match,
};
