/* The arithmetic of the chained log. It stores nothing and knows nothing of what an entry says: the engines of the store
 * write with it, and whoever checks an export checks with it, so that the two cannot differ.
 *
 * An entry is digested by itself before it is linked in: so an export may leave entries out that are nobody's business and
 * still be checked, with their digests in their places. */
#include "chain.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NUMBER_BYTES = 8 };

static void put_number(uint8_t out[NUMBER_BYTES], uint64_t value)
{
    for (int i = 0; i < NUMBER_BYTES; i++) {
        out[i] = (uint8_t)(value >> (8 * (NUMBER_BYTES - 1 - i)));
    }
}

int64_t chain_day_of(int64_t at_ms)
{
    int64_t day = at_ms / CHAIN_DAY_MS;
    return at_ms % CHAIN_DAY_MS < 0 ? day - 1 : day;
}

const char *chain_date(int64_t day, char out[CHAIN_DATE_BYTES])
{
    bool near = day >= -CHAIN_DAY_LAST && day <= CHAIN_DAY_LAST; /* else seconds may overflow */
    time_t at = near ? (time_t)(day * (CHAIN_DAY_MS / 1000)) : 0;
    struct tm parts;
    if (!near || gmtime_r(&at, &parts) == NULL ||
        strftime(out, CHAIN_DATE_BYTES, "%Y-%m-%d", &parts) == 0) {
        (void)snprintf(out, CHAIN_DATE_BYTES, "day %lld", (long long)day);
    }
    return out;
}

bool chain_turns(const struct chain *chain, int64_t at_ms)
{
    int64_t day = chain_day_of(at_ms);
    return chain->count == 0 || day > chain->day || day < chain->day - 1;
}

void chain_begin(struct digest_maker *maker, int64_t day, const uint8_t start[DIGEST_BYTES],
                 uint8_t out[DIGEST_BYTES])
{
    static const char name[] = "trackpro-notify day";
    uint8_t number[NUMBER_BYTES];
    put_number(number, (uint64_t)day);
    const struct digest_part parts[] = {
        {name, sizeof name}, {number, sizeof number}, {start, DIGEST_BYTES}};
    digest_maker_run(maker, parts, sizeof parts / sizeof parts[0], out);
}

void chain_digest(struct digest_maker *maker, const struct chain_entry *entry,
                  uint8_t out[DIGEST_BYTES])
{
    uint8_t numbers[3][NUMBER_BYTES];
    put_number(numbers[0], entry->number);
    put_number(numbers[1], entry->request);
    put_number(numbers[2], (uint64_t)entry->at_ms);
    const struct digest_part parts[] = {{numbers, sizeof numbers}, {entry->data, entry->len}};
    digest_maker_run(maker, parts, sizeof parts / sizeof parts[0], out);
}

void chain_link(struct digest_maker *maker, const uint8_t before[DIGEST_BYTES],
                const uint8_t digest[DIGEST_BYTES], uint8_t out[DIGEST_BYTES])
{
    const struct digest_part parts[] = {{before, DIGEST_BYTES}, {digest, DIGEST_BYTES}};
    digest_maker_run(maker, parts, sizeof parts / sizeof parts[0], out);
}

void chain_turn(struct chain *chain, struct digest_maker *maker, int64_t day)
{
    uint8_t start[DIGEST_BYTES];
    memcpy(start, chain->head, sizeof start);
    *chain = (struct chain){.day = day};
    memcpy(chain->start, start, sizeof start);
    chain_begin(maker, day, start, chain->head);
}

void chain_add(struct chain *chain, struct digest_maker *maker, const struct chain_entry *entry)
{
    uint8_t digest[DIGEST_BYTES];
    chain_digest(maker, entry, digest);
    chain_link(maker, chain->head, digest, chain->head);
    if (chain->count == 0) {
        chain->first = entry->number;
    }
    chain->last = entry->number;
    chain->count++;
}
