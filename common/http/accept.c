#include "common/http/accept.h"

#include "common/base/check.h"
#include "common/base/text.h"

enum { QUALITY_ONE = 1000 };

static const struct {
    const char *type;
    enum accept_kind kind;
} types[] = {
    {"text/html", ACCEPT_HTML},        {"application/xhtml+xml", ACCEPT_HTML},
    {"application/json", ACCEPT_JSON}, {"text/plain", ACCEPT_PLAIN},
    {"application/grpc", ACCEPT_GRPC},
};

/* ACCEPT_NONE for what we do not write, and for ranges. */
static enum accept_kind kind_of(struct view type)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (view_eq_case(type, view_str(types[i].type)))
            return types[i].kind;
    }
    struct view grpc = VIEW("application/grpc");
    struct view json = VIEW("+json");
    if (type.len > grpc.len && view_eq_case(view_take(type, grpc.len), grpc) &&
        view_find(VIEW("+-"), type.ptr[grpc.len]) >= 0)
        return ACCEPT_GRPC;
    if (type.len > json.len && view_eq_case(view_skip(type, type.len - json.len), json))
        return ACCEPT_JSON;
    return ACCEPT_NONE;
}

/* RFC 9110 §12.4.2, in thousandths; 0 for a malformed one. */
static unsigned parse_quality(struct view text)
{
    uint64_t whole;
    uint64_t part = 0;
    struct view digits = view_skip(text, 2);
    if (text_u64(view_take(text, 1), 1, &whole) != OK || digits.len > 3)
        return 0;
    if (text.len > 1 && (text.ptr[1] != '.' || (digits.len && text_u64(digits, 999, &part) != OK)))
        return 0;
    for (size_t i = digits.len; i < 3; i++)
        part *= 10;
    return whole ? (part ? 0 : QUALITY_ONE) : (unsigned)part;
}

static unsigned quality_of(struct view parameters)
{
    struct view one;
    while (parameters.ptr && view_next(&parameters, ';', &one)) {
        one = view_trim(one);
        if (view_eq_case(view_take(one, 2), VIEW("q=")))
            return parse_quality(view_skip(one, 2));
    }
    return QUALITY_ONE;
}

enum accept_kind accept_kind(const struct fields *f)
{
    struct view element;
    enum accept_kind best = ACCEPT_HTML;
    unsigned best_quality = 0;
    if (!fields_count(f, "Accept"))
        return ACCEPT_NONE;
    for (struct fields_iter i = fields_tokens(f, "Accept"); fields_next_token(&i, &element);) {
        struct view type;
        if (!view_next(&element, ';', &type))
            continue;
        enum accept_kind kind = kind_of(view_trim(type));
        unsigned quality = quality_of(element);
        if (kind != ACCEPT_NONE && quality > best_quality) {
            best = kind;
            best_quality = quality;
        }
    }
    return best;
}
