/* Errors: each code has a name, a text is filled and cut. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"

static void each_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_string_not_equal(err_name((enum err)i), "?");
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
        }
    }
    assert_string_equal(err_name(ERR_COUNT), "?");
}

static void a_text_is_filled(void **state)
{
    (void)state;
    struct err_text why = {0};
    assert_int_equal(err_set(&why, ERR_LIMIT, "%d of %s", 3, "them"), ERR_LIMIT);
    assert_int_equal(why.code, ERR_LIMIT);
    assert_string_equal(why.text, "3 of them");
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

static void the_system_error_is_told(void **state)
{
    (void)state;
    struct err_text why = {0};
    assert_int_equal(err_set_errno(&why, ERR_IO, ENOSPC, "write %s", "x"), ERR_IO);
    assert_string_equal(why.text, "write x: No space left on device");
    assert_int_equal(why.sys_errno, ENOSPC);
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    char longer[2 * ERR_TEXT_BYTES];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    struct err_text why = {0};
    (void)err_set(&why, ERR_IO, "%s", longer);
    assert_int_equal(strlen(why.text), ERR_TEXT_BYTES - 1);
    (void)err_set_errno(&why, ERR_IO, EIO, "%s", longer);
    assert_int_equal(strlen(why.text), ERR_TEXT_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_a_name_of_its_own),
        cmocka_unit_test(a_text_is_filled),
        cmocka_unit_test(the_system_error_is_told),
        cmocka_unit_test(a_long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
