/* Results on their way to the broker: kept and repeated until RESULT_OK names them.
 *
 * Over reconnections and broker restarts too: a result is the only proof that a mail was sent. */
#ifndef TPN_REPORT_H
#define TPN_REPORT_H

#include "bus.h"
#include "diary.h"
#include "pb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct report;

TAILQ_HEAD(report_queue, report);

struct reports {
    struct report_queue fresh; /* not sent yet */
    struct report_queue sent;  /* sent, not acknowledged; oldest first */
    size_t count;
    struct diary *diary; /* borrowed; may be null */
};

/* Empty. diary: may be null; borrowed for the reports' life. */
void reports_init(struct reports *reports, struct diary *diary);
/* Free all, acknowledged or not. */
void reports_fini(struct reports *reports);

/* Keep one result; it is packed here.
 *  slot  of the diary, forgotten when the result is acknowledged; 0 = none */
void reports_add(struct reports *reports, const PB(JobResult) *result, uint32_t slot);

/* RESULT_OK: forget these. */
void reports_acknowledge(struct reports *reports, const PB(ResultOk) *ok);

/* Everything that was sent before that time (monotonic ms) and is not acknowledged goes again. */
void reports_repeat(struct reports *reports, int64_t sent_before_ms);

/* Send what is fresh, in as few messages as their size allows. ERR_AGAIN: the broker is not there; nothing is lost. */
enum err reports_flush(struct reports *reports, struct bus *bus) NODISCARD;

/* Keep what became of something that was reported earlier: repeated as a result, but it holds no lease. */
void reports_add_note(struct reports *reports, const PB(JobResult) *note);

/* Is there a result of that lease? Notes do not count: what became of one file must not wait for what became of another. */
bool reports_have(const struct reports *reports, uint64_t lease);

/* Append the lease numbers of all results that are kept. */
void reports_leases(const struct reports *reports, uint64_t *out, size_t *count, size_t room);

#endif
