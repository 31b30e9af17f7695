/* Texts: every place in a block, every kind of fault */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "text.h"
#include "utf8.h"

struct row {
    const char *name;
    const char *bytes;
    size_t len;
    enum text_fault line;
    enum text_fault body;
};

#define ROW(name, bytes, line, body)                                                           \
    {                                                                                          \
        name, (bytes), sizeof(bytes) - 1, TEXT_##line, TEXT_##body                             \
    }

static const struct row rows[] = {
    ROW("empty", "", OK, OK),
    ROW("ASCII", "aZ 09~", OK, OK),
    ROW("tab", "\t", CONTROL, OK),
    ROW("CR LF", "\r\n", CONTROL, OK),
    ROW("NUL", "\0", CONTROL, CONTROL),
    ROW("escape", "\x1b", CONTROL, CONTROL),
    ROW("unit separator", "\x1f", CONTROL, CONTROL),
    ROW("DEL", "\x7f", CONTROL, CONTROL),
    ROW("U+0080", "\xc2\x80", CONTROL, OK),
    ROW("U+009F", "\xc2\x9f", CONTROL, OK),
    ROW("U+00A0", "\xc2\xa0", OK, OK),
    ROW("U+00C0", "\xc3\x80", OK, OK),
    ROW("U+07FF", "\xdf\xbf", OK, OK),
    ROW("U+0800", "\xe0\xa0\x80", OK, OK),
    ROW("U+1000", "\xe1\x80\x80", OK, OK),
    ROW("U+D7FF", "\xed\x9f\xbf", OK, OK),
    ROW("U+E000", "\xee\x80\x80", OK, OK),
    ROW("U+FFFF", "\xef\xbf\xbf", OK, OK),
    ROW("U+10000", "\xf0\x90\x80\x80", OK, OK),
    ROW("U+10FFFF", "\xf4\x8f\xbf\xbf", OK, OK),
    ROW("U+110000", "\xf4\x90\x80\x80", MALFORMED, MALFORMED),
    ROW("surrogate", "\xed\xa0\x80", MALFORMED, MALFORMED),
    ROW("overlong NUL", "\xc0\x80", MALFORMED, MALFORMED),
    ROW("overlong slash", "\xe0\x80\xaf", MALFORMED, MALFORMED),
    ROW("overlong in four", "\xf0\x80\x80\xaf", MALFORMED, MALFORMED),
    ROW("lone continuation", "\x80", MALFORMED, MALFORMED),
    ROW("lead byte FF", "\xff", MALFORMED, MALFORMED),
    ROW("cut after one of two", "\xc3", MALFORMED, MALFORMED),
    ROW("cut after two of three", "\xe2\x82", MALFORMED, MALFORMED),
    ROW("cut after three of four", "\xf0\x9f\x98", MALFORMED, MALFORMED),
    ROW("ASCII for a continuation", "\xc3(", MALFORMED, MALFORMED),
    ROW("ASCII for the last of three", "\xe2\x82(", MALFORMED, MALFORMED),
};

static void must(bool good, const char *name, size_t at)
{
    if (!good) {
        fail_msg("%s at %zu", name, at);
    }
}

static void each_fault_is_found_at_each_place(void **state)
{
    (void)state;
    enum { ROOM = 200 };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool plain = rows[i].body == TEXT_OK;
        for (size_t k = 0; k < rows[i].len; k++) {
            plain = plain && (uint8_t)rows[i].bytes[k] < 0x80;
        }
        for (size_t at = 0; at + rows[i].len <= ROOM; at++) {
            char bytes[ROOM];
            memset(bytes, 'x', sizeof bytes);
            memcpy(bytes + at, rows[i].bytes, rows[i].len);
            must(text_check(bytes, sizeof bytes, TEXT_LINE) == rows[i].line &&
                     text_check(bytes, sizeof bytes, TEXT_BODY) == rows[i].body &&
                     text_is_plain(bytes, sizeof bytes) == plain,
                 rows[i].name, at);
        }
        assert_int_equal(text_check(rows[i].bytes, rows[i].len, TEXT_LINE), rows[i].line);
        assert_int_equal(text_check(rows[i].bytes, rows[i].len, TEXT_BODY), rows[i].body);
        assert_int_equal(text_is_plain(rows[i].bytes, rows[i].len), plain);
    }
}

static void every_byte_alone_is_judged(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char block[64];
        memset(block, (int)byte, sizeof block);
        bool visible = byte >= 0x20 && byte < 0x7f;
        bool space = byte == '\t' || byte == '\n' || byte == '\r';
        enum text_fault bad = byte >= 0x80 ? TEXT_MALFORMED : TEXT_CONTROL;
        assert_int_equal(text_check(block, sizeof block, TEXT_LINE), visible ? TEXT_OK : bad);
        assert_int_equal(text_check(block, sizeof block, TEXT_BODY),
                         visible || space ? TEXT_OK : bad);
    }
}

/* What the rules say, one character after the other. */
static enum text_fault slowly(const char *p, size_t len, enum text_kind kind)
{
    uint32_t code = 0;
    for (size_t at = 0; at < len;) {
        size_t width = utf8_next(p + at, len - at, &code);
        if (width == 0) {
            return TEXT_MALFORMED;
        }
        bool space = code == '\t' || code == '\n' || code == '\r';
        bool control =
            code < 0x20 || (code >= 0x7f && code < (kind == TEXT_LINE ? 0xa0 : 0x80));
        if (control && !(kind == TEXT_BODY && space)) {
            return TEXT_CONTROL;
        }
        at += width;
    }
    return TEXT_OK;
}

/* Texts of every length, of pieces that are good, odd and broken; nothing behind the last byte is looked at. */
static void fast_and_slow_agree(void **state)
{
    (void)state;
    enum { ROUNDS = 50000, ROOM = 200 };
    uint64_t seed = 88172645463325252U;
    size_t faults[TEXT_CONTROL + 1] = {0};
    for (unsigned round = 0; round < ROUNDS; round++) {
        char bytes[ROOM];
        size_t len = 0;
        size_t want = round % ROOM;
        while (len < want) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            size_t pick = seed >> 32 & 63U;
            bool odd = pick < sizeof rows / sizeof rows[0] && (seed & 31U) == 0;
            const struct row *row = &rows[odd ? pick : 0];
            odd = odd && (row->body == TEXT_OK || (seed & 992U) == 0);
            if (odd && row->len <= want - len) {
                memcpy(bytes + len, row->bytes, row->len);
                len += row->len;
            } else {
                bytes[len++] = (char)(' ' + (seed >> 40) % 0x5f);
            }
        }
        char *exact = mem_copy(bytes, len);
        enum text_fault line = slowly(bytes, len, TEXT_LINE);
        enum text_fault body = slowly(bytes, len, TEXT_BODY);
        assert_int_equal(text_check(exact, len, TEXT_LINE), line);
        assert_int_equal(text_check(exact, len, TEXT_BODY), body);
        faults[line]++;
        free(exact);
    }
    assert_true(faults[TEXT_OK] > ROUNDS / 10 && faults[TEXT_CONTROL] > ROUNDS / 100 &&
                faults[TEXT_MALFORMED] > ROUNDS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_found_at_each_place),
        cmocka_unit_test(every_byte_alone_is_judged),
        cmocka_unit_test(fast_and_slow_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
