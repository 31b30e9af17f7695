/* The report is made anew for each READY and BEAT: it is a state, so a lost one does no harm. */
#include "share_report.h"

#include "deliver.h"
#include "job.h"
#include "mem.h"
#include "worker.h"

#include <stdlib.h>

struct filling {
    struct worker *worker;
    struct share_report *report;
};

static void add(void *arg, void *value)
{
    const struct filling *filling = arg;
    const struct job_profile *profile = value;
    struct share_report *report = filling->report;
    const struct deliver_backend *backend = deliver_backend_of(SETTINGS_SMTP);
    void *self = filling->worker->backends[SETTINGS_SMTP];
    uint32_t open = self != NULL ? backend->open_of(self, profile->wire->version) : 0;
    if (open > 0) {
        PB(ShareHeld) init = PB_INIT(SHARE_HELD);
        PB(ShareHeld) *item = &report->items[report->count];
        *item = init;
        item->profile_version = profile->wire->version;
        item->connections = open;
        report->pointers[report->count++] = item;
    }
}

void share_report_fill(struct worker *worker, struct share_report *report)
{
    struct filling filling = {.worker = worker, .report = report};
    size_t most = map_count(worker->profiles);
    *report = (struct share_report){.count = 0};
    report->items = mem_zero(most + 1, sizeof *report->items);
    report->pointers = mem_zero(most + 1, sizeof(PB(ShareHeld) *));
    map_each(worker->profiles, add, &filling);
}

void share_report_fini(struct share_report *report)
{
    free(report->items);
    free(report->pointers);
}
