/* UTF-8, one character at a time.
 *
 * Does not normalise and knows no properties of characters, but for a short table of widths.
 * The table has the scripts that names and places are written in; what it does not know counts
 * one column. Source: RFC 3629 section 4; Unicode Annex 11 (East Asian Width), general category
 * Mn. */
#include "utf8.h"

#include <string.h>

struct utf8_range {
    uint32_t first, last;
};

/* Combining marks and characters without a width, sorted. */
static const struct utf8_range zero_wide[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x05BF, 0x05BF}, {0x05C1, 0x05C2},
    {0x0610, 0x061A}, {0x064B, 0x065F}, {0x0670, 0x0670}, {0x06D6, 0x06DC}, {0x0900, 0x0902},
    {0x093A, 0x093A}, {0x093C, 0x093C}, {0x0941, 0x0948}, {0x094D, 0x094D}, {0x0951, 0x0957},
    {0x0981, 0x0981}, {0x09BC, 0x09BC}, {0x09C1, 0x09C4}, {0x09CD, 0x09CD}, {0x0E31, 0x0E31},
    {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F},
    {0x202A, 0x202E}, {0x2060, 0x2064}, {0x20D0, 0x20FF}, {0x302A, 0x302D}, {0x3099, 0x309A},
    {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF},
};

/* Wide and full-width characters, sorted. */
static const struct utf8_range two_wide[] = {
    {0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0x33FF}, {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xAC00, 0xD7A3}, {0xF900, 0xFAFF},
    {0xFE30, 0xFE4F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F},
    {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
};

size_t utf8_next(const char *data, size_t len, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 0) {
        return 0;
    }
    uint8_t first = (uint8_t)data[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    size_t want = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || want > len) {
        return 0;
    }
    uint32_t value = first & (0x7FU >> want);
    for (size_t i = 1; i < want; i++) {
        uint8_t next = (uint8_t)data[i];
        if ((next & 0xC0U) != 0x80) {
            return 0;
        }
        value = value << 6 | (next & 0x3FU);
    }
    if (value < smallest[want] || (value >= 0xD800 && value <= 0xDFFF) || value > 0x10FFFF) {
        return 0;
    }
    *code = value;
    return want;
}

size_t utf8_check(const char *data, size_t len)
{
    uint32_t code = 0;
    size_t at = 0;
    while (at < len) {
        size_t used = utf8_next(data + at, len - at, &code);
        if (used == 0) {
            return at;
        }
        at += used;
    }
    return len;
}

static int in_ranges(const struct utf8_range *ranges, size_t count, uint32_t code)
{
    for (size_t i = 0; i < count; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return 1;
        }
    }
    return 0;
}

static size_t code_columns(uint32_t code)
{
    if (code < 0x300) {
        return 1;
    }
    if (in_ranges(zero_wide, sizeof zero_wide / sizeof zero_wide[0], code)) {
        return 0;
    }
    return in_ranges(two_wide, sizeof two_wide / sizeof two_wide[0], code) ? 2 : 1;
}

size_t utf8_columns(const char *text)
{
    size_t len = strlen(text);
    size_t columns = 0;
    uint32_t code = 0;
    for (size_t at = 0; at < len;) {
        size_t used = utf8_next(text + at, len - at, &code);
        columns += used == 0 ? 1 : code_columns(code);
        at += used == 0 ? 1 : used;
    }
    return columns;
}
