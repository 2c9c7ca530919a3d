/*
 * Allocation or abort: every size that a peer controls is checked against a named limit before it
 * gets here, so running out of memory is not a branch.
 */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stddef.h>

/* Never NULL; zeroed. A size of 0 gives a pointer that may be freed. */
[[nodiscard]] void *mem_zalloc(size_t size);
[[nodiscard]] void *mem_zalloc_array(size_t count, size_t size);

/* Never NULL; new bytes are not initialised. */
[[nodiscard]] void *mem_realloc(void *ptr, size_t size);

/* Never NULL. `s` may be NULL, then the copy is "". */
[[nodiscard]] char *mem_strdup(const char *s);

/* The `len` bytes at `ptr` with a NUL behind them. Never NULL. */
[[nodiscard]] char *mem_strndup(const void *ptr, size_t len);

/* "a", "b" -> "ab": printf into fresh memory. Never NULL. */
[[nodiscard, gnu::format(printf, 1, 2)]] char *mem_printf(const char *format, ...);

/* free() that takes NULL. */
void mem_free(void *ptr);

/* Zeroes memory in a way that the compiler keeps. */
void mem_wipe(void *ptr, size_t len);

/* Frees *p and sets it to the copy of `s`. */
void mem_set_str(char **p, const char *s);

void mem_free_ptr(void *ptr_to_ptr);

/* A local that is freed at the end of its scope: AUTO_FREE char *s = mem_strdup(x); */
#define AUTO_FREE [[gnu::cleanup(mem_free_ptr)]]

/* A local with its own fini: AUTO(buf_fini) struct buf b; */
#define AUTO(fini) [[gnu::cleanup(fini)]]

#endif
