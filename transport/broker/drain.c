/* Who is told to drain. Nothing of it is kept over a restart: a broker that starts anew accepts, and a worker that starts anew
 * takes jobs. */
#include "drain.h"

#include "audit.h"
#include "broker.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_named(const PB(DrainAct) *wish, const char *name)
{
    for (size_t i = 0; i < wish->n_workers; i++) {
        if (strcmp(wish->workers[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Fills told (room for the whole roster). */
static size_t drain_workers(struct broker *broker, const PB(DrainAct) *wish, char **told)
{
    PB(Drain) drain = PB_INIT(DRAIN);
    size_t count = 0;
    struct worker *worker = NULL;
    drain.deadline_ms = wish->deadline_ms;
    TAILQ_FOREACH(worker, &broker->roster.workers, link)
    {
        if (!is_named(wish, worker->name) || worker->gone) {
            continue;
        }
        bool sent =
            bus_send(broker->work, &worker->peer, WIRE_DRAIN, &drain.base, NULL) == ERR_OK;
        audit_record(broker, wish->operator_, "drain", worker->name,
                     sent ? AUDIT_DONE : AUDIT_FAILED, wish->reason);
        if (sent) {
            worker->leaving = true;
            told[count++] = worker->name;
        }
    }
    return count;
}

static void drain_broker(struct broker *broker, const PB(DrainAct) *wish)
{
    if (wish->resume) {
        broker->closed[0] = '\0';
    } else {
        (void)snprintf(broker->closed, sizeof broker->closed, "drained by %s%s%.80s",
                       wish->operator_, wish->reason[0] != '\0' ? ": " : "", wish->reason);
    }
    audit_record(broker, wish->operator_, wish->resume ? "end drain" : "drain", "broker",
                 AUDIT_DONE, wish->reason);
}

void drain_act(struct broker *broker, struct bus *bus, const struct wire_in *in)
{
    const PB(DrainAct) *wish = (const PB(DrainAct) *)in->body;
    PB(Draining) reply = PB_INIT(DRAINING);
    char **told = mem_zero(broker->roster.count + 1, sizeof *told);
    if (wish->n_workers > 0) {
        reply.n_workers = drain_workers(broker, wish, told);
        reply.workers = told;
        if (reply.n_workers == 0) {
            audit_record(broker, wish->operator_, "drain", wish->workers[0], AUDIT_REFUSED,
                         "no such worker");
        }
    } else {
        drain_broker(broker, wish);
    }
    reply.broker = broker->closed[0] != '\0';
    enum err err = bus_send(bus, &in->peer, WIRE_DRAINING, &reply.base, NULL);
    (void)err; /* who asks and is gone gets no answer */
    free(told);
}
