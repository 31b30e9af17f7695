/* Evidence from the broker, page by page: days and their entries in order, one callback each.
 *
 * What is read is a picture of the moment in which it was begun: the open day goes as far as it went then. */
#ifndef TPN_EVIDENCE_FEED_H
#define TPN_EVIDENCE_FEED_H

#include "ask.h"
#include "pb.h"

struct evidence_wish {
    int log;         /* enum EvidenceLog */
    int64_t from_ms; /* whole days that this range touches; 0 = from the first */
    int64_t to_ms;   /* 0 = to the newest */
    bool days_only;
    const char *label; /* null = all; what has it not comes as its digest */
};

struct evidence_sink {
    /* A day begins. ERR_OK goes on. */
    enum err (*day)(void *arg, const PB(EvidenceDay) *day, struct err_text *why);
    enum err (*entry)(void *arg, const PB(EvidenceEntry) *entry, struct err_text *why);
    void *arg;
};

/* ERR_AGAIN: the broker did not answer; ERR_INVALID: it refused; else what the sink returned. */
enum err evidence_feed(struct ask *ask, const struct evidence_wish *wish,
                       const struct evidence_sink *sink, struct err_text *why) NODISCARD;

#endif
