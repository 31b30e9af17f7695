/* Texts from a peer: UTF-8 without the control characters that would end a header line, a
 * command or a C string.
 *
 * Nearly everything that passes here is ASCII, so blocks of 64 bytes are tested by a loop
 * without branches that the compiler turns into vector code; only a block with something
 * else in it is read character by character. Knows no property of characters but "control"
 * (Unicode Cc). */
#include "text.h"

#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>

enum { BLOCK_BYTES = 64 };

/* Visible ASCII and blank: 0x20..0x7e. */
static bool plain_line(const uint8_t *p)
{
    uint8_t bad = 0;
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        bad |= (uint8_t)((uint8_t)(p[i] - 0x20) >= 0x5f);
    }
    return bad == 0;
}

/* The same with tab, LF and CR. */
static bool plain_body(const uint8_t *p)
{
    uint8_t bad = 0;
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        uint8_t odd = (uint8_t)((uint8_t)(p[i] - 0x20) >= 0x5f);
        uint8_t space = (uint8_t)((p[i] == '\t') | (p[i] == '\n') | (p[i] == '\r'));
        bad |= (uint8_t)(odd & (space ^ 1U));
    }
    return bad == 0;
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

enum text_fault text_check(const void *data, size_t len, enum text_kind kind)
{
    const char *p = data;
    size_t at = 0;
    while (at < len) {
        const uint8_t *block = (const uint8_t *)p + at;
        bool whole = len - at >= BLOCK_BYTES;
        if (whole && (kind == TEXT_LINE ? plain_line(block) : plain_body(block))) {
            at += BLOCK_BYTES;
            continue;
        }
        size_t stop = whole ? at + BLOCK_BYTES : len;
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
