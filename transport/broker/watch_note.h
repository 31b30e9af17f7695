/* What a watch leaves behind: its kept value, and events of the status topic, which are of no request. */
#ifndef TPN_WATCH_NOTE_H
#define TPN_WATCH_NOTE_H

#include "pb.h"
#include "watch.h"
#include "watch_look.h"

struct broker;

/* How it stands, as events and Stats tell it. Borrows from the watch. */
PB(Watch) watch_line(const struct watch *watch);

/* Keep the watch as it is now. */
void watch_save(struct broker *broker, const struct watch *watch);

/* Tell: one event and the watch as it is now, in one commit; and a line of the log.
 *  line  what the event says: its kind and times, of before the change
 *  look  what was found; null = nothing was looked at (DROPPED, which forgets the kept value) */
void watch_tell(struct broker *broker, const struct watch *watch, const PB(Watch) *line,
                const struct watch_look *look);

/* Forget the kept value. */
void watch_forget(struct broker *broker, const char *name);

#endif
