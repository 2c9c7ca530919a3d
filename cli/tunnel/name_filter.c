#include "cli/tunnel/name_filter.h"

#include "common/base/check.h"
#include "common/base/mem.h"

static const struct {
    const char *name;
    const char *abbreviation; /* "" when there is none */
} attributes[] = {
    {"commonName", "CN"},
    {"countryName", "C"},
    {"localityName", "L"},
    {"organizationName", "O"},
    {"organizationalUnitName", "OU"},
    {"postalCode", ""},
    {"serialNumber", ""},
    {"stateOrProvinceName", "ST"},
    {"streetAddress", "STREET"},
};

enum err name_filter_parse(const char *text, struct name_filter *out, char **out_why)
{
    struct view all = view_str(text);
    ptrdiff_t at = view_find(all, '=');
    if (at < 0) {
        *out_why = mem_printf("%s is not ATTRIBUTE=VALUE", text);
        return ERR_SYNTAX;
    }
    struct view name = view_take(all, (size_t)at);
    struct view value = view_skip(all, (size_t)at + 1);
    if (value.len == 0) {
        *out_why = mem_printf("%s: the value is missing", text);
        return ERR_SYNTAX;
    }
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        if (name.len && (view_eq_str(name, attributes[i].name) ||
                         view_eq_str(name, attributes[i].abbreviation))) {
            *out = (struct name_filter){attributes[i].name, value};
            return OK;
        }
    }
    *out_why = mem_printf("%.*s is no attribute of a name; known are commonName (CN), countryName "
                          "(C), localityName (L), organizationName (O), organizationalUnitName "
                          "(OU), postalCode, serialNumber, stateOrProvinceName (ST), streetAddress "
                          "(STREET)",
                          VIEW_FMT(name));
    return ERR_SYNTAX;
}
