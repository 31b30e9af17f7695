/* Percentiles by sorting: exact, and the arrays are there anyway. */
#include "times.h"

#include <stdio.h>
#include <stdlib.h>

static int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

void times_print(const char *what, int64_t *times_us, size_t count)
{
    if (count == 0) {
        return;
    }
    qsort(times_us, count, sizeof *times_us, compare_times);
    int64_t middle_us = times_us[count / 2];
    int64_t late_us = times_us[count * 99 / 100];
    (void)printf(" %s_p50_ms=%.3f %s_p99_ms=%.3f", what, (double)middle_us / 1000.0, what,
                 (double)late_us / 1000.0);
}
