/* A worker's jobs by profile: what is looked through for a lease never has more entries than the worker has jobs. */
#include "share.h"

#include "brake.h"
#include "roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PROFILES = 200, STEPS = 20000 };

static size_t profiles_with_jobs(const unsigned jobs[PROFILES])
{
    size_t count = 0;
    for (size_t i = 0; i < PROFILES; i++) {
        count += jobs[i] > 0 ? 1 : 0;
    }
    return count;
}

/* Jobs come and go by chance, of a few profiles at a time, and over time of all. */
static void loads_are_those_of_the_jobs_that_are_held(void **unused)
{
    (void)unused;
    static struct brake brakes[PROFILES];
    static unsigned jobs[PROFILES];
    struct worker worker = {.credit = 1};
    uint64_t dice = 7;
    for (unsigned step = 0; step < STEPS; step++) {
        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t at = (step / 100 + (dice >> 33) % 5) % PROFILES;
        if (jobs[at] > 0 && (dice >> 40) % 2 == 0) {
            share_end_job(&worker, &brakes[at]);
            jobs[at]--;
        } else if (jobs[at] < 4) {
            share_take_job(&worker, &brakes[at]);
            jobs[at]++;
        }
        assert_int_equal(map_count(worker.loads), profiles_with_jobs(jobs));
        assert_int_equal(share_leaves_room(&worker, &brakes[at]), jobs[at] < SHARE_OF_FREE);
    }
    for (size_t i = 0; i < PROFILES; i++) {
        for (; jobs[i] > 0; jobs[i]--) {
            share_end_job(&worker, &brakes[i]);
        }
    }
    assert_int_equal(map_count(worker.loads), 0);
    share_take_job(&worker, &brakes[0]);
    share_forget(&worker);
    assert_null(worker.loads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_are_those_of_the_jobs_that_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
