/* The hash map: keys are bytes, values are the caller's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "map.h"

static void a_key_has_the_value_that_was_put_last(void **state)
{
    (void)state;
    int one = 1;
    int two = 2;
    struct map *map = NULL;
    assert_null(map_get_text(map, "a"));
    assert_null(map_put_text(&map, "a", &one));
    assert_ptr_equal(map_put_text(&map, "a", &two), &one);
    assert_ptr_equal(map_get_text(map, "a"), &two);
    assert_int_equal(map_count(map), 1);
    assert_ptr_equal(map_take_text(&map, "a"), &two);
    assert_null(map_take_text(&map, "a"));
    assert_int_equal(map_count(map), 0);
    map_clear(&map);
}

static void keys_are_bytes_of_a_length(void **state)
{
    (void)state;
    int values[4];
    struct map *map = NULL;
    (void)map_put(&map, "ab", 1, &values[0]);
    (void)map_put(&map, "ab", 2, &values[1]);
    (void)map_put(&map, "a\0b", 3, &values[2]);
    (void)map_put(&map, "", 0, &values[3]);
    assert_ptr_equal(map_get(map, "a", 1), &values[0]);
    assert_ptr_equal(map_get(map, "ab", 2), &values[1]);
    assert_ptr_equal(map_get(map, "a\0b", 3), &values[2]);
    assert_ptr_equal(map_get(map, "", 0), &values[3]);
    assert_null(map_get(map, "a\0c", 3));
    map_clear(&map);
    assert_null(map);
}

static void the_map_keeps_a_copy_of_the_key(void **state)
{
    (void)state;
    int value;
    char key[] = "first";
    struct map *map = NULL;
    (void)map_put_text(&map, key, &value);
    memset(key, 'x', sizeof key - 1);
    assert_ptr_equal(map_get_text(map, "first"), &value);
    assert_null(map_get_text(map, key));
    map_clear(&map);
}

struct sum {
    struct map **map;
    uint64_t total;
};

static void add_and_take(void *arg, void *value)
{
    struct sum *sum = arg;
    uint64_t number = *(uint64_t *)value;
    sum->total += number;
    if (number % 2 == 0) {
        assert_ptr_equal(map_take_u64(sum->map, number), value);
    }
}

static void each_may_take_the_key_it_is_called_with(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static uint64_t numbers[COUNT];
    struct map *map = NULL;
    uint64_t total = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        numbers[i] = i << 20 | i;
        total += numbers[i];
        (void)map_put_u64(&map, numbers[i], &numbers[i]);
    }
    struct sum sum = {.map = &map};
    map_each(map, add_and_take, &sum);
    assert_int_equal(sum.total, total);
    assert_int_equal(map_count(map), COUNT / 2);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(map_get_u64(map, numbers[i]), i % 2 == 0 ? NULL : &numbers[i]);
    }
    map_clear(&map);
}

/* As leases come and go: in a row, some thousand at a time, among numbers that fall into the same places. */
static void numbers_in_a_row_come_and_go(void **state)
{
    (void)state;
    enum { COUNT = 50000, LIVE = 3000 };
    static char values[COUNT];
    struct map *map = NULL;
    const uint64_t epoch = UINT64_C(7) << 40;
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_null(map_put_u64(&map, epoch + i, &values[i]));
        if (i >= LIVE) {
            assert_ptr_equal(map_take_u64(&map, epoch + i - LIVE), &values[i - LIVE]);
            assert_null(map_get_u64(map, epoch + i - LIVE));
        }
        assert_ptr_equal(map_get_u64(map, epoch + i - i % LIVE / 2), &values[i - i % LIVE / 2]);
    }
    assert_int_equal(map_count(map), LIVE);
    map_clear(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_the_value_that_was_put_last),
        cmocka_unit_test(keys_are_bytes_of_a_length),
        cmocka_unit_test(the_map_keeps_a_copy_of_the_key),
        cmocka_unit_test(each_may_take_the_key_it_is_called_with),
        cmocka_unit_test(numbers_in_a_row_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
