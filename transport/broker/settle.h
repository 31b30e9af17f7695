/* Results: what the outcomes of a request's recipients make of the request. */
#ifndef TPN_SETTLE_H
#define TPN_SETTLE_H

#include "pb.h"
#include "request.h"
#include "roster.h"

struct broker;

/* RESULT of a worker; each part is acknowledged (RESULT_OK) after its commit. A result that breaks the protocol is refused
 * with a log line and not acknowledged. Entries may be taken out of the message. */
void settle_result(struct broker *broker, struct worker *worker, PB(Result) *result);

/* Set the outcome of every recipient that is still to be decided under this lease (permitted, or pending when none is
 * marked), and move the request to what that makes of it. The request leaves the memory after the commit.
 *  text  borrowed */
void settle_undecided(struct broker *broker, struct request *request, int outcome,
                      const char *text);

/* Its expire_at_ms has passed before it was delivered: EXPIRED. The request leaves the memory after the commit. */
void settle_expired(struct broker *broker, struct request *request);

#endif
