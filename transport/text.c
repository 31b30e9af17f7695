/* Texts from a peer: UTF-8 without the control characters that would end a header line, a
 * command or a C string.
 *
 * Nearly everything that passes here is ASCII, so it is tested in blocks of 64 bytes, and what is left of them in words of
 * eight, without a branch for each byte; only where something else stands is a block or word read character by character.
 * Knows no property of characters but "control" (Unicode Cc). */
#include "text.h"

#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK_BYTES = 64, WORD_BYTES = 8 };

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Visible ASCII and blank in all of a word: 0x20..0x7e. A byte that is not is seen in its highest bit: as it is, after
 * 0x20 is taken from it, or after 1 is added. What that carries into its neighbour changes nothing any more. */
static bool plain_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    uint64_t odd = word | (word - EACH_BYTE(0x20)) | (word + EACH_BYTE(1));
    return (odd & EACH_BYTE(0x80)) == 0;
}

/* Sixteen at a time: the compiler's vectors, on every machine. */
typedef int8_t bytes16 __attribute__((vector_size(16)));

#define ALL16(c)                                                                               \
    ((bytes16){(c), (c), (c), (c), (c), (c), (c), (c), (c), (c), (c), (c), (c), (c), (c), (c)})

static bytes16 load16(const uint8_t *p)
{
    bytes16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool all_true(bytes16 truth)
{
    uint64_t half[2];
    memcpy(half, &truth, sizeof half);
    return (half[0] & half[1]) == UINT64_MAX;
}

/* True for visible ASCII and blank; bytes from 0x80 are negative. */
static bytes16 line16(const uint8_t *p)
{
    bytes16 v = load16(p);
    return (v > ALL16(0x1f)) & ~(v == ALL16(0x7f));
}

/* The same with tab, LF and CR, which is a tab but for one bit. */
static bytes16 body16(const uint8_t *p)
{
    bytes16 v = load16(p);
    bytes16 space = ((v & ALL16(~('\t' ^ '\r'))) == ALL16('\t')) | (v == ALL16('\n'));
    return ((v > ALL16(0x1f)) | space) & ~(v == ALL16(0x7f));
}

static bool plain_line(const uint8_t *p)
{
    return all_true(line16(p) & line16(p + 16) & line16(p + 32) & line16(p + 48));
}

static bool plain_body(const uint8_t *p)
{
    return all_true(body16(p) & body16(p + 16) & body16(p + 32) & body16(p + 48));
}

static bool is_allowed(uint32_t code, enum text_kind kind)
{
    if (code >= 0x20 && code < 0x7f) {
        return true;
    }
    if (kind == TEXT_LINE) {
        return code >= 0xa0; /* C1: terminals obey some of them, NEL is a line end */
    }
    return code >= 0x80 || code == '\t' || code == '\n' || code == '\r';
}

static bool continues(char byte)
{
    return ((uint8_t)byte & 0xc0U) == 0x80;
}

/* Length of a character of two or three bytes that can be neither overlong, a surrogate nor
 * a control character: U+00C0..U+07FF, U+1000..U+CFFF, U+E000..U+FFFF. 0 = look closer.
 * Nearly all that is not ASCII. */
static size_t common_len(const char *p, size_t room)
{
    uint8_t lead = (uint8_t)p[0];
    if (lead >= 0xc3 && lead <= 0xdf) {
        return room >= 2 && continues(p[1]) ? 2 : 0;
    }
    if (lead > 0xe0 && lead <= 0xef && lead != 0xed) {
        return room >= 3 && continues(p[1]) && continues(p[2]) ? 3 : 0;
    }
    return 0;
}

/* The character at *at, and *at behind it. */
static enum text_fault next(const char *data, size_t len, size_t *at, enum text_kind kind)
{
    uint32_t code = (uint8_t)data[*at];
    size_t width = 1;
    if (code >= 0x80) {
        width = common_len(data + *at, len - *at);
        if (width > 0) {
            *at += width;
            return TEXT_OK;
        }
        width = utf8_next(data + *at, len - *at, &code);
        if (width == 0) {
            return TEXT_MALFORMED;
        }
    }
    *at += width;
    return is_allowed(code, kind) ? TEXT_OK : TEXT_CONTROL;
}

bool text_is_plain(const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t at = 0;
    for (; len - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
        if (!plain_body(p + at)) {
            return false;
        }
    }
    if (at > 0) {
        return plain_body(p + len - BLOCK_BYTES); /* the rest, and some once more */
    }
    while (at < len && is_allowed(p[at], TEXT_BODY) && p[at] < 0x80) {
        at++;
    }
    return at == len;
}

/* True when the next *step bytes are plain; false when each must be looked at. */
static bool plain_step(const uint8_t *p, size_t len, size_t at, enum text_kind kind,
                       size_t *step)
{
    size_t left = len - at;
    if (left >= BLOCK_BYTES) {
        *step = BLOCK_BYTES;
        return kind == TEXT_LINE ? plain_line(p + at) : plain_body(p + at);
    }
    if (left > WORD_BYTES) {
        *step = WORD_BYTES;
        return plain_word(p + at);
    }
    *step = left; /* plain, if the last word is: that may begin before at */
    return len >= WORD_BYTES && plain_word(p + len - WORD_BYTES);
}

enum text_fault text_check(const void *data, size_t len, enum text_kind kind)
{
    const char *p = data;
    size_t at = 0;
    while (at < len) {
        size_t step = 0;
        if (plain_step(data, len, at, kind, &step)) {
            at += step;
            continue;
        }
        size_t stop = at + step;
        while (at < stop) {
            if ((uint8_t)(p[at] - 0x20) < 0x5f) {
                at++;
                continue;
            }
            enum text_fault fault = next(p, len, &at, kind);
            if (fault != TEXT_OK) {
                return fault;
            }
        }
    }
    return TEXT_OK;
}
