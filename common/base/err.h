/*
 * The one error type. A function that can fail returns enum err; outputs are untouched on
 * failure. Ignoring a returned error does not compile without IGNORE.
 */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

enum [[nodiscard]] err{OK = 0,
#define E(name, class, text) ERR_##name,
#include "common/base/err.def"
#undef E
                       ERR_COUNT};

enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_MORE,
    ERR_CLASS_PEER,
    ERR_CLASS_DENIED,
    ERR_CLASS_BUSY,
    ERR_CLASS_LOCAL,
    ERR_CLASS_BUG,
};

/* Static text, lower case, without a full stop. Never NULL. */
const char *err_text(enum err e);

/* The name as in err.def ("PROTOCOL"), "OK" for OK. Never NULL. */
const char *err_name(enum err e);

enum err_class err_class(enum err e);

/* The one propagation macro. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err try_err_ = (expr);                                                                \
        if (try_err_ != OK)                                                                        \
            return try_err_;                                                                       \
    } while (0)

/* Drops an error on purpose; `why` is for the reader. */
#define IGNORE(expr, why)                                                                          \
    do {                                                                                           \
        enum err ignored_err_ = (expr);                                                            \
        (void)ignored_err_;                                                                        \
    } while (0)

#endif
