/* Figures of the moment. Those of the store are asked for, the others are in memory; nothing is counted for the question. */
#include "stats.h"

#include "broker.h"
#include "hold.h"
#include "inquiry.h"
#include "mem.h"
#include "version.h"
#include "watch.h"

#include <stdlib.h>

static void fill_worker(const struct worker *worker, PB(WorkerInfo) *info)
{
    PB(WorkerInfo) init = PB_INIT(WORKER_INFO);
    *info = init;
    info->name = (char *)(uintptr_t)worker->name;
    info->instance = (char *)(uintptr_t)worker->instance;
    info->capabilities = (char **)(uintptr_t)worker->capabilities;
    info->n_capabilities = worker->capability_count;
    info->credit = worker->credit;
    info->leased = worker->leased_count;
    info->last_heard_ms = worker->heard_wall_ms;
}

/* The profiles whose login was refused, once more: readers that are older than holds know only these. */
struct held_list {
    PB(HeldProfile) *items;
    PB(HeldProfile) **pointers;
    size_t count;
};

static void add_held(struct held_list *list, const PB(Hold) *hold)
{
    if (hold->kind != PB_HOLD(LOGIN)) {
        return;
    }
    PB(HeldProfile) init = PB_INIT(HELD_PROFILE);
    PB(HeldProfile) *item = &list->items[list->count];
    *item = init;
    item->name = hold->name;
    item->reason = hold->reason;
    item->since_ms = hold->since_ms;
    list->pointers[list->count++] = item;
}

static struct held_list held_profiles(const struct hold_list *holds)
{
    struct held_list list = {.count = 0};
    list.items = mem_zero(holds->count, sizeof *list.items);
    list.pointers = mem_zero(holds->count, sizeof *list.pointers);
    for (size_t i = 0; i < holds->count; i++) {
        add_held(&list, &holds->items[i]);
    }
    return list;
}

static void add_refusals(struct broker *broker, PB(Stats) *stats)
{
    const uint64_t *counts = broker->refusals.counts;
    const struct bus *const listening[] = {broker->submit, broker->work, broker->status,
                                           broker->admin};
    stats->refused_keys = counts[REFUSAL_KEY];
    stats->refused_roles = counts[REFUSAL_ROLE];
    stats->refused_revoked = counts[REFUSAL_REVOKED];
    stats->refused_by_policy = counts[REFUSAL_POLICY];
    stats->refused_by_rate = counts[REFUSAL_RATE];
    stats->refused_messages = counts[REFUSAL_MESSAGE];
    stats->duplicates = counts[REFUSAL_DUPLICATE];
    for (size_t i = 0; i < sizeof listening / sizeof listening[0]; i++) {
        stats->handshakes_failed += bus_handshakes_failed(listening[i]);
    }
    stats->keys = (uint32_t)access_keys(broker->keeper.list);
    stats->keys_fault = broker->keeper.fault;
}

static void send_stats(struct broker *broker, const struct wire_peer *peer,
                       const struct store_op *op)
{
    PB(Stats) stats = PB_INIT(STATS);
    PB(StateCount) counts[STATE_COUNT];
    PB(StateCount) *count_pointers[STATE_COUNT];
    PB(WorkerInfo) *infos = mem_zero(broker->roster.count, sizeof *infos);
    PB(WorkerInfo) **info_pointers = mem_zero(broker->roster.count, sizeof *info_pointers);
    const char *why = "";
    for (int i = STATE_ACCEPTED; i < STATE_COUNT; i++) {
        PB(StateCount) init = PB_INIT(STATE_COUNT);
        counts[i] = init;
        counts[i].state = i;
        counts[i].count = op->counts.by_state[i];
        count_pointers[i - 1] = &counts[i];
    }
    const struct worker *worker = NULL;
    TAILQ_FOREACH(worker, &broker->roster.workers, link)
    {
        fill_worker(worker, &infos[stats.n_workers]);
        info_pointers[stats.n_workers] = &infos[stats.n_workers];
        stats.n_workers++;
    }
    stats.states = count_pointers;
    stats.n_states = STATE_COUNT - 1;
    stats.workers = info_pointers;
    stats.epoch = ledger_epoch(broker->ledger);
    stats.sequence = ledger_sequence(broker->ledger);
    stats.version = (char *)(uintptr_t)TPN_VERSION_TEXT;
    stats.accepting =
        ledger_healthy(broker->ledger, &why) && !broker->draining && broker->closed[0] == '\0';
    stats.drained = broker->closed[0] != '\0';
    if (stats.drained) {
        why = broker->closed;
    }
    stats.not_accepting_reason = (char *)(uintptr_t)why;
    stats.started_at_ms = broker->started_at_ms;
    stats.poisoned = broker->poisoned;
    struct hold_list holds = {0};
    struct flow_list flows = {0};
    struct watch_lines watches = {0};
    hold_collect(broker, &holds);
    flow_collect(broker, &flows);
    watches_collect(broker, &watches);
    stats.watches = watches.pointers;
    stats.n_watches = watches.count;
    struct held_list held = held_profiles(&holds);
    stats.holds = hold_pointers(&holds);
    stats.n_holds = holds.count;
    stats.flows = flows.pointers;
    stats.n_flows = flows.count;
    add_refusals(broker, &stats);
    stats.held = held.pointers;
    stats.n_held = held.count;
    enum err err = bus_send(broker->admin, peer, WIRE_STATS_OK, &stats.base, NULL);
    (void)err; /* who asks and is gone gets no answer */
    free(held.pointers);
    free(held.items);
    hold_fini(&holds);
    flow_fini(&flows);
    free(watches.items);
    free(watches.pointers);
    free(info_pointers);
    free(infos);
}

static void counts_came(void *arg, struct ledger_op *op)
{
    struct broker *broker = arg;
    struct wire_peer *peer = op->arg2;
    if (op->store.result == STORE_DONE) {
        send_stats(broker, peer, &op->store);
    } else {
        inquiry_failed(broker->admin, peer);
    }
    free(peer);
}

void stats_answer(struct broker *broker, const struct wire_in *in)
{
    struct ledger_op *op = ledger_op_new(STORE_COUNTS, counts_came, broker);
    op->question = true;
    op->arg2 = mem_copy(&in->peer, sizeof in->peer);
    ledger_add(broker->ledger, op);
}
