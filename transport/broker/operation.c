/* The life of an operation from its first act that ended to its answer. What is done, and to whom, stands in operate.c and amend.c. */
#include "operation.h"

#include "audit.h"
#include "broker.h"
#include "gate.h"
#include "log.h"
#include "mem.h"

#include <stdlib.h>

void operation_free(struct operation *operation)
{
    free(operation->reason);
    free(operation->operator);
    sieve_fini(&operation->sieve);
    free(operation->target);
    if (operation->edit != NULL) {
        trackpro__notify__v1__request_edit__free_unpacked(operation->edit, NULL);
    }
    if (operation->wish != NULL) {
        trackpro__notify__v1__queue_act__free_unpacked(operation->wish, NULL);
    }
    for (size_t i = 0; i < operation->count; i++) {
        free(operation->acts[i].told);
    }
    free(operation->acts);
    free(operation);
}

static void send_acted(struct operation *operation)
{
    PB(QueueActed) reply = PB_INIT(QUEUE_ACTED);
    PB(ActResult) *items = mem_zero(operation->count, sizeof *items);
    PB(ActResult) **pointers = mem_zero(operation->count, sizeof *pointers);
    for (size_t i = 0; i < operation->count; i++) {
        struct act *act = &operation->acts[i];
        PB(ActResult) init = PB_INIT(ACT_RESULT);
        items[i] = init;
        items[i].id = act->id;
        items[i].producer = act->producer;
        items[i].done = act->done;
        items[i].before = (int)act->before;
        items[i].after = (int)act->after;
        items[i].reason = (char *)(uintptr_t)act->reason;
        pointers[i] = &items[i];
    }
    reply.results = pointers;
    reply.n_results = operation->count;
    reply.next = operation->next;
    enum err err =
        bus_send(operation->bus, &operation->peer, WIRE_QUEUE_ACTED, &reply.base, NULL);
    (void)err; /* who asks and is gone gets no answer; the history has it */
    free(pointers);
    free(items);
}

void operation_fault(struct bus *bus, const struct wire_peer *peer, const char *field,
                     const char *rule)
{
    struct wire_in in = {.peer = *peer, .verb = WIRE_QUEUE_ACT};
    (void)wire_refuse(&in.fault, field, "%s", rule);
    gate_send_error(bus, &in);
}

/* One record for the whole act; the history of each request has the same words. */
static void record(const struct operation *operation)
{
    char *why = operation->count == 1
                    ? mem_text(operation->acts[0].reason)
                    : mem_format("%zu done, %zu refused; %s", operation->done,
                                 operation->count - operation->done, operation->reason);
    const char *target = operation->count == 1 ? operation->acts[0].id : operation->target;
    audit_record(operation->broker, operation->operator, operation->name, target,
                 operation->done > 0 || operation->count == 0 ? AUDIT_DONE : AUDIT_REFUSED,
                 why);
    free(why);
}

void operation_one_less(struct operation *operation)
{
    if (--operation->pending == 0) {
        record(operation);
        send_acted(operation);
        operation_free(operation);
    }
}

void act_finish(struct act *act)
{
    struct operation *operation = act->operation;
    operation->done += act->done ? 1 : 0;
    log_info("act", "operation=%s request=%s producer=%s from=%s to=%s result=%s",
             operation->name, act->id, act->producer, state_name(act->before),
             state_name(act->after), act->done ? "done" : "refused");
    operation_one_less(operation);
}

void act_refuse(struct act *act, enum state state, const char *reason)
{
    act->done = false;
    act->before = state;
    act->after = state;
    act->reason = reason;
    act_finish(act);
}
