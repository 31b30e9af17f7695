/* Content transfer encodings: which one is chosen, and the bytes it makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "encode.h"

#define X10 "xxxxxxxxxx"
#define X70 X10 X10 X10 X10 X10 X10 X10
#define AE "\xc3\xa4"
#define AE10 AE AE AE AE AE AE AE AE AE AE

struct row {
    const char *name;
    const char *text;
    enum encode_kind kind;
    const char *wanted;
};

static const struct row rows[] = {
    {"empty", "", ENCODE_7BIT, ""},
    {"LF becomes CRLF", "a\nb\n", ENCODE_7BIT, "a\r\nb\r\n"},
    {"CR becomes CRLF", "a\rb\r", ENCODE_7BIT, "a\r\nb\r\n"},
    {"CRLF stays", "a\r\nb\r\n", ENCODE_7BIT, "a\r\nb\r\n"},
    {"line ends mixed", "a\r\n\rb\n\n\r\nc", ENCODE_7BIT, "a\r\n\r\nb\r\n\r\n\r\nc"},
    {"LF CR are two line ends", "a\n\rb", ENCODE_7BIT, "a\r\n\r\nb"},
    {"no line end is added", "a", ENCODE_7BIT, "a"},
    {"76 characters", X70 "xxxxxx", ENCODE_7BIT, X70 "xxxxxx"},
    {"77 characters", X70 "xxxxxxx", ENCODE_QUOTED_PRINTABLE, X70 "xxxxx=\r\nxx"},
    {"tab inside", "a\tb", ENCODE_7BIT, "a\tb"},
    {"leading dot", ".", ENCODE_QUOTED_PRINTABLE, "=2E"},
    {"dots in lines", "a\n..\n.b", ENCODE_QUOTED_PRINTABLE, "a\r\n=2E.\r\n=2Eb"},
    {"dot inside", "a.b", ENCODE_7BIT, "a.b"},
    {"dot behind a soft break", X70 "xxxxx.x", ENCODE_QUOTED_PRINTABLE, X70 "xxxxx=\r\n=2Ex"},
    {"From", "From here", ENCODE_QUOTED_PRINTABLE, "=46rom here"},
    {"From behind a soft break", X70 "xxxxxFrom x", ENCODE_QUOTED_PRINTABLE,
     X70 "xxxxx=\r\n=46rom x"},
    {"Fromage", "Fromage", ENCODE_7BIT, "Fromage"},
    {"trailing blank", "a \nb", ENCODE_QUOTED_PRINTABLE, "a=20\r\nb"},
    {"trailing tab at the end", "a\t", ENCODE_QUOTED_PRINTABLE, "a=09"},
    {"only blanks", "  ", ENCODE_QUOTED_PRINTABLE, " =20"},
    {"boundary of ours", "--=_0123_m", ENCODE_QUOTED_PRINTABLE, "--=3D_0123_m"},
    {"two hyphens", "-- \nJohn", ENCODE_QUOTED_PRINTABLE, "--=20\r\nJohn"},
    {"equals sign", "a=b", ENCODE_7BIT, "a=b"},
    {"some UTF-8", "Due again in M" AE "rz, x=1", ENCODE_QUOTED_PRINTABLE,
     "Due again in M=C3=A4rz, x=3D1"},
    {"mostly UTF-8", AE10, ENCODE_BASE64, "w6TDpMOkw6TDpMOkw6TDpMOkw6Q="},
    {"UTF-8 with line ends", AE10 "\n" AE10 "\n", ENCODE_BASE64,
     "w6TDpMOkw6TDpMOkw6TDpMOkw6QNCsOkw6TDpMOkw6TDpMOkw6TDpMOkDQo="},
    {"control byte", "a\x01 abcdefghijk", ENCODE_QUOTED_PRINTABLE, "a=01 abcdefghijk"},
    {"delete", "abcdefghijk\x7f", ENCODE_QUOTED_PRINTABLE, "abcdefghijk=7F"},
};

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        buf_init(&out, 4096);
        size_t len = strlen(rows[i].text);
        enum encode_kind kind = ENCODE_7BIT;
        if (!encode_plain(&out, rows[i].text, len)) {
            assert_int_equal(out.len, 0);
            assert_string_equal(buf_text(&out), "");
            kind = encode_choose(rows[i].text, len);
            encode_text(&out, kind, rows[i].text, len);
        }
        if (kind != rows[i].kind || strcmp(buf_text(&out), rows[i].wanted) != 0) {
            fail_msg("%s: %s <%s>", rows[i].name, encode_name(kind), buf_text(&out));
        }
        assert_int_equal(buf_status(&out), ERR_OK);
        buf_fini(&out);
    }
}

/* Every length of up to four lines, against OpenSSL's encoder without line breaks. */
static void test_base64(void **state)
{
    (void)state;
    uint8_t data[4 * 57 + 1];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 151 + 7);
    }
    for (size_t len = 0; len <= sizeof data; len++) {
        struct buf out;
        char wanted[512] = "";
        char joined[512];
        size_t joined_len = 0;
        buf_init(&out, 4096);
        encode_base64(&out, data, len);
        (void)EVP_EncodeBlock((unsigned char *)wanted, data, (int)len);
        const char *text = buf_text(&out);
        for (size_t line = strcspn(text, "\r"); *text != '\0'; line = strcspn(text, "\r")) {
            assert_true(line <= ENCODE_LINE_CHARS);
            memcpy(joined + joined_len, text, line);
            joined_len += line;
            text += line;
            if (*text != '\0') {
                assert_int_equal(line, ENCODE_LINE_CHARS);
                assert_memory_equal(text, "\r\n", 2);
                text += 2;
                assert_true(*text != '\0'); /* no line end behind the last line */
            }
        }
        joined[joined_len] = '\0';
        assert_string_equal(joined, wanted);
        buf_fini(&out);
    }
}

static void test_bytes(void **state)
{
    static const struct {
        const char *name;
        const char *data;
        size_t len;
        enum encode_kind kind;
        const char *wanted;
    } byte_rows[] = {
        {"nothing", "", 0, ENCODE_BASE64, ""},
        {"a table", "a,b\r\nc\n", 7, ENCODE_BASE64, "YSxiDQpjCg=="},
        {"line ends are bytes", "long enough to be shorter so\r\n", 30, ENCODE_QUOTED_PRINTABLE,
         "long enough to be shorter so=0D=0A"},
        {"a lone dot", "....................", 20, ENCODE_QUOTED_PRINTABLE,
         "=2E..................."},
        {"a blank at the end", "words with a blank behind ", 26, ENCODE_QUOTED_PRINTABLE,
         "words with a blank behind=20"},
        {"bytes", "\0\1\2\377", 4, ENCODE_BASE64, "AAEC/w=="},
    };
    (void)state;
    for (size_t i = 0; i < sizeof byte_rows / sizeof byte_rows[0]; i++) {
        struct buf out;
        buf_init(&out, 4096);
        enum encode_kind kind = encode_choose_bytes(byte_rows[i].data, byte_rows[i].len);
        encode_bytes(&out, kind, byte_rows[i].data, byte_rows[i].len);
        if (kind != byte_rows[i].kind || strcmp(buf_text(&out), byte_rows[i].wanted) != 0) {
            fail_msg("%s: %s <%s>", byte_rows[i].name, encode_name(kind), buf_text(&out));
        }
        buf_fini(&out);
    }
}

static void test_limit(void **state)
{
    (void)state;
    static const enum encode_kind kinds[] = {ENCODE_7BIT, ENCODE_QUOTED_PRINTABLE,
                                             ENCODE_BASE64};
    static const char line[] = "a line of more than sixteen\n";
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct buf out;
        buf_init(&out, 16);
        if (kinds[i] == ENCODE_7BIT) {
            assert_true(encode_plain(&out, line, sizeof line - 1));
        } else {
            encode_text(&out, kinds[i], line, sizeof line - 1);
        }
        assert_int_equal(buf_status(&out), ERR_LIMIT);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
