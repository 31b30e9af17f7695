/* The chain's arithmetic against a second reckoning (Python's hashlib, once, by hand), and its turns of the day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chain.h"

/* H = lambda *p: hashlib.sha256(b"".join(p)).digest(); n = lambda i: i.to_bytes(8, "big")
 * begin = H(b"trackpro-notify day\0", n(20000), bytes(32))
 * first = H(begin, H(n(7), n(3), n(1728000000000), b"one")); second = H(first, H(n(9), n(0), n(1728000000001), b"")) */
static const char first_hex[] =
    "ed3dc16b7c2abd3a571fc022281d2ae41ab5c2bb5ab4fe029237ce10b7b6f483";
static const char second_hex[] =
    "23456b160f0558e8609e1fd6854047b87bc96f0c5e1c6573cd3fb575b1613cd6";

static struct chain_entry entry_of(uint64_t number, uint64_t request, int64_t at_ms,
                                   const char *data)
{
    return (struct chain_entry){.number = number,
                                .request = request,
                                .at_ms = at_ms,
                                .data = (const uint8_t *)data,
                                .len = strlen(data)};
}

static const int64_t noon_ms = INT64_C(20000) * CHAIN_DAY_MS;

static void values_are_those_of_the_definition(void **state)
{
    (void)state;
    struct digest_maker *maker = digest_maker_new();
    struct chain chain = {0};
    char hex[2 * DIGEST_BYTES + 1];
    chain_turn(&chain, maker, 20000);
    struct chain_entry entry = entry_of(7, 3, noon_ms, "one");
    chain_add(&chain, maker, &entry);
    assert_string_equal(digest_hex(chain.head, DIGEST_BYTES, hex), first_hex);
    entry = entry_of(9, 0, noon_ms + 1, "");
    chain_add(&chain, maker, &entry);
    assert_string_equal(digest_hex(chain.head, DIGEST_BYTES, hex), second_hex);
    assert_int_equal(chain.first, 7);
    assert_int_equal(chain.last, 9);
    assert_int_equal(chain.count, 2);
    digest_maker_free(&maker);
    assert_null(maker);
}

/* Whatever is changed of an entry, or of what stands before it, changes the value. */
static void every_part_counts(void **state)
{
    (void)state;
    const struct {
        const char *name;
        int64_t day;
        uint8_t start;
        struct chain_entry entry;
    } rows[] = {
        {"as it is", 20000, 0, entry_of(7, 3, noon_ms, "one")},
        {"day", 20001, 0, entry_of(7, 3, noon_ms, "one")},
        {"start", 20000, 1, entry_of(7, 3, noon_ms, "one")},
        {"number", 20000, 0, entry_of(8, 3, noon_ms, "one")},
        {"request", 20000, 0, entry_of(7, 4, noon_ms, "one")},
        {"time", 20000, 0, entry_of(7, 3, noon_ms + 1, "one")},
        {"data", 20000, 0, entry_of(7, 3, noon_ms, "onE")},
        {"length", 20000, 0, entry_of(7, 3, noon_ms, "one ")},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct digest_maker *maker = digest_maker_new();
    uint8_t heads[ROWS][DIGEST_BYTES];
    for (size_t i = 0; i < ROWS; i++) {
        struct chain chain = {.head = {rows[i].start}};
        chain_turn(&chain, maker, rows[i].day);
        chain_add(&chain, maker, &rows[i].entry);
        memcpy(heads[i], chain.head, DIGEST_BYTES);
        for (size_t k = 0; k < i; k++) {
            if (memcmp(heads[i], heads[k], DIGEST_BYTES) == 0) {
                fail_msg("%s and %s give one value", rows[i].name, rows[k].name);
            }
        }
    }
    digest_maker_free(&maker);
}

static void a_day_begins_with_its_first_entry(void **state)
{
    (void)state;
    const struct {
        const char *name;
        uint64_t count;
        int64_t at_ms;
        bool wanted;
    } rows[] = {
        {"the first ever", 0, noon_ms, true},
        {"same day", 1, noon_ms, false},
        {"its last millisecond", 1, noon_ms + CHAIN_DAY_MS - 1, false},
        {"the next", 1, noon_ms + CHAIN_DAY_MS, true},
        {"much later", 1, noon_ms + INT64_C(400) * CHAIN_DAY_MS, true},
        {"a little late for its day", 1, noon_ms - 1, false},
        {"the clock was set back", 1, noon_ms - CHAIN_DAY_MS - 1, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct chain chain = {.day = 20000, .count = rows[i].count};
        if (chain_turns(&chain, rows[i].at_ms) != rows[i].wanted) {
            fail_msg("%s", rows[i].name);
        }
    }
}

static void days_are_those_of_utc(void **state)
{
    (void)state;
    const struct {
        int64_t at_ms;
        int64_t day;
        const char *date;
    } rows[] = {
        {0, 0, "1970-01-01"},
        {CHAIN_DAY_MS - 1, 0, "1970-01-01"},
        {-1, -1, "1969-12-31"},
        {-CHAIN_DAY_MS, -1, "1969-12-31"},
        {INT64_C(1795564800000), 20782, "2026-11-25"},
        {INT64_C(1709164800000), 19782, "2024-02-29"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char date[CHAIN_DATE_BYTES];
        assert_int_equal(chain_day_of(rows[i].at_ms), rows[i].day);
        assert_string_equal(chain_date(rows[i].day, date), rows[i].date);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_the_definition),
        cmocka_unit_test(every_part_counts),
        cmocka_unit_test(a_day_begins_with_its_first_entry),
        cmocka_unit_test(days_are_those_of_utc),
    };
    return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
