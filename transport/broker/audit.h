/* The audit log: who did or tried what, and what came of it.
 *
 * A record is on its way to the disk when the call returns, in the order of the calls and together with whatever was queued
 * for the store before it; it is append-only and chained by day (chain.h). It survives a disk that is full for a while as a
 * move does: it waits and is tried again. Read it back with STORE_HISTORY of STORE_LOG_AUDIT, or `tpn audit`.
 *
 * Whoever records what a stranger can provoke bounds it first (how often, how many): a record is never dropped here. */
#ifndef TPN_AUDIT_H
#define TPN_AUDIT_H

#include <stdint.h>

struct broker;

enum audit_outcome {
    AUDIT_DONE,
    AUDIT_REFUSED, /* not allowed, or not possible in that state */
    AUDIT_FAILED   /* tried, and it did not work */
};

/* Append a record. Texts may come from anywhere: what is no UTF-8, a control character or longer than the field allows
 * (proto/README.md, AuditRecord) is replaced or cut. Null = "".
 *  who     operator or producer as its key says, or "broker"
 *  act     what was done or tried, as "cancel"
 *  target  a request's id, a profile, a filter
 *  why     the reason that was given, or the rule that refused it */
void audit_record(struct broker *broker, const char *who, const char *act, const char *target,
                  enum audit_outcome outcome, const char *why);

/* The same for `count` of them, as "so many within the last minute". */
void audit_record_count(struct broker *broker, const char *who, const char *act,
                        const char *target, enum audit_outcome outcome, const char *why,
                        uint32_t count);

#endif
