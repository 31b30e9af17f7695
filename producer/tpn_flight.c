/* Requests on their way to a receipt: send, wait, send again.
 *
 * flight_enter is the only writer of a flight's state; it checks the move, keeps the lists and
 * arms the one timer that each flight has. The timer means "send again" until the deadline and
 * "give up" after it.
 *
 * Design notes: a DEALER with ZMQ_IMMEDIATE takes nothing while there is no connection, and
 * forgets what it had taken when the connection breaks. So a send that fails is tried again in
 * a moment, and a socket that was not writable and is again means that all unanswered requests
 * may be lost: they go out again, and the broker's dedupe makes that harmless. */
#include "tpn_flight.h"

#include "clock.h"
#include "mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { SOCKET_RETRY_MS = 50, PAUSE_MIN_MS = 20, PAUSE_MAX_MS = 30000 };
enum { JOINED_ONE_BYTES = 16 * 1024 }; /* what is larger goes alone, and is not copied twice */

#define TO(state) (1U << (state))

/* Which moves are allowed. */
static const unsigned moves[FLIGHT_STATE_COUNT] = {
    [FLIGHT_NEW] = TO(FLIGHT_QUEUED),
    [FLIGHT_QUEUED] = TO(FLIGHT_SENT) | TO(FLIGHT_DONE) | TO(FLIGHT_PAUSED),
    [FLIGHT_SENT] = TO(FLIGHT_QUEUED) | TO(FLIGHT_PAUSED) | TO(FLIGHT_DONE),
    [FLIGHT_PAUSED] = TO(FLIGHT_QUEUED) | TO(FLIGHT_PAUSED) | TO(FLIGHT_DONE),
    [FLIGHT_DONE] = 0,
};

// NOLINTNEXTLINE(readability-function-size): the nesting is utlist's
static void unlist(struct flight *flight)
{
    struct flight_table *table = flight->table;
    if (flight->state == FLIGHT_QUEUED) {
        DL_DELETE(table->queued, flight);
        table->queued_bytes -= flight->len;
    } else if (flight->state == FLIGHT_SENT) {
        DL_DELETE(table->sent, flight);
    }
}

/* after_ms is what the next state waits for at most: nothing waits beyond the deadline. */
static void flight_enter(struct flight *flight, enum flight_state next, int64_t after_ms)
{
    struct flight_table *table = flight->table;
    if ((moves[flight->state] & TO(next)) == 0) {
        bug("flight %s: illegal move %d to %d", flight->id, (int)flight->state, (int)next);
    }
    unlist(flight);
    flight->state = next;
    if (next == FLIGHT_QUEUED) {
        DL_APPEND(table->queued, flight);
        table->queued_bytes += flight->len;
    } else if (next == FLIGHT_SENT) {
        DL_APPEND(table->sent, flight);
    }
    if (next == FLIGHT_DONE) {
        loop_timer_disarm(&flight->timer);
        table->waiting--;
        free(flight->data);
        flight->data = NULL;
        return;
    }
    int64_t left_ms = flight->deadline_ms - clock_mono_ms();
    int64_t wait_ms = after_ms < left_ms ? after_ms : left_ms;
    loop_timer_arm(&flight->timer, wait_ms > 0 ? wait_ms : 0);
}

static void give_up(struct flight *flight)
{
    const struct flight_table *table = flight->table;
    flight->status = TPN_RECEIPT_NOT_KNOWN;
    free(flight->reason);
    flight->reason =
        flight->sends == 0
            ? mem_format("no connection to the broker within %" PRIu32 " ms; never sent%s%s",
                         table->deadline_ms, bus_refusal(table->bus)[0] != '\0' ? ": " : "",
                         bus_refusal(table->bus))
            : mem_format("no receipt within %" PRIu32
                         " ms, sent %u times; it may have been accepted%s%s",
                         table->deadline_ms, flight->sends,
                         table->last_error[0] != '\0' ? "; the broker said: " : "",
                         table->last_error);
    flight_enter(flight, FLIGHT_DONE, 0);
    table->done(table->arg, flight);
}

static void timer_fired(void *arg)
{
    struct flight *flight = arg;
    if (clock_mono_ms() >= flight->deadline_ms) {
        give_up(flight);
        return;
    }
    if (flight->state != FLIGHT_QUEUED) {
        flight_enter(flight, FLIGHT_QUEUED, flight->table->deadline_ms);
    } else {
        loop_timer_arm(&flight->timer, flight->deadline_ms - clock_mono_ms());
    }
    loop_again(flight->table->loop);
}

static void again_fired(void *arg)
{
    struct flight_table *table = arg;
    flight_flush(table);
}

void flight_table_init(struct flight_table *table)
{
    loop_timer_init(&table->again, table->loop, again_fired, table);
}

static void free_flight(struct flight *flight)
{
    loop_timer_disarm(&flight->timer);
    free(flight->data);
    free(flight->field);
    free(flight->reason);
    free(flight);
}

static void drop_flight(void *arg, void *value)
{
    (void)arg;
    free_flight(value);
}

void flight_table_fini(struct flight_table *table)
{
    if (table->loop != NULL) {
        loop_timer_disarm(&table->again);
    }
    map_each(table->by_id, drop_flight, NULL);
    map_clear(&table->by_id);
    table->queued = NULL;
    table->sent = NULL;
    table->queued_bytes = 0;
    table->waiting = 0;
}

enum err flight_add(struct flight_table *table, const char *id, uint8_t *data, size_t len)
{
    if (flight_find(table, id) != NULL) {
        free(data);
        return ERR_CONFLICT;
    }
    struct flight *flight = mem_zero(1, sizeof *flight);
    flight->table = table;
    (void)snprintf(flight->id, sizeof flight->id, "%s", id);
    flight->data = data;
    flight->len = len;
    flight->deadline_ms = clock_mono_ms() + table->deadline_ms;
    loop_timer_init(&flight->timer, table->loop, timer_fired, flight);
    (void)map_put_text(&table->by_id, flight->id, flight);
    table->waiting++;
    flight_enter(flight, FLIGHT_QUEUED, table->deadline_ms);
    return ERR_OK;
}

struct flight *flight_find(const struct flight_table *table, const char *id)
{
    return map_get_text(table->by_id, id);
}

void flight_remove(struct flight **flight_p)
{
    struct flight *flight = *flight_p;
    struct flight_table *table = flight->table;
    if (flight->state != FLIGHT_DONE) {
        unlist(flight);
        table->waiting--;
    }
    (void)map_take_text(&table->by_id, flight->id);
    free_flight(flight);
    *flight_p = NULL;
}

/* Waits longer each time: a broker that is slow must not get slower by our asking. */
static int64_t patience_ms(const struct flight *flight)
{
    unsigned doublings = flight->sends < 4 ? flight->sends - 1 : 3;
    return (int64_t)flight->table->receipt_timeout_ms << doublings;
}

/* How many of those that are first in the queue may leave in one message. */
static size_t count_joined(const struct flight_table *table)
{
    size_t count = 0;
    size_t bytes = 0;
    for (const struct flight *flight = table->queued;
         flight != NULL && flight->sends == 0 && flight->len <= JOINED_ONE_BYTES &&
         count < WIRE_SUBMITS_MAX;
         flight = flight->next) {
        bytes += flight->len;
        if (bytes > WIRE_SUBMITS_MAX_BYTES) {
            break;
        }
        count++;
    }
    return count;
}

static enum err send_joined(const struct flight_table *table, size_t count)
{
    uint32_t lengths[WIRE_SUBMITS_MAX];
    struct wire_piece pieces[WIRE_SUBMITS_MAX];
    PB(Submits) submits = PB_INIT(SUBMITS);
    const struct flight *flight = table->queued;
    for (size_t i = 0; i < count; i++, flight = flight->next) {
        lengths[i] = (uint32_t)flight->len;
        pieces[i] = (struct wire_piece){flight->data, flight->len};
    }
    submits.request_bytes = lengths;
    submits.n_request_bytes = count;
    struct wire_blob *joined = wire_blob_join(pieces, count);
    enum err err = bus_send(table->bus, NULL, WIRE_SUBMITS, &submits.base, joined);
    wire_blob_free(&joined);
    return err;
}

/* The first ones of the queue leave in one message, or the first one does. Returns how many; 0: the socket takes nothing. */
static size_t send_some(const struct flight_table *table)
{
    const struct flight *first = table->queued;
    size_t count = table->takes_submits ? count_joined(table) : 0;
    if (count >= 2) {
        return send_joined(table, count) == ERR_OK ? count : 0;
    }
    return wire_send_packed(bus_socket(table->bus), NULL, WIRE_SUBMIT, first->data,
                            first->len) == ERR_OK
               ? 1
               : 0;
}

void flight_flush(struct flight_table *table)
{
    flight_watch_connection(table);
    while (table->queued != NULL) {
        size_t count = table->writable ? send_some(table) : 0;
        if (count == 0) {
            loop_timer_arm(&table->again, SOCKET_RETRY_MS);
            return;
        }
        bool joined = count > 1;
        for (; count > 0; count--) {
            struct flight *flight = table->queued;
            flight->sends++;
            flight->joined = joined;
            flight_enter(flight, FLIGHT_SENT, patience_ms(flight));
        }
    }
    loop_timer_disarm(&table->again);
}

void flight_watch_connection(struct flight_table *table)
{
    bool writable = bus_writable(table->bus);
    if (writable && !table->writable) {
        struct flight *flight = NULL;
        struct flight *next = NULL;
        DL_FOREACH_SAFE (table->sent, flight, next) {
            flight_enter(flight, FLIGHT_QUEUED, table->deadline_ms);
        }
        table->takes_submits = false; /* it may be another broker */
    }
    table->writable = writable;
}

void flight_offer(struct flight_table *table)
{
    bool more_fits = table->queued_bytes < WIRE_SUBMITS_MAX_BYTES;
    if (!table->takes_submits || table->sent == NULL || !more_fits) {
        flight_flush(table);
    }
}

void flight_refused(struct flight_table *table)
{
    struct flight *flight = NULL;
    struct flight *next = NULL;
    table->takes_submits = false;
    DL_FOREACH_SAFE (table->sent, flight, next) {
        if (flight->joined) {
            flight_enter(flight, FLIGHT_QUEUED, table->deadline_ms);
        }
    }
}

/* Between limits: a broker that asks for 0 must not get a storm, one that asks for a day not
 * silence. */
static int64_t pause_ms(uint32_t wanted_ms)
{
    if (wanted_ms < PAUSE_MIN_MS) {
        return PAUSE_MIN_MS;
    }
    return wanted_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : wanted_ms;
}

/* Null is "": most receipts say nothing more. */
static char *said(const char *text)
{
    return text[0] != '\0' ? mem_text(text) : NULL;
}

void flight_receipt(struct flight_table *table, const PB(Receipt) *receipt)
{
    struct flight *flight = flight_find(table, receipt->id);
    table->takes_submits |= receipt->takes_submits != 0;
    if (flight == NULL || flight->state == FLIGHT_DONE) {
        return;
    }
    if (receipt->status == PB_RECEIPT(BUSY)) {
        (void)snprintf(table->last_error, sizeof table->last_error, "busy: %s",
                       receipt->reason);
        flight_enter(flight, FLIGHT_PAUSED, pause_ms(receipt->retry_after_ms));
        return;
    }
    if (receipt->status == PB_RECEIPT(UNSPECIFIED)) {
        return; /* a later broker's word that we do not know: keep asking */
    }
    flight->status = (enum tpn_receipt_status)receipt->status;
    flight->request_state = (enum tpn_state)receipt->state;
    flight->field = said(receipt->field);
    flight->reason = said(receipt->reason);
    flight->accepted_at_ms = receipt->accepted_at_ms;
    flight_enter(flight, FLIGHT_DONE, 0);
    table->done(table->arg, flight);
}

void flight_show(const struct flight *flight, struct tpn_receipt *receipt)
{
    *receipt = (struct tpn_receipt){
        .id = flight->id,
        .status = flight->status,
        .state = flight->request_state,
        .field = flight->field != NULL ? flight->field : "",
        .reason = flight->reason != NULL ? flight->reason : "",
        .accepted_at_ms = flight->accepted_at_ms,
        .sends = flight->sends,
    };
}
