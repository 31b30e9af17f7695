/* Runs the rows of a contract on every engine of the store, and those that need a file on SQLite alone. */
#ifndef TPN_STORE_CONTRACT_H
#define TPN_STORE_CONTRACT_H

#include "store_fixture.h"

struct contract_row {
    const char *name;
    void (*fn)(void **state);
};

#define ROW(fn)                                                                                \
    {                                                                                          \
#fn, fn                                                                                \
    }

struct contract {
    const char *name; /* of the group: "NAME-sqlite", "NAME-memory" */
    const struct contract_row *rows;
    size_t count;
    const struct contract_row *on_disk;
    size_t on_disk_count;
};

static inline int contract_run_on(const struct contract *contract, struct store_engine engine,
                                  size_t on_disk_count)
{
    size_t count = contract->count + on_disk_count;
    struct CMUnitTest *tests = mem_zero(count, sizeof *tests);
    char *name = mem_format("%s-%s", contract->name, engine.name);
    for (size_t i = 0; i < count; i++) {
        const struct contract_row *row =
            i < contract->count ? &contract->rows[i] : &contract->on_disk[i - contract->count];
        tests[i] =
            (struct CMUnitTest){row->name, row->fn, fixture_setup, fixture_teardown, &engine};
    }
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    free(name);
    free(tests);
    return failed;
}

/* How many failed: what main returns. */
static inline int contract_run(const struct contract *contract)
{
    return contract_run_on(contract, store_sqlite, contract->on_disk_count) +
           contract_run_on(contract, store_memory, 0);
}

#endif
