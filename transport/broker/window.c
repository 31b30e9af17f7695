/* Sliding counts. Slots are numbered by time / slot_ms and lie in a ring. */
#include "window.h"

#include <string.h>

void window_init(struct window *window, uint32_t slots, int64_t slot_ms)
{
    *window = (struct window){.slots = slots, .slot_ms = slot_ms};
}

static uint64_t *slot_at(struct window *window, int64_t number)
{
    return &window->counts[(uint64_t)number % window->slots];
}

/* Make the slot of now_ms the newest; what it replaces is older than the span. */
static void advance(struct window *window, int64_t now_ms)
{
    int64_t number = now_ms / window->slot_ms;
    if (number - window->newest >= (int64_t)window->slots) {
        memset(window->counts, 0, sizeof window->counts);
        window->newest = number;
        return;
    }
    while (window->newest < number) {
        window->newest++;
        *slot_at(window, window->newest) = 0;
    }
}

void window_add(struct window *window, int64_t now_ms, uint64_t n)
{
    advance(window, now_ms);
    *slot_at(window, window->newest) += n;
}

void window_take_back(struct window *window, int64_t at_ms, uint64_t n)
{
    int64_t number = at_ms / window->slot_ms;
    number = number < window->newest ? number : window->newest;
    if (window->newest - number < (int64_t)window->slots) {
        uint64_t *count = slot_at(window, number);
        *count -= n < *count ? n : *count;
    }
}

uint64_t window_sum(struct window *window, int64_t now_ms)
{
    advance(window, now_ms);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < window->slots; i++) {
        sum += window->counts[i];
    }
    return sum;
}

int64_t window_room_at(struct window *window, int64_t now_ms, uint64_t n, uint64_t max)
{
    uint64_t sum = window_sum(window, now_ms);
    if (sum + n <= max) {
        return now_ms;
    }
    int64_t oldest = window->newest - (int64_t)window->slots + 1;
    for (int64_t number = oldest; number <= window->newest; number++) {
        sum -= *slot_at(window, number);
        if (sum + n <= max) {
            return (number + (int64_t)window->slots) * window->slot_ms;
        }
    }
    return now_ms; /* not reached while n <= max: without any slot the sum is 0 */
}

void window_settle(struct window *window, int64_t now_ms)
{
    int64_t number = now_ms / window->slot_ms;
    if (window->newest <= number) {
        return;
    }
    struct window moved = {
        .slots = window->slots, .slot_ms = window->slot_ms, .newest = number};
    for (uint32_t age = 0; age < window->slots; age++) {
        *slot_at(&moved, number - age) = *slot_at(window, window->newest - age);
    }
    *window = moved;
}
