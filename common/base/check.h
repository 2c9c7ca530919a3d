/* Programming errors: CHECK stays on in release builds and aborts with the place. */
#ifndef COMMON_BASE_CHECK_H
#define COMMON_BASE_CHECK_H

#include <stddef.h>

[[gnu::noreturn]] void check_failed(const char *expr, const char *file, int line);

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr))                                                                               \
            check_failed(#expr, __FILE__, __LINE__);                                               \
    } while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The object that `ptr`, a pointer to its member, is part of. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
