/* Mail headers: folds, encoded words, mailboxes, parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "header.h"

#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define AE "\xc3\xa4"
#define AE10 AE AE AE AE AE AE AE AE AE AE
#define QAE "=C3=A4"
#define SUN "\xe6\x97\xa5"
#define SMILE "\xf0\x9f\x98\x80"

struct row {
    const char *name;
    const char *input;
    const char *more;
    const char *wanted;
};

static const struct row texts[] = {
    {"empty", "", "", "S:\r\n"},
    {"plain", "Hello, world", "", "S: Hello, world\r\n"},
    {"fold before the word that does not fit", X50 " " X10 " " X10 " a", "",
     "S: " X50 " " X10 " " X10 "\r\n a\r\n"},
    {"blanks before a word count", X50 " " X10 "  " X10, "",
     "S: " X50 " " X10 "\r\n  " X10 "\r\n"},
    {"blanks are kept over a fold", X50 " " X10 "     " X10, "",
     "S: " X50 " " X10 "\r\n     " X10 "\r\n"},
    {"long first word is not folded away", X50 X10 "xxxxxx", "", "S: " X50 X10 "xxxxxx\r\n"},
    {"longer word is encoded", X50 X10 "xxxxxxx", "",
     "S: =?UTF-8?Q?" X50 X10 "x?=\r\n =?UTF-8?Q?xxxxxx?=\r\n"},
    {"leading blank", " a", "", "S: =?UTF-8?Q?_a?=\r\n"},
    {"trailing blank", "a ", "", "S: =?UTF-8?Q?a_?=\r\n"},
    {"reads as an encoded word", "=?x", "", "S: =?UTF-8?B?PT94?=\r\n"},
    {"Q is shorter", "caf\xc3\xa9 = a_b?", "", "S: =?UTF-8?B?Y2Fmw6kgPSBhX2I/?=\r\n"},
    {"mostly ASCII goes as Q",
     "Pr\xc3\xbc"
     "fung of item 17, due today",
     "", "S: =?UTF-8?Q?Pr=C3=BCfung_of_item_17,_due_today?=\r\n"},
    {"characters are not split",
     SMILE SMILE SMILE SMILE SMILE SMILE SMILE SMILE SMILE SMILE SMILE SMILE SMILE, "",
     "S: =?UTF-8?B?8J+YgPCfmIDwn5iA8J+YgPCfmIDwn5iA8J+YgPCfmIDwn5iA?=\r\n"
     " =?UTF-8?B?8J+YgPCfmIDwn5iA8J+YgA==?=\r\n"},
    {"no padding between words: one in Q when B would need some",
     "x" SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN SUN, "",
     "S: =?UTF-8?Q?x=E6=97=A5=E6=97=A5=E6=97=A5=E6=97=A5=E6=97=A5=E6=97=A5?=\r\n"
     " =?UTF-8?B?5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel5pel?=\r\n"},
};

static const struct row mailboxes[] = {
    {"no name", "", "a@x.test", "S: a@x.test,\r\n"},
    {"atoms", "John Doe", "a@x.test", "S: John Doe <a@x.test>,\r\n"},
    {"period", "John Q. Doe", "a@x.test", "S: \"John Q. Doe\" <a@x.test>,\r\n"},
    {"quote and backslash", "a\"b\\c", "a@x.test", "S: \"a\\\"b\\\\c\" <a@x.test>,\r\n"},
    {"comma", "Doe, John", "a@x.test", "S: \"Doe, John\" <a@x.test>,\r\n"},
    {"two blanks", "a  b", "a@x.test", "S: \"a  b\" <a@x.test>,\r\n"},
    {"another address in it", "x <b@y.test>,", "a@x.test",
     "S: \"x <b@y.test>,\" <a@x.test>,\r\n"},
    {"encoded word in it", "=?a?=", "a@x.test", "S: =?UTF-8?B?PT9hPz0=?= <a@x.test>,\r\n"},
    {"UTF-8 as Q uses the narrow set", "Ren\xc3\xa9 Abcdef", "a@x.test",
     "S: =?UTF-8?Q?Ren=C3=A9_Abcdef?= <a@x.test>,\r\n"},
    {"comma inside Q is hidden", "Ren\xc3\xa9, Abcdefghijkl", "a@x.test",
     "S: =?UTF-8?Q?Ren=C3=A9=2C_Abcdefghijkl?= <a@x.test>,\r\n"},
    {"UTF-8 as B", AE10, "a@x.test",
     "S: =?UTF-8?B?w6TDpMOkw6TDpMOkw6TDpMOkw6Q=?= <a@x.test>,\r\n"},
    {"address does not fit", X50, X10 X10 "@x.test",
     "S: " X50 "\r\n <" X10 X10 "@x.test>,\r\n"},
};

static const struct row parameters[] = {
    {"token", "filename", "report-17.pdf", "S:; filename=report-17.pdf\r\n"},
    {"blank", "filename", "a b.txt", "S:; filename=\"a b.txt\"\r\n"},
    {"apostrophe", "filename", "x'y''z", "S:; filename=\"x'y''z\"\r\n"},
    {"empty", "filename", "", "S:; filename=\"\"\r\n"},
    {"quote", "filename", "a\"b\\c;.bin",
     "S:; filename*=UTF-8''a%22b%5Cc%3B.bin; filename=\"a_b_c;.bin\"\r\n"},
    {"UTF-8", "filename", "M" AE "rz.pdf",
     "S:; filename*=UTF-8''M%C3%A4rz.pdf; filename=\"M_rz.pdf\"\r\n"},
    {"long", "filename", X50 X10 X10 ".pdf",
     "S:;\r\n filename*0*=UTF-8''" X50 "xxxxx;\r\n filename*1*=xxxxx" X10 ".pdf;\r\n"
     " filename=\"" X10 X10 X10 X10 "xxxxxxxx.pdf\"\r\n"},
};

typedef void write_fn(struct header *h, const struct row *row);

static void write_text(struct header *h, const struct row *row)
{
    header_text(h, row->input, HEADER_WORD_FOLD);
}

static void write_mailbox(struct header *h, const struct row *row)
{
    header_mailbox(h, row->input, row->more, ",");
}

static void write_parameter(struct header *h, const struct row *row)
{
    header_parameter(h, row->input, row->more);
}

static void run(const struct row *rows, size_t count, write_fn *write)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct buf out;
        struct header h;
        buf_init(&out, 4096);
        header_open(&h, &out, "S");
        write(&h, &rows[i]);
        header_close(&h);
        if (strcmp(buf_text(&out), rows[i].wanted) != 0) {
            print_error("%s:\n got    <%s>\n wanted <%s>\n", rows[i].name, buf_text(&out),
                        rows[i].wanted);
            wrong++;
        }
        buf_fini(&out);
    }
    assert_int_equal(wrong, 0);
}

static void test_texts(void **state)
{
    (void)state;
    run(texts, sizeof texts / sizeof texts[0], write_text);
}

static void test_mailboxes(void **state)
{
    (void)state;
    run(mailboxes, sizeof mailboxes / sizeof mailboxes[0], write_mailbox);
}

static void test_parameters(void **state)
{
    (void)state;
    run(parameters, sizeof parameters / sizeof parameters[0], write_parameter);
}

/* A word that may mean something to a program is kept whole where the caller says so. */
static void test_long_word_kept(void **state)
{
    (void)state;
    struct buf out;
    struct header h;
    buf_init(&out, 4096);
    header_open(&h, &out, "References");
    header_text(&h, "<" X50 X50 "@x.test>", HEADER_WORD_KEEP);
    header_close(&h);
    assert_string_equal(buf_text(&out), "References: <" X50 X50 "@x.test>\r\n");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_mailboxes),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_long_word_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
