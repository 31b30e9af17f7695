/* The custodian alert as an iCalendar object: an all-day event for each due item. */
#ifndef TPN_ALERT_CALENDAR_H
#define TPN_ALERT_CALENDAR_H

#include "buf.h"
#include "due.h"

enum { ALERT_CALENDAR_MAX_BYTES = 1024 * 1024 /* message.calendar, proto/README.md */ };

/* Who publishes the events. */
struct alert_organizer {
    const char *name; /* or "" */
    const char *address;
};

/* Append a VCALENDAR with METHOD:PUBLISH. The same input gives the same bytes on every machine.
 *
 *   UID       of custodian and asset: the next alert moves the entry of the same item, it does not add one
 *   SEQUENCE  days since 1970 of today: a later alert counts, an older one that comes late does not
 *   DTSTAMP   today, 00:00 UTC
 *   DTSTART   the due date; the day is not shown as busy
 *
 * Source: RFC 5545 (3.1 folding, 3.3.11 texts, 3.6.1), RFC 5546 3.2.1 (PUBLISH needs ORGANIZER and no ATTENDEE). */
void alert_calendar(struct buf *out, const struct due_custodian *custodian, due_day today,
                    const struct alert_organizer *organizer);

#endif
