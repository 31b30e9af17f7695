/* Does evidence hold? Days and entries are given in their order, from an export or from the broker. */
#ifndef TPN_EVIDENCE_CHECK_H
#define TPN_EVIDENCE_CHECK_H

#include "chain.h"
#include "err.h"
#include "pb.h"

struct evidence_check {
    struct digest_maker *maker;
    bool in_day;
    bool chained; /* of the present day */
    bool swept;
    struct chain now;    /* as far as the entries went */
    struct chain wanted; /* as the day says */
    bool has_head;       /* of the day before */
    uint8_t head[DIGEST_BYTES];
    size_t days, entries, digests, unchained, swept_days; /* counted */
};

void evidence_check_init(struct evidence_check *check);
void evidence_check_fini(struct evidence_check *check);

/* A day begins, and the one before it ends. ERR_INVALID: why says what does not fit. */
enum err evidence_check_day(struct evidence_check *check, const PB(EvidenceDay) *day,
                            struct err_text *why) NODISCARD;
enum err evidence_check_entry(struct evidence_check *check, const PB(EvidenceEntry) *entry,
                              struct err_text *why) NODISCARD;
/* Nothing more comes. */
enum err evidence_check_end(struct evidence_check *check, struct err_text *why) NODISCARD;

#endif
