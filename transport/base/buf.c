/* Growable bytes with a maximum. Growth doubles, so that n appends cost O(n). */
#include "buf.h"

#include "digits.h"
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256 };

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void buf_fini(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->status = ERR_OK;
    if (b->data != NULL) {
        b->data[0] = '\0';
    }
}

enum err buf_reserve(struct buf *b, size_t more)
{
    if (b->status != ERR_OK) {
        return b->status;
    }
    if (more > b->max - b->len) {
        b->status = ERR_LIMIT;
        return b->status;
    }
    size_t need = b->len + more + 1;
    if (need > b->cap) {
        size_t cap = b->cap > 0 ? b->cap : FIRST_BYTES;
        while (cap < need) {
            cap *= 2;
        }
        char *data = realloc(b->data, cap);
        if (data == NULL) {
            b->status = ERR_LIMIT;
            return b->status;
        }
        b->data = data;
        b->cap = cap;
    }
    return ERR_OK;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (buf_reserve(b, len) != ERR_OK) {
        return;
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
    b->data[b->len] = '\0';
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_add_number(struct buf *b, uint64_t number)
{
    char digits[DIGITS_MAX];
    buf_add(b, digits, (size_t)(digits_put(digits, number, 1) - digits));
}

void buf_add_format(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len >= 0 && buf_reserve(b, (size_t)len) == ERR_OK) {
        (void)vsnprintf(b->data + b->len, (size_t)len + 1, fmt, again);
        b->len += (size_t)len;
    }
    va_end(again);
}

void buf_drop(struct buf *b, size_t len)
{
    if (len >= b->len) {
        b->len = 0;
    } else {
        memmove(b->data, b->data + len, b->len - len);
        b->len -= len;
    }
    if (b->data != NULL) {
        b->data[b->len] = '\0';
    }
}

enum err buf_status(const struct buf *b)
{
    return b->status;
}

const char *buf_text(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *data = b->data != NULL ? b->data : mem_text("");
    size_t max = b->max;
    buf_init(b, max);
    return data;
}
