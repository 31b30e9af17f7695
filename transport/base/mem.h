/* Small fixed allocations that cannot fail: a program that cannot get a few hundred bytes stops.
 * Anything sized by a peer or a file goes through buf, with a maximum. */
#ifndef TPN_MEM_H
#define TPN_MEM_H

#include <stddef.h>

/* count zeroed items of size bytes each; never null. The caller frees. */
void *mem_zero(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* Resized as realloc, never null for a size above 0. */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));

/* Copies; the caller frees. mem_text of null is an empty text. */
char *mem_text(const char *text) __attribute__((malloc, returns_nonnull));
void *mem_copy(const void *data, size_t len) __attribute__((malloc, returns_nonnull));

/* The text into room bytes at out, cut when it is longer, always with its NUL: snprintf("%s") for where it counts. */
void mem_text_into(char *out, size_t room, const char *text);

/* printf into a text of the caller's. */
char *mem_format(const char *fmt, ...)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

#endif
