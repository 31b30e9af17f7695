/* UTF-8 (RFC 3629), one character at a time. */
#ifndef TPN_UTF8_H
#define TPN_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Read the character at the start of data.
 *  code  out: the code point; untouched when 0 is returned
 * Returns its length in bytes, 1–4; 0 when len is 0 or the bytes are no character: cut,
 * overlong, a surrogate or above U+10FFFF. */
size_t utf8_next(const char *data, size_t len, uint32_t *code);

/* Offset of the first byte that is not UTF-8; len when all of it is. */
size_t utf8_check(const char *data, size_t len);

/* Columns that a text takes on a terminal or in a fixed-width mail: 2 for wide East Asian
 * characters, 0 for combining ones. The same on every machine, unlike wcwidth(3), which asks
 * the locale. An approximation: shaping is not known. */
size_t utf8_columns(const char *text);

#endif
