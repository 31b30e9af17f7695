/* What each profile has waiting (brake->waiting, brake->held), kept in step with its requests: each counts for what it was when it
 * was counted last, and a change takes that out and puts in what it is now. What was there before the start comes from the
 * store (STORE_BACKLOG), by the same rule; so the sums are the same after a restart. */
#ifndef TPN_TALLY_H
#define TPN_TALLY_H

#include <stdint.h>

struct request;

/* It was made of a row, which is among the sums already. Sets split, where the row tells it, and open_count. */
void tally_adopt(struct request *request);

/* State, hold, recipients or lane are other than before: the sums follow. */
void tally_follow(struct request *request);

/* The same after a move: what was decided by it counts for the rate at which the profile's mail goes. */
void tally_move(struct request *request, int64_t now_ms);

/* It goes to another lane: it counts for nothing until the next tally_follow. */
void tally_leave(struct request *request);

#endif
