/* Memory that is given back all at once. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arena.h"

static void pieces_lie_apart_and_aligned(void **state)
{
    (void)state;
    max_align_t room[8];
    struct arena arena;
    arena_init(&arena, room, sizeof room);
    uint8_t *a = arena_take(&arena, 1);
    uint8_t *b = arena_take(&arena, 17);
    uint8_t *c = arena_take(&arena, 0);
    assert_true(a == (uint8_t *)room);
    assert_int_equal((uintptr_t)b % alignof(max_align_t), 0);
    assert_true(b > a && c >= b + 17);
    arena_reset(&arena);
    assert_true(arena_take(&arena, 8) == a);
    arena_reset(&arena);
}

static void what_does_not_fit_has_a_block(void **state)
{
    (void)state;
    max_align_t room[4];
    struct arena arena;
    arena_init(&arena, room, sizeof room);
    char *small = arena_copy(&arena, "small", 6);
    char *large = arena_take(&arena, 100000);
    memset(large, 'x', 100000);
    char *next = arena_copy(&arena, "next", 5);
    assert_string_equal(small, "small");
    assert_string_equal(next, "next");
    assert_int_equal(large[99999], 'x');
    arena_reset(&arena);
    assert_true(arena_take(&arena, 6) == small); /* the first block again */
    arena_reset(&arena);
}

static void no_first_block_is_no_trouble(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < 10000; i++) {
        size_t *number = arena_copy(&arena, &i, sizeof i);
        assert_int_equal(*number, i);
    }
    arena_reset(&arena);
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_lie_apart_and_aligned),
        cmocka_unit_test(what_does_not_fit_has_a_block),
        cmocka_unit_test(no_first_block_is_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
