/* What this worker tells the broker of the connections that it may have open, profile by profile. */
#ifndef TPN_SHARE_REPORT_H
#define TPN_SHARE_REPORT_H

#include "pb.h"

#include <stddef.h>

struct worker;

struct share_report {
    PB(ShareHeld) *items;
    PB(ShareHeld) **pointers;
    size_t count;
};

/* Of every profile version that has some; free with share_report_fini. */
void share_report_fill(struct worker *worker, struct share_report *report);
void share_report_fini(struct share_report *report);

#endif
