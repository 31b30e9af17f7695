/* The pickup back end's threads, for others of its files. */
#ifndef TPN_PICKUP_H
#define TPN_PICKUP_H

struct pickup;

typedef void pickup_call_fn(void *arg);

/* Call run in one of the threads, then done in the loop. When the back end is closed before that, done is not called: whoever owns
 * arg frees it after the threads have ended. */
void pickup_call(struct pickup *pickup, pickup_call_fn *run, pickup_call_fn *done, void *arg);

#endif
