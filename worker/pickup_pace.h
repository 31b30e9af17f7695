/* The pace of a pickup folder: at most so many files in any minute.
 *
 * Exchange takes 100 files a minute from its pickup folder (PickupDirectoryMaxMessagesPerMinute) and leaves the rest lying, where
 * nobody sees in which order they go. The broker keeps that pace for its whole pool (max_messages_per_minute). The worker keeps it
 * as well, for it may serve a folder that a job of another broker's profile, or of an older version of this one, fills too. */
#ifndef TPN_PICKUP_PACE_H
#define TPN_PICKUP_PACE_H

#include <stddef.h>
#include <stdint.h>

enum {
    PICKUP_PACE_MINUTE_MS = 60000,
    PICKUP_PACE_FOLDERS = 256 /* with a pace at a time; the one used longest ago makes room */
};

struct pickup_paces;

struct pickup_paces *pickup_paces_new(void);
/* Free and null; accepts null. */
void pickup_paces_free(struct pickup_paces **paces);

/* Take the next place of a folder.
 *  per_minute  1 and up; another number than before begins anew
 *  now_ms      monotonic
 * Returns how long to wait for it, in ms; 0 = go now. Places are given in the order they are asked for. */
int64_t pickup_pace_take(struct pickup_paces *paces, const char *folder, uint32_t per_minute,
                         int64_t now_ms);

#endif
