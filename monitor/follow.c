/* The status topic as lines.
 *
 * Keeps one number, the last sequence of the current epoch. A new epoch is a publisher that
 * started anew: what it said before we heard it is missing too, except at our own start, when
 * nothing can be missed. */
#include "follow.h"

#include "json.h"
#include "log.h"
#include "mem.h"
#include "pb_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_MAX_BYTES = 64 * 1024 * 1024,
    EVENTS_A_TURN = 1000,
    EVENT_QUEUE = 100000,
    HELD_MAX = 20000 /* more, and the gap is told instead of filled */
};

static void add_gap(const struct follow *follow, uint64_t epoch, uint64_t first, uint64_t last,
                    struct buf *out)
{
    if (follow->form == FOLLOW_TEXT) {
        buf_add_format(out,
                       "GAP epoch=%" PRIu64 " missed=%" PRIu64 " first=%" PRIu64
                       " last=%" PRIu64 "\n",
                       epoch, last - first + 1, first, last);
        return;
    }
    struct json j;
    json_init(&j, out);
    json_open(&j, NULL, '{');
    json_open(&j, "gap", '{');
    json_uint(&j, "epoch", epoch);
    json_uint(&j, "missed", last - first + 1);
    json_uint(&j, "first", first);
    json_uint(&j, "last", last);
    json_close(&j);
    json_close(&j);
    buf_add_char(out, '\n');
}

static void add_restart(const struct follow *follow, uint64_t epoch, struct buf *out)
{
    if (follow->form == FOLLOW_TEXT) {
        buf_add_format(out, "RESTART epoch=%" PRIu64 " before=%" PRIu64 "\n", epoch,
                       follow->epoch);
        return;
    }
    struct json j;
    json_init(&j, out);
    json_open(&j, NULL, '{');
    json_open(&j, "restart", '{');
    json_uint(&j, "epoch", epoch);
    json_uint(&j, "before", follow->epoch);
    json_close(&j);
    json_close(&j);
    buf_add_char(out, '\n');
}

static void add_event(const struct follow *follow, const PB(StatusEvent) *event,
                      struct buf *out)
{
    if (follow->form == FOLLOW_TEXT) {
        pb_text_event(out, event);
    } else {
        struct json j;
        json_init(&j, out);
        pb_json(&j, NULL, &event->base);
    }
    buf_add_char(out, '\n');
}

static void check_sequence(struct follow *follow, const PB(StatusEvent) *event, struct buf *out)
{
    bool start = follow->epoch == 0;
    if (!start && event->epoch != follow->epoch) {
        add_restart(follow, event->epoch, out);
        follow->sequence = 0;
    }
    if (!start && event->sequence > follow->sequence + 1) {
        add_gap(follow, event->epoch, follow->sequence + 1, event->sequence - 1, out);
    }
    follow->epoch = event->epoch;
    follow->sequence = event->sequence;
}

void follow_event(struct follow *follow, const PB(StatusEvent) *event, struct buf *out)
{
    check_sequence(follow, event, out);
    bool wanted =
        (follow->producer == NULL || strcmp(follow->producer, event->producer) == 0) &&
        (follow->state < 0 || follow->state == (int)event->state);
    if (wanted) {
        add_event(follow, event, out);
    }
}

/* ---- filling gaps ---- */

static bool has_gap(const struct follow *follow, const PB(StatusEvent) *event)
{
    if (follow->epoch == 0) {
        return false;
    }
    /* Of a new epoch the rest of the old one may be missing, too: only the history knows where it ended. */
    return event->epoch != follow->epoch || event->sequence > follow->sequence + 1;
}

static bool is_old(const struct follow *follow, const PB(StatusEvent) *event)
{
    return event->epoch == follow->epoch && event->sequence <= follow->sequence;
}

/* What was held, as far as it has no gap that is still to be filled. */
static void let_go(struct follow *follow, struct buf *out)
{
    size_t done = 0;
    while (done < follow->held_count && !follow->refill.busy) {
        const PB(StatusEvent) *event = (const PB(StatusEvent) *)follow->held[done];
        bool wait = !follow->filled && has_gap(follow, event);
        if (wait && !is_old(follow, event)) {
            refill_ask(&follow->refill, (struct place){follow->epoch, follow->sequence},
                       (struct place){event->epoch, event->sequence - 1});
            break;
        }
        if (!is_old(follow, event)) {
            follow_event(follow, event, out);
        }
        follow->filled = false;
        protobuf_c_message_free_unpacked(follow->held[done++], NULL);
    }
    memmove(follow->held, follow->held + done,
            (follow->held_count - done) * sizeof(ProtobufCMessage *));
    follow->held_count -= done;
}

void follow_take(struct follow *follow, ProtobufCMessage *event, struct buf *out)
{
    bool gap = has_gap(follow, (const PB(StatusEvent) *)event);
    if (follow->replay != NULL && (follow->refill.busy || gap)) {
        if (follow->held_count == HELD_MAX) { /* too much came meanwhile: tell the gap */
            refill_give_up(&follow->refill);
            follow->filled = true;
            let_go(follow, out);
        }
        if (follow->held == NULL) {
            follow->held = mem_zero(HELD_MAX, sizeof(ProtobufCMessage *));
        }
        follow->held[follow->held_count++] = event;
        let_go(follow, out);
        return;
    }
    follow_event(follow, (const PB(StatusEvent) *)event, out);
    protobuf_c_message_free_unpacked(event, NULL);
}

static void write_out(struct follow *follow, struct buf *out)
{
    if (out->len > 0 &&
        (fwrite(out->data, 1, out->len, follow->out) != out->len || fflush(follow->out) != 0)) {
        follow->gone = true;
        loop_stop(follow->loop);
    }
}

/* Once for each time that the broker does not let us in: a person must act, and until then we go on trying. */
static void tell_refusal(struct follow *follow)
{
    const char *refusal = bus_refusal(follow->bus);
    if (refusal[0] != '\0' && !follow->told) {
        log_warn("status", "result=refused text=\"%s\"", refusal);
    }
    follow->told = refusal[0] != '\0';
}

static void drain(void *arg)
{
    struct follow *follow = arg;
    tell_refusal(follow);
    refill_pump(&follow->refill);
    char topic[WIRE_TOPIC_BYTES];
    struct buf out;
    int count = 0;
    buf_init(&out, LINE_MAX_BYTES);
    for (; count < EVENTS_A_TURN && !follow->gone; count++) {
        ProtobufCMessage *event = NULL;
        enum err err = wire_recv_event(bus_socket(follow->bus), NULL, topic, &event);
        if (err == ERR_AGAIN || err == ERR_IO) {
            break;
        }
        if (err == ERR_OK) {
            follow_take(follow, event, &out);
        }
    }
    write_out(follow, &out);
    buf_fini(&out);
    if (count == EVENTS_A_TURN) {
        loop_again(follow->loop);
    }
}

static void event_came(void *arg, const PB(StatusEvent) *event)
{
    struct follow *follow = arg;
    struct buf out;
    if (is_old(follow, event)) {
        return;
    }
    buf_init(&out, LINE_MAX_BYTES);
    follow_event(follow, event, &out);
    write_out(follow, &out);
    buf_fini(&out);
}

static void gap_over(void *arg)
{
    struct follow *follow = arg;
    struct buf out;
    buf_init(&out, LINE_MAX_BYTES);
    follow->filled = true; /* what is missing now stays missing: it is told */
    let_go(follow, &out);
    write_out(follow, &out);
    buf_fini(&out);
}

enum err follow_start(struct follow *follow, struct loop *loop, void *context,
                      const char *endpoint, struct err_text *why)
{
    struct bus_options options = {.role = BUS_SUB,
                                  .endpoint = endpoint,
                                  .lock = follow->lock,
                                  .receive_queue_messages = EVENT_QUEUE};
    follow->loop = loop;
    enum err err = bus_open(&follow->bus, context, &options, why);
    if (err != ERR_OK) {
        return err;
    }
    err = bus_subscribe(follow->bus, "tpn1.");
    if (err == ERR_OK) {
        err = bus_attach(follow->bus, loop, NULL, NULL);
    }
    if (err != ERR_OK) {
        return err_set(why, err, "%s: the status socket cannot be used", endpoint);
    }
    if (follow->replay != NULL) {
        follow->refill.event = event_came;
        follow->refill.over = gap_over;
        follow->refill.arg = follow;
        err = refill_start(&follow->refill, loop, context, follow->replay, follow->lock, why);
        if (err != ERR_OK) {
            return err;
        }
    }
    loop_before_wait(loop, drain, follow);
    loop_again(loop); /* what came before the descriptor was watched */
    return ERR_OK;
}

void follow_stop(struct follow *follow)
{
    refill_stop(&follow->refill);
    for (size_t i = 0; i < follow->held_count; i++) {
        protobuf_c_message_free_unpacked(follow->held[i], NULL);
    }
    free(follow->held);
    follow->held = NULL;
    follow->held_count = 0;
    bus_close(&follow->bus);
}
