/* Allocations that cannot fail. */
#include "mem.h"

#include "err.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (p == NULL) {
        bug("out of memory");
    }
    return p;
}

void *mem_zero(size_t count, size_t size)
{
    /* glibc's malloc keeps a thread's last freed pieces at hand, its calloc does not look there; but it knows what the
     * system gave zeroed. */
    enum { SMALL = 4096 };
    if (count > 0 && count <= SMALL && size > 0 && size <= SMALL / count) {
        return memset(must(malloc(count * size)), 0, count * size);
    }
    return must(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *mem_resize(void *old, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        bug("size overflow");
    }
    return must(realloc(old, count * size > 0 ? count * size : 1));
}

char *mem_text(const char *text)
{
    return must(strdup(text != NULL ? text : ""));
}

void *mem_copy(const void *data, size_t len)
{
    void *copy = must(malloc(len > 0 ? len : 1));
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

void mem_text_into(char *out, size_t room, const char *text)
{
    size_t len = strnlen(text, room - 1);
    memcpy(out, text, len);
    out[len] = '\0';
}

char *mem_format(const char *fmt, ...)
{
    char *out = NULL;
    va_list args;
    va_start(args, fmt);
    int len = vasprintf(&out, fmt, args);
    va_end(args);
    return must(len >= 0 ? out : NULL);
}
