/* Jobs, and how several become one message.
 *
 * Knows what a worker has to be told of a job; knows nothing of whose turn it is, nor of what becomes of a lease. */
#include "parcel.h"

#include "broker.h"
#include "mem.h"
#include "request.h"
#include "roster.h"

#include <stdlib.h>

/* ---- what a job says ---- */

static bool anybody_permitted(const PB(RequestStatus) *list)
{
    for (size_t i = 0; i < list->n_recipients; i++) {
        if (list->recipients[i]->outcome == PB_OUTCOME(PERMITTED)) {
            return true;
        }
    }
    return false;
}

/* Which recipients the job is for. None = all: the usual case needs no list. A job that the limits of its profile make a
 * portion is for the first of those that are left; one that looks for an earlier attempt, for those that had a permit in it:
 * the others were certainly not on their way, and looking would find nothing of them. */
size_t parcel_recipients(const struct request *request, uint32_t **indices, bool *duplicate)
{
    *indices = NULL;
    *duplicate = false;
    if (!request->touched && !request->portion) {
        return 0;
    }
    PB(RequestStatus) *list = request_results(request);
    uint32_t *out = mem_zero(request->recipients, sizeof *out);
    size_t count = 0;
    size_t most = request->portion ? request->given : request->recipients;
    bool looked_for = request->look_only && anybody_permitted(list);
    for (uint32_t i = 0; i < request->recipients && count < most; i++) {
        const PB(RecipientResult) *one = list->recipients[i];
        int outcome = (int)one->outcome;
        if (looked_for ? outcome == PB_OUTCOME(PERMITTED) : request_outcome_open(outcome)) {
            out[count++] = i;
            *duplicate = *duplicate || request_is_marked(one);
        }
    }
    trackpro__notify__v1__request_status__free_unpacked(list, NULL);
    *indices = out;
    return count;
}

/* What the worker is told of it; fini_job frees what it holds. */
static void fill_job(struct broker *broker, const struct request *request, PB(Job) *job)
{
    PB(Job) init = PB_INIT(JOB);
    bool duplicate = false;
    *job = init;
    job->lease = request->lease;
    job->producer = request->lane->key.producer;
    job->attempt = request->attempt + 1;
    job->accepted_at_ms = request->accepted_at_ms;
    job->deadline_ms = broker_now_ms(broker) + broker->conf->lease_ms;
    job->profile_version = request->profile_version;
    job->n_recipients = parcel_recipients(request, &job->recipients, &duplicate);
    job->possible_duplicate = duplicate;
    job->look_only = request->look_only;
    job->earlier_lease = request->earlier_lease;
    job->edit = request->edit_len > 0
                    ? PB_UNPACK(request_edit, request->edit_len, request->edit)
                    : NULL;
}

static void fini_job(PB(Job) *job)
{
    if (job->edit != NULL) {
        trackpro__notify__v1__request_edit__free_unpacked(job->edit, NULL);
    }
    free(job->recipients);
}

/* ---- together ---- */

static size_t weight(const struct request *request)
{
    size_t len = wire_blob_len(request->body) + request->edit_len;
    return len <= PARCEL_ONE_BYTES ? len : PARCEL_BYTES;
}

bool parcel_takes(const struct worker *worker, const struct request *request)
{
    const struct parcel *parcel = &worker->parcel;
    return parcel->count == 0 || (worker->knows_jobs && parcel->count < PARCEL_JOBS &&
                                  parcel->bytes + weight(request) <= PARCEL_BYTES);
}

void parcel_put(struct worker *worker, struct request *request)
{
    struct parcel *parcel = &worker->parcel;
    parcel->requests[parcel->count++] = request;
    parcel->bytes += weight(request);
}

enum err parcel_send_one(struct broker *broker, const struct worker *worker,
                         const struct request *request)
{
    PB(Job) job;
    fill_job(broker, request, &job);
    enum err err = bus_send(broker->work, &worker->peer, WIRE_JOB, &job.base, request->body);
    fini_job(&job);
    return err;
}

enum err parcel_send(struct broker *broker, struct worker *worker)
{
    const struct parcel *parcel = &worker->parcel;
    if (parcel->count == 1) {
        return parcel_send_one(broker, worker, parcel->requests[0]);
    }
    PB(Job) items[PARCEL_JOBS];
    PB(Job) *pointers[PARCEL_JOBS];
    struct wire_piece bodies[PARCEL_JOBS];
    PB(Jobs) jobs = PB_INIT(JOBS);
    for (size_t i = 0; i < parcel->count; i++) {
        const struct wire_blob *body = parcel->requests[i]->body;
        bodies[i] = (struct wire_piece){wire_blob_data(body), wire_blob_len(body)};
        pointers[i] = &items[i];
        fill_job(broker, parcel->requests[i], &items[i]);
        items[i].request_bytes = (uint32_t)bodies[i].len;
    }
    jobs.jobs = pointers;
    jobs.n_jobs = parcel->count;
    struct wire_blob *joined = wire_blob_join(bodies, parcel->count);
    enum err err = bus_send(broker->work, &worker->peer, WIRE_JOBS, &jobs.base, joined);
    wire_blob_free(&joined);
    for (size_t i = 0; i < parcel->count; i++) {
        fini_job(&items[i]);
    }
    return err;
}
