/* REPLAY, from the asking side. A question that was not sent (no connection yet) is sent again with every turn until patience is
 * over; a page that was asked for is asked for once. */
#include "refill.h"

#include "log.h"

enum { MESSAGES_A_TURN = 16 };

static void finish(struct refill *refill)
{
    if (refill->busy) {
        refill->busy = false;
        loop_timer_disarm(&refill->patience);
        refill->over(refill->arg);
    }
}

static void take_page(struct refill *refill, const PB(Replayed) *page)
{
    for (size_t i = 0; i < page->n_events; i++) {
        refill->event(refill->arg, page->events[i]);
    }
    if (page->next == NULL) {
        finish(refill);
        return;
    }
    refill->after = (struct place){page->next->epoch, page->next->sequence};
    refill->sent = false;
    loop_timer_arm(&refill->patience, REFILL_PATIENCE_MS);
}

static void answered(void *arg, struct bus *bus, enum err err, struct wire_in *in)
{
    struct refill *refill = arg;
    (void)bus;
    if (!refill->busy) {
        return; /* too late */
    }
    if (err == ERR_OK && in->verb == WIRE_REPLAYED) {
        take_page(refill, (const PB(Replayed) *)in->body);
        return;
    }
    char quoted[LOG_QUOTE_BYTES];
    const char *reason = err == ERR_OK && in->verb == WIRE_ERROR
                             ? ((const PB(Error) *)in->body)->reason
                             : in->fault.rule;
    log_warn("replay", "result=refused text=%s", log_quote(reason, quoted));
    finish(refill);
}

static void patience_over(void *arg)
{
    struct refill *refill = arg;
    const char *refusal = bus_refusal(refill->bus);
    log_warn("replay", "result=no-answer text=\"%s\"", refusal);
    finish(refill);
}

static void send_question(struct refill *refill)
{
    PB(Replay) question = PB_INIT(REPLAY);
    PB(EventPlace) after = PB_INIT(EVENT_PLACE);
    PB(EventPlace) until = PB_INIT(EVENT_PLACE);
    after.epoch = refill->after.epoch;
    after.sequence = refill->after.sequence;
    until.epoch = refill->until.epoch;
    until.sequence = refill->until.sequence;
    question.after = &after;
    question.until = &until;
    question.limit = REFILL_PAGE;
    refill->sent = bus_send(refill->bus, NULL, WIRE_REPLAY, &question.base, NULL) == ERR_OK;
}

enum err refill_start(struct refill *refill, struct loop *loop, void *context,
                      const char *endpoint, const struct bus_lock *lock, struct err_text *why)
{
    const struct bus_options options = {.role = BUS_DEALER, .endpoint = endpoint, .lock = lock};
    loop_timer_init(&refill->patience, loop, patience_over, refill);
    enum err err = bus_open(&refill->bus, context, &options, why);
    return err == ERR_OK ? bus_attach(refill->bus, loop, answered, refill) : err;
}

void refill_stop(struct refill *refill)
{
    if (refill->bus != NULL) {
        loop_timer_disarm(&refill->patience);
        bus_close(&refill->bus);
    }
}

void refill_ask(struct refill *refill, struct place after, struct place until)
{
    refill->busy = true;
    refill->after = after;
    refill->until = until;
    loop_timer_arm(&refill->patience, REFILL_PATIENCE_MS);
    send_question(refill);
}

void refill_give_up(struct refill *refill)
{
    refill->busy = false;
    loop_timer_disarm(&refill->patience);
}

void refill_pump(struct refill *refill)
{
    if (refill->bus != NULL) {
        bus_pump(refill->bus, MESSAGES_A_TURN);
    }
    if (refill->busy && !refill->sent) {
        send_question(refill);
    }
}
