/* A log whose entries are tied to each other by digests, day by day, so that a change of what was written can be found.
 *
 *   entry digest   SHA-256(number ‖ request ‖ at ‖ data)          the three numbers as 8 bytes each, big-endian
 *   day's begin    SHA-256("trackpro-notify day" NUL ‖ day ‖ start)   start = head of the day before; of the first day: zeros
 *   chain value    SHA-256(chain value before ‖ entry digest)     before the first entry of a day: the day's begin
 *   head of a day  the chain value of its last entry
 *
 * Days are those of UTC, counted from 1970-01-01. An entry's day begins a new stretch of the chain when it is later than the
 * present one, or earlier by more than a day (the clock was set back): entries are in the order in which they were
 * written, and their times may run backwards a little.
 *
 * What this proves: entries between two known heads are complete, in order and unchanged. Whoever can write the file can make
 * the whole chain anew; so a head proves something only where it is also noted elsewhere. */
#ifndef TPN_CHAIN_H
#define TPN_CHAIN_H

#include "digest.h"

#include <stdbool.h>
#include <stdint.h>

enum { CHAIN_DAY_MS = 86400000, CHAIN_DATE_BYTES = 24 };

struct chain_entry {
    uint64_t number;  /* rises from entry to entry */
    uint64_t request; /* pk of the row it is about; 0 = none */
    int64_t at_ms;    /* wall clock */
    const uint8_t *data;
    size_t len;
};

/* A stretch of the chain: one day. Zeroed = before the first entry ever. */
struct chain {
    int64_t day;
    uint64_t first; /* number of its first entry, of its last, and how many there are */
    uint64_t last;
    uint64_t count;
    uint8_t start[DIGEST_BYTES]; /* head of the day before */
    uint8_t head[DIGEST_BYTES];  /* chain value of its last entry */
};

/* The day of a time; rounds down before 1970, too. */
int64_t chain_day_of(int64_t at_ms);

/* The last day that a time of the contract can lie in, 9999-12-31; as many before 1970 are days, too. */
enum { CHAIN_DAY_LAST = 2932896 };

/* A day as text, "2026-11-25", or "day N" for one beyond CHAIN_DAY_LAST; returns out. */
const char *chain_date(int64_t day, char out[CHAIN_DATE_BYTES]);

/* Does an entry of that time begin a new day of the chain? */
bool chain_turns(const struct chain *chain, int64_t at_ms);

/* Begin that day behind the chain as it is. */
void chain_turn(struct chain *chain, struct digest_maker *maker, int64_t day);

/* Add an entry to the present day; its chain value is chain->head from here on. */
void chain_add(struct chain *chain, struct digest_maker *maker,
               const struct chain_entry *entry);

/* The steps alone, for those who check a chain. */
void chain_begin(struct digest_maker *maker, int64_t day, const uint8_t start[DIGEST_BYTES],
                 uint8_t out[DIGEST_BYTES]);
void chain_digest(struct digest_maker *maker, const struct chain_entry *entry,
                  uint8_t out[DIGEST_BYTES]);
/* before and out may be the same. */
void chain_link(struct digest_maker *maker, const uint8_t before[DIGEST_BYTES],
                const uint8_t digest[DIGEST_BYTES], uint8_t out[DIGEST_BYTES]);

#endif
