/* The worker: one loop over ZeroMQ, libcurl and timers; takes jobs, asks for permits, delivers, reports.
 *
 *   work socket ─► JOB ─► job ─► deliver ─► report ─► work socket
 *
 * One thread; only the pickup back end has threads of its own, for blocking file system calls. */
#ifndef TPN_WORKER_H
#define TPN_WORKER_H

#include "bus.h"
#include "job.h"
#include "loop.h"
#include "map.h"
#include "probe.h"
#include "report.h"
#include "worker_conf.h"

#include <stdbool.h>

struct worker {
    const struct worker_conf *conf;
    struct loop *loop;
    void *zmq_context;
    struct bus_lock lock;
    struct bus *bus;
    char name[101];
    char instance[40]; /* new at every start */
    struct job_host host;
    void *backends[SETTINGS_ROUTE_COUNT];
    struct egress *egress;
    struct seal_keys *seal; /* null: this worker opens no sealed value */
    struct map *profiles;   /* by version: struct job_profile */
    struct map *jobs;       /* by lease: struct job */
    struct dkim_keys *keys;
    struct digest_maker *digests; /* for names of mails */
    struct diary *diary;          /* null when it cannot be kept */
    struct reports reports;
    struct ask_list *asks;
    struct probes *probes; /* tests of settings under way */
    uint32_t credit_due;   /* jobs that are over, not told yet */
    bool ready;            /* READY was sent on this connection */
    int64_t ready_ms;      /* when, monotonic */
    int64_t heard_ms;      /* from the broker, monotonic */
    int64_t extended_ms;
    struct loop_timer tick;
    struct loop_timer drain;
    bool draining;
    uint64_t beat;
};

/* Open the back ends and connect. On an error nothing stays open.
 * ERR_CONFIG: endpoint or back end cannot be used; ERR_IO. */
enum err worker_start(struct worker *worker, const struct worker_conf *conf, struct loop *loop,
                      struct err_text *why) NODISCARD;

/* Take no more, finish what was begun, give the rest back, stop the loop; at the latest after conf->drain_ms. */
void worker_drain(struct worker *worker);

/* Accepts a zeroed worker. */
void worker_stop(struct worker *worker);

#endif
