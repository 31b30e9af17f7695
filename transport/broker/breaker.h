/* A breaker: after so many failures nothing goes, then one probe, and the probe decides.
 *
 *   CLOSED ──failures──► OPEN ──its time, or a person──► HALF_OPEN ──the probe is good──► CLOSED
 *                         ▲                                  │
 *                         └────────the probe failed──────────┘
 *
 * The same machine stands behind a refused login (opens at once, waits for a person), a server that is down (opens after a
 * few failures, waits longer every time) and a used-up quota (opens at once, waits for the provider's window). It knows
 * leases only as numbers, and takes every time as an argument. */
#ifndef TPN_BREAKER_H
#define TPN_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum { BREAKER_WHY_BYTES = 256 };

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_plan {
    uint32_t failures; /* that open it, 1 and up */
    int64_t
        gap_ms; /* failures closer together than this count once: one broken connection fails many mails */
    int64_t first_ms; /* wait before the first probe; 0 = until it is released */
    int64_t most_ms;  /* the wait doubles up to this */
};

struct breaker {
    enum breaker_state state;
    uint32_t failures;           /* in a row, while CLOSED */
    int64_t failed_ms;           /* the last one that counted */
    int64_t since_ms;            /* opened then; 0 while CLOSED */
    int64_t until_ms;            /* OPEN: when it may be probed; 0 = when it is released */
    int64_t wait_ms;             /* of this opening */
    uint64_t probe;              /* HALF_OPEN: lease of the probe under way; 0 = none yet */
    char why[BREAKER_WHY_BYTES]; /* the last failure, for people */
};

/* May something go? BREAKER_GOES_PROBE: yes, and it is the one probe (breaker_probe when it went). */
enum breaker_say { BREAKER_GOES, BREAKER_GOES_PROBE, BREAKER_WAITS };

/* Opens the way to a probe when the time has come. *until_ms: when to ask again, with BREAKER_WAITS; 0 = unknown. */
enum breaker_say breaker_ask(struct breaker *breaker, int64_t now_ms, int64_t *until_ms);

/* That lease is the probe. */
void breaker_probe(struct breaker *breaker, uint64_t lease);

/* A failure under that lease. True when it opened (again) because of it. */
bool breaker_fail(struct breaker *breaker, const struct breaker_plan *plan, uint64_t lease,
                  int64_t now_ms, const char *why);

/* That lease was good. True when it closed because of it. */
bool breaker_good(struct breaker *breaker, uint64_t lease);

/* That lease is over. When it was the probe, and nothing was decided, another one may go. */
void breaker_over(struct breaker *breaker, uint64_t lease);

/* A person lets one probe through now. True when it was OPEN. */
bool breaker_release(struct breaker *breaker);

#endif
