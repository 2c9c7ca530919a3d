#include "common/daemon/arguments.h"

#include "common/base/check.h"
#include "common/base/view.h"

static const struct {
    const char *name;
    enum arguments_action action;
} actions[] = {
    {"check", ARGUMENTS_CHECK},
    {"version", ARGUMENTS_VERSION},
    {"help", ARGUMENTS_HELP},
    {"h", ARGUMENTS_HELP},
};

/* The name behind one or two dashes; NULL when there is none. */
static const char *option_name(const char *arg)
{
    if (arg[0] != '-' || arg[1] == '\0')
        return NULL;
    return arg + (arg[1] == '-' ? 2 : 1);
}

enum err arguments_parse(int argc, char **argv, struct arguments *out, const char **out_wrong)
{
    struct arguments a = {.action = ARGUMENTS_RUN};
    for (int i = 1; i < argc; i++) {
        const char *name = option_name(argv[i]);
        bool known = false;
        *out_wrong = argv[i];
        if (!name)
            return ERR_SYNTAX;
        if (strncmp(name, "config=", 7) == 0) {
            a.config = name + 7;
            known = true;
        } else if (strcmp(name, "config") == 0 && i + 1 < argc) {
            a.config = argv[++i];
            known = true;
        }
        for (size_t k = 0; k < ARRAY_LEN(actions) && !known; k++) {
            known = strcmp(name, actions[k].name) == 0;
            a.action = known ? actions[k].action : a.action;
        }
        if (!known || (a.config && !*a.config))
            return ERR_SYNTAX;
    }
    *out = a;
    return OK;
}
