/* Batches to the store thread and events to the status topic.
 *
 * An event is published only here, and only after the commit that made it true. Its epoch and sequence are given by
 * the store at that commit and appended to the packed event: two fields behind a protobuf message are the same message
 * with these fields set (protobuf.dev/programming-guides/encoding, "Last One Wins").
 *
 * Design notes: one batch at a time is what keeps a failed commit simple. Nothing behind it has reached the store, so its
 * moves can be tried again in the order they were made. Questions (what operators and producers want to see) go on being
 * answered meanwhile, in batches of their own: a full disk can be read. When much waits, the store has the next batch before
 * the ops of the last one are finished, and does not rest meanwhile; when little does, that batch takes along what they add. A
 * commit whose outcome is not known even to the engine ends the program: what is true then stands on the disk, and a new start
 * reads it. */
#include "ledger.h"

#include "log.h"
#include "mem.h"
#include "pb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_BYTES = 24,  /* two fields: tag and varint each */
    RETRY_MS = 500,     /* until a failed commit is tried again */
    MANY_OPS = 64,      /* do not wait for what the last batch's ops may add */
    TAG_EPOCH = 1 << 3, /* StatusEvent.epoch, varint */
    TAG_SEQUENCE = 2 << 3,
    SPARE_OPS = 2048 /* kept for the next requests */
};

TAILQ_HEAD(op_queue, ledger_op);

struct ledger {
    struct store_thread *thread;
    struct bus *status;
    struct op_queue waiting;
    size_t waiting_count;
    bool hurry; /* something that waits wants its commit now */
    struct loop_timer patience;
    struct op_queue spare;
    size_t spare_count;
    struct op_queue out; /* of the batch that is on its way, in order */
    struct store_batch batch;
    bool busy;       /* the batch is on its way */
    bool asking;     /* it has questions only */
    bool unreadable; /* the last one of that kind failed: the next goes with the retry */
    bool healthy;
    bool
        lost; /* what the disk holds is not known: nothing more is acknowledged, the program ends */
    struct err_text why;
    struct loop *loop;
    struct loop_timer retry;
    uint64_t epoch;
    uint64_t sequence;
};

static struct ledger_op *op_init(struct ledger_op *op, enum store_kind kind, ledger_fn *done,
                                 void *arg)
{
    memset(op, 0, offsetof(struct ledger_op, room));
    arena_init(&op->arena, op->room, sizeof op->room);
    op->store.kind = kind;
    op->done = done;
    op->arg = arg;
    return op;
}

struct ledger_op *ledger_op_new(enum store_kind kind, ledger_fn *done, void *arg)
{
    return op_init(mem_resize(NULL, 1, sizeof(struct ledger_op)), kind, done, arg);
}

struct ledger_op *ledger_op_take(struct ledger *ledger, enum store_kind kind, ledger_fn *done,
                                 void *arg)
{
    struct ledger_op *op = TAILQ_FIRST(&ledger->spare);
    if (op == NULL) {
        return ledger_op_new(kind, done, arg);
    }
    TAILQ_REMOVE(&ledger->spare, op, link);
    ledger->spare_count--;
    return op_init(op, kind, done, arg);
}

/* Everything but the op itself. */
static void op_fini(struct ledger_op *op)
{
    store_op_fini(&op->store);
    arena_reset(&op->arena);
    free(op->texts);
}

void ledger_op_free(struct ledger_op **op_p)
{
    if (*op_p != NULL) {
        op_fini(*op_p);
        free(*op_p);
        *op_p = NULL;
    }
}

/* The newest first: it is still in the processor's cache. */
static void op_spare(struct ledger *ledger, struct ledger_op *op)
{
    if (ledger->spare_count == SPARE_OPS) {
        ledger_op_free(&op);
        return;
    }
    op_fini(op);
    TAILQ_INSERT_HEAD(&ledger->spare, op, link);
    ledger->spare_count++;
}

const char *ledger_op_text(struct ledger_op *op, const char *text)
{
    return text != NULL ? arena_copy(&op->arena, text, strlen(text) + 1) : "";
}

void ledger_op_event(struct ledger_op *op, const ProtobufCMessage *event, const char *topic)
{
    size_t len = protobuf_c_message_get_packed_size(event);
    op->event = arena_take(&op->arena, len + NUMBER_BYTES);
    op->store.event = op->event;
    op->store.event_len = protobuf_c_message_pack(event, op->event);
    op->topic = arena_copy(&op->arena, topic, strlen(topic) + 1);
}

static void publish(struct ledger *ledger, struct ledger_op *op)
{
    uint64_t sequence = op->store.event_number & ((UINT64_C(1) << STORE_SEQUENCE_BITS) - 1);
    size_t len = op->store.event_len;
    op->event[len++] = TAG_EPOCH;
    len += wire_put_varint(op->event + len, ledger->epoch);
    op->event[len++] = TAG_SEQUENCE;
    len += wire_put_varint(op->event + len, sequence);
    ledger->sequence = sequence;
    /* A full queue drops for that subscriber alone (XPUB); it sees the gap in the sequence. */
    enum err err = wire_publish(bus_socket(ledger->status), op->topic, op->event, len);
    if (err != ERR_OK) {
        log_warn("publish", "topic=%s result=%s", op->topic, err_name(err));
    }
}

static void finish(struct ledger *ledger, struct ledger_op *op)
{
    if (op->store.result == STORE_DONE && op->store.event_number != 0) {
        publish(ledger, op);
    }
    if (op->done != NULL) {
        op->done(op->arg, op);
    }
    op_spare(ledger, op);
}

/* Of a batch that is certainly not done: what records a thing that happened stays, and so do questions that stood beside it.
 * What a start reads stays in front of all that came later: it tells how things were before that. */
static bool stays(const struct ledger *ledger, const struct ledger_op *op)
{
    switch (op->store.kind) {
    case STORE_MOVE:
    case STORE_NOTE:
    case STORE_AUDIT:
    case STORE_BACKLOG:
    case STORE_KEPT:
    case STORE_LIVE:
    case STORE_LANES:
        return true;
    default:
        return op->question && !ledger->asking;
    }
}

/* What does not stay is refused. */
static void put_back(struct ledger *ledger)
{
    struct op_queue keep = TAILQ_HEAD_INITIALIZER(keep);
    struct ledger_op *op = NULL;
    while ((op = TAILQ_FIRST(&ledger->out)) != NULL) {
        TAILQ_REMOVE(&ledger->out, op, link);
        if (op->store.only_if != NULL) { /* what it depends on is refused */
            op->store.result = STORE_STALE;
            finish(ledger, op);
            continue;
        }
        if (stays(ledger, op)) {
            TAILQ_INSERT_TAIL(&keep, op, link);
            ledger->waiting_count++;
            continue;
        }
        op->store.result = STORE_REFUSED;
        op->store.why = ledger->why;
        finish(ledger, op);
    }
    TAILQ_CONCAT(&keep, &ledger->waiting, link);
    TAILQ_CONCAT(&ledger->waiting, &keep, link);
}

enum given { GIVE_ALL, GIVE_QUESTIONS };

static void give(struct ledger *ledger, enum given given)
{
    struct store_batch *batch = &ledger->batch;
    struct ledger_op *next = NULL;
    batch->count = 0;
    ledger->asking = given == GIVE_QUESTIONS;
    for (struct ledger_op *op = TAILQ_FIRST(&ledger->waiting);
         op != NULL && batch->count < STORE_BATCH_ROOM; op = next) {
        next = TAILQ_NEXT(op, link);
        if (op->group > 0 && batch->count > 0 && batch->count + op->group >= STORE_BATCH_ROOM) {
            break; /* all of them in the next one */
        }
        if (given == GIVE_QUESTIONS && !op->question) {
            continue;
        }
        TAILQ_REMOVE(&ledger->waiting, op, link);
        ledger->waiting_count--;
        op->store.result = STORE_PENDING;
        TAILQ_INSERT_TAIL(&ledger->out, op, link);
        batch->ops[batch->count++] = &op->store;
    }
    ledger->hurry = !TAILQ_EMPTY(&ledger->waiting);
    if (batch->count > 0) {
        ledger->busy = true;
        store_thread_give(ledger->thread, batch);
    }
}

/* The next batch, if one may go. */
static void go_on(struct ledger *ledger)
{
    if (ledger->busy || !ledger->hurry || ledger->lost) {
        return;
    }
    if (ledger->healthy) {
        give(ledger, GIVE_ALL);
    } else if (!ledger->unreadable) {
        give(ledger, GIVE_QUESTIONS);
    }
}

static void came_back(void *arg, struct store_batch *batch)
{
    struct ledger *ledger = arg;
    ledger->busy = false;
    if (batch->call == STORE_CALL_UNKNOWN || batch->call == STORE_CALL_FATAL) {
        log_error("store", "result=lost text=\"%s\"", batch->why.text);
        ledger->lost = true;
        loop_stop(ledger->loop);
        return;
    }
    if (batch->call == STORE_CALL_UNAVAILABLE) {
        if (ledger->healthy) {
            log_error("store", "result=unavailable text=\"%s\"", batch->why.text);
        }
        ledger->healthy = false;
        ledger->why = batch->why;
        ledger->unreadable = ledger->asking;
        put_back(ledger);
        if (!loop_timer_armed(&ledger->retry)) {
            loop_timer_arm(&ledger->retry, RETRY_MS);
        }
        return;
    }
    if (!ledger->healthy && !ledger->asking) {
        log_info("store", "result=recovered");
        ledger->healthy = true;
    }
    struct op_queue ended = TAILQ_HEAD_INITIALIZER(ended);
    struct ledger_op *op = NULL;
    TAILQ_CONCAT(&ended, &ledger->out, link);
    if (ledger->waiting_count >= MANY_OPS) {
        go_on(ledger);
    }
    while ((op = TAILQ_FIRST(&ended)) != NULL) {
        TAILQ_REMOVE(&ended, op, link);
        finish(ledger, op);
    }
}

static void patience_over(void *arg)
{
    struct ledger *ledger = arg;
    ledger->hurry = ledger->waiting_count > 0;
}

static void retry_now(void *arg)
{
    struct ledger *ledger = arg;
    if (ledger->busy) { /* with questions */
        loop_timer_arm(&ledger->retry, RETRY_MS);
        return;
    }
    ledger->unreadable = false;
    give(ledger, GIVE_ALL);
    if (!ledger->busy) { /* nothing was waiting: find out with the next op */
        ledger->healthy = true;
    }
}

enum err ledger_new(struct ledger **out, struct loop *loop, struct store **store,
                    struct bus *status, struct err_text *why)
{
    struct ledger *ledger = mem_zero(1, sizeof *ledger);
    TAILQ_INIT(&ledger->waiting);
    TAILQ_INIT(&ledger->out);
    TAILQ_INIT(&ledger->spare);
    ledger->status = status;
    ledger->loop = loop;
    ledger->healthy = true;
    ledger->epoch = (*store)->epoch;
    loop_timer_init(&ledger->retry, loop, retry_now, ledger);
    loop_timer_init(&ledger->patience, loop, patience_over, ledger);
    enum err err = store_thread_start(&ledger->thread, store, why);
    if (err == ERR_OK) {
        err = store_thread_attach(ledger->thread, loop, came_back, ledger);
    }
    if (err != ERR_OK) {
        store_thread_stop(&ledger->thread);
        free(ledger);
        return err;
    }
    *out = ledger;
    return ERR_OK;
}

void ledger_free(struct ledger **ledger_p)
{
    struct ledger *ledger = *ledger_p;
    if (ledger == NULL) {
        return;
    }
    loop_timer_disarm(&ledger->retry);
    loop_timer_disarm(&ledger->patience);
    store_thread_stop(&ledger->thread);
    struct ledger_op *op = NULL;
    TAILQ_CONCAT(&ledger->waiting, &ledger->out, link);
    while ((op = TAILQ_FIRST(&ledger->waiting)) != NULL) {
        TAILQ_REMOVE(&ledger->waiting, op, link);
        ledger_op_free(&op);
    }
    while ((op = TAILQ_FIRST(&ledger->spare)) != NULL) {
        TAILQ_REMOVE(&ledger->spare, op, link);
        free(op);
    }
    free(ledger);
    *ledger_p = NULL;
}

void ledger_add(struct ledger *ledger, struct ledger_op *op)
{
    TAILQ_INSERT_TAIL(&ledger->waiting, op, link);
    ledger->waiting_count++;
    if (!op->patient) {
        ledger->hurry = true;
    } else if (!loop_timer_armed(&ledger->patience)) {
        loop_timer_arm(&ledger->patience, LEDGER_PATIENCE_MS);
    }
}

void ledger_pump(struct ledger *ledger)
{
    store_thread_pump(ledger->thread);
    go_on(ledger);
}

bool ledger_idle(const struct ledger *ledger)
{
    return !ledger->busy && ledger->waiting_count == 0;
}

size_t ledger_depth(const struct ledger *ledger)
{
    return ledger->waiting_count + (ledger->busy ? ledger->batch.count : 0);
}

bool ledger_healthy(const struct ledger *ledger, const char **why)
{
    if (!ledger->healthy) {
        *why = ledger->why.text;
    }
    return ledger->healthy;
}

bool ledger_lost(const struct ledger *ledger)
{
    return ledger->lost;
}

uint64_t ledger_epoch(const struct ledger *ledger)
{
    return ledger->epoch;
}

uint64_t ledger_sequence(const struct ledger *ledger)
{
    return ledger->sequence;
}
