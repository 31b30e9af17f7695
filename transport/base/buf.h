/* Growable bytes with a maximum.
 *
 * A builder appends without asking and looks once at the end: the first append that would pass the maximum
 * (or finds no memory) marks the buffer as failed, and appends after that do nothing. */
#ifndef TPN_BUF_H
#define TPN_BUF_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* len bytes, then always a NUL that len does not count; null while empty */
    size_t len;
    size_t cap;
    size_t max;
    enum err status; /* ERR_OK, or ERR_LIMIT once something did not fit */
};

/* Empty, may grow to max_bytes. No allocation. */
void buf_init(struct buf *b, size_t max_bytes);

/* Free the bytes; the buffer is as after buf_init with the same maximum. Accepts an empty one. */
void buf_fini(struct buf *b);

/* Forget the contents and the failure, keep the memory. */
void buf_reset(struct buf *b);

/* Make room for more bytes behind len. ERR_LIMIT (and failed) when that passes the maximum. */
enum err buf_reserve(struct buf *b, size_t more);

/* Append len bytes; data may be null when len is 0. */
void buf_add(struct buf *b, const void *data, size_t len);
/* Append a text without its NUL. */
void buf_add_text(struct buf *b, const char *text);
/* Append one byte. */
void buf_add_char(struct buf *b, char c);
/* Append a number, decimal. */
void buf_add_number(struct buf *b, uint64_t number);
/* Append what printf(3) would print. */
void buf_add_format(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Drop the first len bytes (at most all). */
void buf_drop(struct buf *b, size_t len);

/* ERR_OK when everything that was appended is there. */
enum err buf_status(const struct buf *b) NODISCARD;

/* The bytes as text, "" while empty; borrowed until the next call on b. */
const char *buf_text(const struct buf *b);

/* The bytes move to the caller, who frees them; b is empty after that. Never null. */
char *buf_take(struct buf *b);

#endif
