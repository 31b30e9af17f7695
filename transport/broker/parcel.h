/* The jobs that leave for one worker in one message.
 *
 * A turn often leases many requests to the same worker. Each in a message of its own costs libzmq four frames, and a system call
 * for every second one (it writes and reads 8 KB at a time, zmq's out_batch_size); a long frame goes out as it lies there. So jobs are
 * collected here until the turn has leased all it can, or enough have come together, and leave as one JOBS.
 *
 * A parcel lives only while the schedule gives out jobs: nothing that may end a lease happens in between. */
#ifndef TPN_PARCEL_H
#define TPN_PARCEL_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct request;
struct worker;

enum {
    PARCEL_JOBS = 64,
    PARCEL_BYTES = 64 * 1024,    /* of requests */
    PARCEL_ONE_BYTES = 16 * 1024 /* what is larger goes alone, and is not copied */
};

struct parcel {
    struct request *requests[PARCEL_JOBS]; /* leased to the worker; borrowed */
    size_t count;
    size_t bytes; /* of their bodies; one that goes alone fills it */
};

/* May the request leave in the same message as what is in the worker's parcel? An empty parcel takes any, and of a worker
 * that does not know JOBS (capability jobs) only one. */
bool parcel_takes(const struct worker *worker, const struct request *request);

/* Put it in, behind the others. Its lease, profile_version and body are what the worker will get. */
void parcel_put(struct worker *worker, struct request *request);

/* Send what is in it: as JOB when it is one, else as JOBS. What is in it stays in it: the caller empties it. The errors
 * of wire_send; none of them has been sent then. */
enum err parcel_send(struct broker *broker, struct worker *worker) NODISCARD;

/* Send the job of one request as JOB, whatever is in the parcel. The errors of wire_send. */
enum err parcel_send_one(struct broker *broker, const struct worker *worker,
                         const struct request *request) NODISCARD;

/* Which recipients the request's job is for.
 *  indices    out: over to, cc, bcc; the caller frees. Null with 0: all
 *  duplicate  out: one of them may have the mail already
 * Returns how many. */
size_t parcel_recipients(const struct request *request, uint32_t **indices, bool *duplicate);

#endif
