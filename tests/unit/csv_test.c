/* Tables as Access and Excel export them: separators, encodings, quotes, bad rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "buf.h"
#include "csv.h"

/* Rows as "line:field|field|…\n", bad ones as "line!reason\n". */
static void flatten(const char *data, size_t len, struct buf *out)
{
    struct csv csv;
    struct csv_row row;
    struct err_text why = {0};
    if (csv_open(&csv, data, len, &why) != ERR_OK) {
        buf_add_format(out, "open!%s", why.text);
        return;
    }
    for (enum err err = csv_next(&csv, &row, &why); err != ERR_NOT_FOUND;
         err = csv_next(&csv, &row, &why)) {
        if (err != ERR_OK) {
            buf_add_format(out, "%u!%s\n", row.line, why.text);
            continue;
        }
        buf_add_format(out, "%u:", row.line);
        for (size_t i = 0; i < row.count; i++) {
            buf_add_format(out, "%s%s", i > 0 ? "|" : "", row.fields[i]);
        }
        buf_add_char(out, '\n');
    }
    csv_close(&csv);
}

struct row {
    const char *name;
    const char *input;
    size_t len; /* 0 = strlen */
    const char *wanted;
};

static const struct row rows[] = {
    {"comma", "a,b\n1,2\n", 0, "1:a|b\n2:1|2\n"},
    {"semicolon", "a;b\r\n1,5;2\r\n", 0, "1:a|b\n2:1,5|2\n"},
    {"tab", "a\tb\n1\t2", 0, "1:a|b\n2:1|2\n"},
    {"separator is counted outside of quotes", "\"a,b,c\";d\n1;2\n", 0, "1:a,b,c|d\n2:1|2\n"},
    {"sep line of Excel", "sep=;\r\na;b,c\r\n", 0, "2:a|b,c\n"},
    {"BOM",
     "\xEF\xBB\xBF"
     "a;b\n",
     0, "1:a|b\n"},
    {"UTF-8", "\xC3\xA4;\xE6\xBC\xA2\n", 0, "1:\xC3\xA4|\xE6\xBC\xA2\n"},
    {"Windows-1252", "\xE4;\x80\n", 0, "1:\xC3\xA4|\xE2\x82\xAC\n"},
    {"UTF-16 with a mark",
     "\xFF\xFE"
     "a\0;\0\xE4\0\n\0",
     10, "1:a|\xC3\xA4\n"},
    {"neither encoding", "a;\x81\n", 0, "open!the file is neither UTF-8 nor Windows-1252"},
    {"NUL bytes", "a;b\0c\n", 6,
     "open!the file has NUL bytes: it is no text; export it as CSV"},
    {"line break in quotes", "\"a\r\nb\";c\nd;e\n", 0, "1:a\r\nb|c\n3:d|e\n"},
    {"doubled quotes", "\"say \"\"hi\"\"\";x\n", 0, "1:say \"hi\"|x\n"},
    {"quote inside an unquoted field", "3\" pipe;x\n", 0, "1:3\" pipe|x\n"},
    {"empty quoted field", "\"\";x\n", 0, "1:|x\n"},
    {"empty fields and empty lines", ";;\n\na;;\n", 0, "3:a||\n"},
    {"CR alone ends a line", "a;b\rc;d\r", 0, "1:a|b\n2:c|d\n"},
    {"no line end at the end", "a;b\n\"c\";\"d\"", 0, "1:a|b\n2:c|d\n"},
    {"blanks around fields", " a ; \" b \" ;c \n", 0, "1:a|b|c\n"},
    {"text behind a quote costs one row", "a;b\n\"x\"y;z\nc;d\n", 0,
     "1:a|b\n2!text behind a closing quote; a quote inside quotes is doubled\n3:c|d\n"},
    {"quote never closed", "a;b\nc;\"d\ne;f\n", 0,
     "1:a|b\n2!the quote opened in line 2 is never closed\n"},
    {"one column", "a\nb\n", 0, "1:a\n2:b\n"},
    {"empty file", "", 0, "open!the file is empty"},
    {"only a BOM", "\xEF\xBB\xBF", 0, "open!the file is empty"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        buf_init(&out, 65536);
        flatten(rows[i].input, rows[i].len > 0 ? rows[i].len : strlen(rows[i].input), &out);
        if (strcmp(buf_text(&out), rows[i].wanted) != 0) {
            fail_msg("%s: got %s", rows[i].name, buf_text(&out));
        }
        buf_fini(&out);
    }
}

static void test_limits_cost_one_row(void **state)
{
    struct buf in;
    struct buf out;
    (void)state;
    buf_init(&in, 1 << 20);
    buf_init(&out, 1 << 20);
    buf_add_text(&in, "a;b\n");
    for (int i = 0; i < CSV_MAX_FIELDS; i++) {
        buf_add_text(&in, "x;");
    }
    buf_add_text(&in, "x\nlong;");
    for (int i = 0; i <= CSV_FIELD_MAX_BYTES; i++) {
        buf_add_char(&in, 'y');
    }
    buf_add_text(&in, "\nc;d\n");
    flatten(in.data, in.len, &out);
    assert_string_equal(
        buf_text(&out),
        "1:a|b\n2!more than 256 fields\n3!field 2 is longer than 65536 bytes\n4:c|d\n");
    buf_fini(&in);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_limits_cost_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
