#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

[[gnu::noreturn]] static void out_of_memory(void)
{
    (void)fputs("out of memory\n", stderr);
    abort();
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_zalloc_array(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_realloc(void *ptr, size_t size)
{
    void *p = realloc(ptr, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s ? s : "", s ? strlen(s) : 0);
}

char *mem_strndup(const void *ptr, size_t len)
{
    char *p = mem_zalloc(len + 1);
    if (len)
        memcpy(p, ptr, len);
    return p;
}

char *mem_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *out = NULL;
    if (vasprintf(&out, format, args) < 0)
        out_of_memory();
    va_end(args);
    return out;
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_wipe(void *ptr, size_t len)
{
    if (len)
        explicit_bzero(ptr, len);
}

void mem_set_str(char **p, const char *s)
{
    char *copy = mem_strdup(s);
    mem_free(*p);
    *p = copy;
}

void mem_free_ptr(void *ptr_to_ptr)
{
    void *p;
    memcpy(&p, ptr_to_ptr, sizeof p);
    mem_free(p);
}
