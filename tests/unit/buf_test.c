/* Growable bytes: what is appended is there, and nothing passes the maximum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"

static void what_is_appended_is_there(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100000);
    assert_string_equal(buf_text(&b), "");
    buf_add(&b, NULL, 0);
    buf_add_text(&b, "one ");
    buf_add_char(&b, '2');
    buf_add_format(&b, " %s-%d", "three", 4);
    buf_add_char(&b, ' ');
    buf_add_number(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_number(&b, UINT64_MAX);
    assert_string_equal(buf_text(&b), "one 2 three-4 0 18446744073709551615");
    for (int i = 0; i < 10000; i++) {
        buf_add(&b, "x\0", 2);
    }
    assert_int_equal(b.len, 36 + 20000);
    assert_int_equal(b.data[b.len], '\0');
    assert_int_equal(buf_status(&b), ERR_OK);
    buf_fini(&b);
    assert_int_equal(b.len, 0);
    buf_add_text(&b, "again");
    assert_string_equal(buf_text(&b), "again");
    buf_fini(&b);
}

static void the_maximum_holds_and_the_failure_stays(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    buf_add_text(&b, "1234");
    assert_int_equal(buf_status(&b), ERR_OK);
    buf_add_char(&b, '5');
    assert_int_equal(buf_status(&b), ERR_LIMIT);
    assert_string_equal(buf_text(&b), "1234");
    buf_reset(&b);
    assert_int_equal(buf_status(&b), ERR_OK);
    buf_add_text(&b, "12345");
    assert_int_equal(buf_status(&b), ERR_LIMIT);
    buf_add_char(&b, '1');
    assert_string_equal(buf_text(&b), "");
    buf_fini(&b);
}

static void the_first_bytes_can_be_dropped(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_drop(&b, 3);
    buf_add_text(&b, "abcdef");
    buf_drop(&b, 2);
    assert_string_equal(buf_text(&b), "cdef");
    buf_drop(&b, 99);
    assert_int_equal(b.len, 0);
    assert_string_equal(buf_text(&b), "");
    buf_fini(&b);
}

static void the_bytes_can_be_taken(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    char *nothing = buf_take(&b);
    assert_string_equal(nothing, "");
    buf_add_text(&b, "abc");
    char *text = buf_take(&b);
    assert_string_equal(text, "abc");
    assert_int_equal(b.len, 0);
    assert_int_equal(b.max, 100);
    free(nothing);
    free(text);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_there),
        cmocka_unit_test(the_maximum_holds_and_the_failure_stays),
        cmocka_unit_test(the_first_bytes_can_be_dropped),
        cmocka_unit_test(the_bytes_can_be_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
