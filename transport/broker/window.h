/* How many in the last minute, the last day: counts in slots of time, forgotten as they grow old.
 *
 * What was counted at a moment counts until a whole span later at the least, and one slot longer at the most. So a limit
 * that is held against a window is never exceeded in any span of real time, and a window needs no room for single events. */
#ifndef TPN_WINDOW_H
#define TPN_WINDOW_H

#include <stdint.h>

enum {
    WINDOW_SLOTS = 97
}; /* most of them: a day in quarters of an hour, and the one that has just begun */

struct window {
    uint32_t slots;                /* in use, 2 … WINDOW_SLOTS: the span has one less */
    int64_t slot_ms;               /* width of a slot */
    int64_t newest;                /* number of the newest slot: its time / slot_ms */
    uint64_t counts[WINDOW_SLOTS]; /* by slot number % slots */
};

/* Empty; the span is (slots - 1) * slot_ms. */
void window_init(struct window *window, uint32_t slots, int64_t slot_ms);

/* Count n more at now_ms. A time before the newest slot counts as the newest. */
void window_add(struct window *window, int64_t now_ms, uint64_t n);

/* Take back n that were counted at at_ms, as far as they are remembered. */
void window_take_back(struct window *window, int64_t at_ms, uint64_t n);

/* The count of the span that ends at now_ms. */
uint64_t window_sum(struct window *window, int64_t now_ms);

/* When n more will fit below max: now_ms when they do now. n is at most max. */
int64_t window_room_at(struct window *window, int64_t now_ms, uint64_t n, uint64_t max);

/* The clock stands at now_ms, and the window was filled by another one (of an earlier start): nothing lies in the future. */
void window_settle(struct window *window, int64_t now_ms);

#endif
