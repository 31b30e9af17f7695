/* Figures of many times, for the programs of tests/bench: what they print is read by words_of() of bench_meter.py. */
#ifndef TPN_BENCH_TIMES_H
#define TPN_BENCH_TIMES_H

#include <stddef.h>
#include <stdint.h>

/* Print " WHAT_p50_ms=… WHAT_p99_ms=…" of times in microseconds; sorts them. Nothing when count is 0. */
void times_print(const char *what, int64_t *times_us, size_t count);

#endif
