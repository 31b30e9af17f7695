/* Counting the workers that died over a request.
 *
 * Design notes: the broker cannot look into a worker that is gone: closed connection and silence look the same for a crash, a
 * kill and a broken network. What tells them apart comes later, when the same instance speaks again. The count is part of
 * the row, so it holds over restarts of the broker; the instance is only in memory. */
#include "poison.h"

#include "broker.h"
#include "lease.h"
#include "log.h"
#include "mem.h"
#include "settle.h"

#include <stdlib.h>
#include <string.h>

void poison_loss(struct request *request, const struct worker *worker)
{
    request->losses++;
    free(request->lost_instance);
    request->lost_instance = mem_text(worker->instance);
}

struct comeback {
    const char *instance;
    size_t requests;
};

static void take_back(void *arg, void *value)
{
    struct comeback *comeback = arg;
    struct request *request = value;
    if (request->lost_instance == NULL || request->settling || request->losses == 0 ||
        strcmp(request->lost_instance, comeback->instance) != 0) {
        return;
    }
    free(request->lost_instance);
    request->lost_instance = NULL;
    request->losses--;
    comeback->requests++;
}

void poison_back(struct broker *broker, const char *instance)
{
    struct comeback comeback = {.instance = instance};
    map_each(broker->in_memory.by_pk, take_back, &comeback);
    if (comeback.requests > 0) {
        log_info("poison", "instance=%s result=alive requests=%zu", instance,
                 comeback.requests);
    }
}

bool poison_suspect(const struct request *request)
{
    return request->losses > 0;
}

bool poison_proven(const struct request *request)
{
    return request->losses >= POISON_LOSSES;
}

void poison_aside(struct broker *broker, struct request *request)
{
    log_error("poison", "request=%s producer=%s losses=%u result=set-aside", request->id,
              request->lane->key.producer, request->losses);
    broker->poisoned++;
    lease_end(broker, request);
    request->settling = true; /* stands in no list */
    settle_undecided(broker, request, PB_OUTCOME(REFUSED),
                     "poison: its worker died twice while it held this request");
}
