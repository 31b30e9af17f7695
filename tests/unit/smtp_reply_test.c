/* SMTP replies: the same result however the bytes are cut, and limits that hold. */
#include "smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct row {
    const char *name;
    const char *input;
    enum smtp_reply_state state;
    unsigned code;
    const char *enhanced;
    const char *text;
    size_t rest; /* bytes that belong to the next reply */
} rows[] = {
    {"plain", "250 Ok\r\n", SMTP_REPLY_DONE, 250, "", "Ok", 0},
    {"enhanced", "250 2.1.5 Ok\r\n", SMTP_REPLY_DONE, 250, "2.1.5", "Ok", 0},
    {"long_enhanced", "535 5.7.139 No\r\n", SMTP_REPLY_DONE, 535, "5.7.139", "No", 0},
    {"no_text", "354\r\n", SMTP_REPLY_DONE, 354, "", "", 0},
    {"only_enhanced", "250 2.0.0\r\n", SMTP_REPLY_DONE, 250, "2.0.0", "", 0},
    {"bare_lf", "250 Ok\n", SMTP_REPLY_DONE, 250, "", "Ok", 0},
    {"many_lines", "550-5.1.1 No such\r\n550-5.1.1\r\n550 5.1.1 person\r\n", SMTP_REPLY_DONE,
     550, "5.1.1", "No such person", 0},
    {"enhanced_of_other_class", "550 4.1.1 odd\r\n", SMTP_REPLY_DONE, 550, "", "4.1.1 odd", 0},
    {"no_enhanced_but_numbers", "250 2.0 x\r\n", SMTP_REPLY_DONE, 250, "", "2.0 x", 0},
    {"address_is_no_enhanced", "250 2.1.5.9 x\r\n", SMTP_REPLY_DONE, 250, "", "2.1.5.9 x", 0},
    {"two_replies", "250 a\r\n354 b\r\n", SMTP_REPLY_DONE, 250, "", "a", 7},
    {"unfinished", "250-a\r\n250", SMTP_REPLY_MORE, 250, "", "a", 0},
    {"codes_differ", "250-a\r\n251 b\r\n", SMTP_REPLY_BAD, 250, "", "a", 0},
    {"no_code", "HTTP/1.1 200 OK\r\n", SMTP_REPLY_BAD, 0, "", "", 0},
    {"code_too_low", "199 x\r\n", SMTP_REPLY_BAD, 0, "", "", 0},
    {"code_too_high", "600 x\r\n", SMTP_REPLY_BAD, 0, "", "", 0},
    {"bad_separator", "250_Ok\r\n", SMTP_REPLY_BAD, 250, "", "", 0},
    {"empty_line", "\r\n", SMTP_REPLY_BAD, 0, "", "", 0},
};

static void assert_reply(const struct smtp_reply *reply, const struct row *row)
{
    assert_int_equal(reply->state, row->state);
    assert_int_equal(reply->code, row->code);
    assert_string_equal(reply->enhanced, row->enhanced);
    assert_string_equal(reply->text, row->text);
}

static void a_reply_is_read_in_one_piece(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct smtp_reply reply = {.code = 0};
        size_t len = strlen(rows[i].input);
        print_message("  %s\n", rows[i].name);
        size_t taken = smtp_reply_feed(&reply, rows[i].input, len);
        assert_reply(&reply, &rows[i]);
        if (rows[i].state == SMTP_REPLY_DONE) {
            assert_int_equal(len - taken, rows[i].rest);
        }
    }
}

static void a_reply_may_be_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].input) - rows[i].rest;
        for (size_t cut = 1; cut < len; cut++) {
            struct smtp_reply reply = {.code = 0};
            (void)smtp_reply_feed(&reply, rows[i].input, cut);
            if (reply.state == SMTP_REPLY_MORE) {
                (void)smtp_reply_feed(&reply, rows[i].input + cut, len - cut);
            }
            assert_reply(&reply, &rows[i]);
        }
    }
}

static void the_next_reply_begins_clean(void **state)
{
    struct smtp_reply reply = {.code = 0};
    const char *input = "550-5.1.1 a\r\n550 5.1.1 b\r\n250 c\r\n";
    (void)state;
    size_t taken = smtp_reply_feed(&reply, input, strlen(input));
    assert_int_equal(reply.code, 550);
    taken += smtp_reply_feed(&reply, input + taken, strlen(input) - taken);
    assert_int_equal(reply.state, SMTP_REPLY_DONE);
    assert_int_equal(reply.code, 250);
    assert_string_equal(reply.enhanced, "");
    assert_string_equal(reply.text, "c");
    assert_int_equal(taken, strlen(input));
}

/* A line of len bytes with its LF. */
static enum smtp_reply_state feed_line(struct smtp_reply *reply, size_t len, size_t piece)
{
    static char line[SMTP_REPLY_LINE_BYTES + 8];
    memset(line, 'x', sizeof line);
    memcpy(line, "250 ", 4);
    line[len - 1] = '\n';
    for (size_t at = 0; at < len && reply->state == SMTP_REPLY_MORE; at += piece) {
        (void)smtp_reply_feed(reply, line + at, piece < len - at ? piece : len - at);
    }
    return reply->state;
}

static void a_line_has_a_limit(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
        struct smtp_reply fits = {.code = 0};
        struct smtp_reply too_long = {.code = 0};
        assert_int_equal(feed_line(&fits, SMTP_REPLY_LINE_BYTES, piece), SMTP_REPLY_DONE);
        assert_int_equal(strlen(fits.text), sizeof fits.text - 1);
        assert_int_equal(feed_line(&too_long, SMTP_REPLY_LINE_BYTES + 1, piece),
                         SMTP_REPLY_BAD);
    }
}

static void a_reply_has_a_limit_of_lines(void **state)
{
    struct smtp_reply reply = {.code = 0};
    (void)state;
    for (int i = 0; i < SMTP_REPLY_LINES; i++) {
        (void)smtp_reply_feed(&reply, "250-x\r\n", 7);
        assert_int_equal(reply.state, SMTP_REPLY_MORE);
    }
    (void)smtp_reply_feed(&reply, "250 x\r\n", 7);
    assert_int_equal(reply.state, SMTP_REPLY_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_read_in_one_piece),
        cmocka_unit_test(a_reply_may_be_cut_at_every_byte),
        cmocka_unit_test(the_next_reply_begins_clean),
        cmocka_unit_test(a_line_has_a_limit),
        cmocka_unit_test(a_reply_has_a_limit_of_lines),
    };
    return cmocka_run_group_tests_name("smtp_reply", tests, NULL, NULL);
}
