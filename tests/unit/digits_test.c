/* Numbers in decimal. */
#include "digits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void numbers_are_written_as_printf_does(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t number;
        int least;
        const char *wanted;
    } rows[] = {
        {0, 1, "0"},
        {7, 2, "07"},
        {2026, 4, "2026"},
        {12345, 3, "12345"},
        {UINT64_MAX, 1, "18446744073709551615"},
        {1, DIGITS_MAX, "00000000000000000001"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[DIGITS_MAX + 1];
        *digits_put(out, rows[i].number, rows[i].least) = '\0';
        assert_string_equal(out, rows[i].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_as_printf_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
