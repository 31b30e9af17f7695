/* One leased request in the worker: its settings, its mails (parts), their results.
 *
 *   JOB ─► compose ─► part 0 … n ─► back end ─► permit ─► back end ─► report ─┐
 *              └─ cannot be composed: REFUSED without a permit ──────────────┴─► all parts reported: the job is over
 *
 * A request has one part, or one for each recipient (split), or one for each group when the profile's
 * max_recipients_per_message is smaller than the list. PARTS_AT_ONCE of them are under way at a time. */
#ifndef TPN_JOB_H
#define TPN_JOB_H

#include "deliver.h"
#include "diary.h"
#include "pb.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct job;

/* What a job needs of the worker around it. */
struct job_host {
    void *arg;
    struct diary *diary;          /* may be null */
    struct dkim_keys *keys;       /* for signing */
    struct digest_maker *digests; /* for names of mails; may be null */
    const struct seal_keys *seal; /* for sealed: passwords; may be null */
    /* The job is there, before anything of it is started. */
    void (*begun)(void *arg, struct job *job);
    /* Ask the broker. recipients: count indices, borrowed; count 0 = all of the job. */
    void (*ask)(void *arg, uint64_t lease, uint32_t part, const uint32_t *recipients,
                size_t count);
    /* slot: of the diary, 0 = none. */
    void (*report)(void *arg, const PB(JobResult) *result, uint32_t slot);
    /* The job is over and will be freed when this returns. */
    void (*over)(void *arg, struct job *job);
    /* The opened back end of a route. */
    void *(*backend)(void *arg, enum settings_route route);
};

/* A profile as the broker sent it. Lives until the worker ends, because connections and deliveries point to it. */
struct job_profile {
    PB(Profile) *wire;
    struct settings_plan plan;
    bool good;           /* the plan holds */
    struct err_text why; /* when it does not */
};

/* Start a job. Calls back, maybe before it returns, until over.
 *  body     borrowed for the call
 *  request  len bytes, a NotificationRequest as its producer sent it; borrowed for the call
 *  profile  of body->profile_version; null when that is 0 */
void job_start(const struct job_host *host, const PB(Job) *body, const uint8_t *request,
               size_t len, const struct job_profile *profile);

/* PERMIT for one of its parts. */
void job_permit(struct job *job, uint32_t part, enum deliver_permit permit);

/* Ask again for every part that was asked for before that time (monotonic ms) and not answered: the question or its
 * answer was lost with a connection or a broker. */
void job_ask_again(struct job *job, int64_t asked_before_ms);

/* Free a job that is cut off, with its back ends closed already: nothing is reported, its host hears nothing. What it had on
 * its way stands in the diary. */
void job_abandon(struct job *job);

/* The number that the broker leased it under. */
uint64_t job_lease(const struct job *job);

#endif
