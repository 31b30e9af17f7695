/* The broker: its parts and what they share. One thread, one loop; the store has a thread of its own behind the ledger.
 *
 *   submit ─► gate ─► ledger ─► schedule ─► lease ─► work (JOB)
 *                       ▲                     │
 *             status ◄──┴──── request_move ◄──┴──── work (PERMIT?, RESULT)
 */
#ifndef TPN_BROKER_H
#define TPN_BROKER_H

#include "act_pace.h"
#include "brake.h"
#include "broker_conf.h"
#include "bus.h"
#include "early.h"
#include "keeper.h"
#include "lease.h"
#include "ledger.h"
#include "loop.h"
#include "pause.h"
#include "probe_desk.h"
#include "profile.h"
#include "receipt_tray.h"
#include "refusal.h"
#include "retention.h"
#include "roster.h"
#include "schedule.h"
#include "steady.h"
#include "supersede.h"
#include "watch.h"

#include <stdbool.h>

struct broker {
    const struct broker_conf *conf;
    struct loop *loop;
    void *zmq_context;
    struct keeper keeper;
    struct refusals refusals;
    struct bus *submit;
    struct bus *work;
    struct bus *status;
    struct bus *admin;
    struct ledger *ledger;
    struct profiles *profiles;
    struct seal_certificates *seal; /* of the workers; null = none is named */
    struct brakes brakes;
    struct pauses pauses;
    struct superseding superseding;
    struct watches watches;
    struct roster roster;
    struct leases leases;
    struct early_desk early;
    struct schedule schedule;
    struct map
        *fates; /* notes of fate.c that are on their way to the store, by what they tell */
    struct map *fate_readings;      /* of the histories that tell which are known, by request */
    struct request_index in_memory; /* every request of schedule and leases that has a pk */
    struct retention retention;
    struct probe_desk probe_desk;
    struct loop_timer tick;
    int64_t started_at_ms;
    struct steady steady;
    struct receipt_tray receipt_tray;
    size_t submitted;             /* requests that came in in this turn */
    size_t accepting;             /* requests whose accept is not committed yet */
    size_t accepting_bytes;       /* of them */
    struct digest_maker *digests; /* of requests as they come in */
    struct buf deliveries;        /* log lines of this turn */
    uint64_t poisoned;            /* requests set aside since the start */
    struct act_pace act_pace;
    bool draining;
    char closed
        [160]; /* accepts nothing new, and goes on sending: why; "" = it accepts (drain.h) */
};

/* Open the store, bind the sockets, read back what was under way. On an error nothing stays open. */
enum err broker_start(struct broker *broker, const struct broker_conf *conf, struct loop *loop,
                      struct err_text *why) NODISCARD;

/* Accept nothing more, commit what is on its way, close. Accepts a zeroed broker. */
void broker_stop(struct broker *broker);

/* Read the profiles and the allow list again; on any error the old ones stay. */
void broker_reload(struct broker *broker);

/* Wall clock in ms that never goes back and never stands still while the broker runs (steady.h). */
int64_t broker_now_ms(struct broker *broker);

/* Write "submit tcp://127.0.0.1:5551" … for each socket as it is bound. */
enum err broker_write_endpoints(const struct broker *broker, const char *path,
                                struct err_text *why) NODISCARD;

#endif
