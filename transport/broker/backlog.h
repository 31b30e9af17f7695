/* What still has to be sent, summed up over many requests: the units that limits count. Mails cannot be summed up once for all,
 * for how many a list makes hangs on max_recipients_per_message, which a new reading of the profiles may change. */
#ifndef TPN_BACKLOG_H
#define TPN_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed = nothing. */
struct backlog {
    uint64_t requests;
    uint64_t recipients;    /* of them, still to be decided */
    uint64_t each_requests; /* of the requests: each recipient gets a mail of its own */
    uint64_t each_recipients;
};

/* One request. open: its recipients that are still to be decided. */
struct backlog backlog_of(bool each, uint32_t open);

void backlog_add(struct backlog *sum, const struct backlog *more);
/* What was added before is taken out again. Returns false when the sums have drifted: there was less of something, which is 0 now. */
bool backlog_take_out(struct backlog *sum, const struct backlog *less);

/* How many mails that makes at the least, with at most per_mail (1 and up) recipients in one: exact when no list is longer than
 * that. */
uint64_t backlog_mails(const struct backlog *backlog, uint32_t per_mail);

/* What the results of a row say (store_row.results; store.h).
 *  recipients  how many it has: all are open where the results cannot be read
 *  each        out: each recipient gets a mail of its own (rows of an older program do not say it: false)
 * Returns how many recipients are still to be decided. */
uint32_t backlog_read(const uint8_t *results, size_t len, uint32_t recipients, bool *each);

#endif
