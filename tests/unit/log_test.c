/* Lines that are put together of words are those that printf(3) would make, cut at the same place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "log.h"

enum { LINE_BYTES = 2048, LONG = 3000 };

/* What stands behind the time. */
static const char *said(const struct buf *batch)
{
    const char *blank = strchr(buf_text(batch), ' ');
    assert_non_null(blank);
    return blank;
}

static void words_make_the_line_that_printf_makes(void **state)
{
    static char text[LONG + 1];
    struct buf printed;
    struct buf put;
    (void)state;
    buf_init(&printed, 65536);
    buf_init(&put, 65536);
    for (size_t len = 0; len <= LONG; len = len < 10 ? len + 1 : len + 71) {
        memset(text, 'x', len);
        text[len] = '\0';
        const char *const words[] = {"request=", text, " code=", "250", " text=", "\"ok\""};
        buf_reset(&printed);
        buf_reset(&put);
        log_add(&printed, LOG_LEVEL_INFO, "delivery", "request=%s code=%u text=%s", text, 250U,
                "\"ok\"");
        log_add_words(&put, LOG_LEVEL_INFO, "delivery", words, sizeof words / sizeof words[0]);
        assert_string_equal(said(&put), said(&printed));
        assert_in_range(put.len, 1, LINE_BYTES - 1);
        assert_int_equal(buf_text(&put)[put.len - 1], '\n');
    }
    buf_reset(&put);
    log_add_words(&put, LOG_LEVEL_DEBUG, "delivery", (const char *const[]){"a=b"}, 1);
    assert_int_equal(put.len, 0); /* not of this level */
    buf_fini(&printed);
    buf_fini(&put);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_make_the_line_that_printf_makes),
    };
    log_init("log-test", LOG_LEVEL_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
