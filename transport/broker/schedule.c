/* Lanes, windows and turns.
 *
 * Design notes: rows of a lane lie on disk in the order (visible_at_ms, pk), and the cursor says how far they were taken into
 * memory. A newly accepted request goes straight into the window only when nothing due lies unread behind the cursor:
 * else it would overtake, and moving the cursor past it would leave the unread ones behind for good.
 * A row is taken only while nothing of it is in memory (the index of requests tells): requests that come back from a lease
 * never left memory, and deferred ones get a visible_at_ms later than any cursor, or stay in memory too. */
#include "schedule.h"

#include "broker.h"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "poison.h"
#include "settle.h"

#include <stdlib.h>
#include <string.h>

enum {
    READ_ROWS = 256,     /* rows a DUE op asks for */
    BODIES_AT_ONCE = 64, /* BODY ops under way */
    DISPATCH_A_TURN =
        512 /* jobs a loop turn, so that receipts and results are heard in between */
};

static const int class_weight[SCHEDULE_CLASSES] = {0, 1, 4, 16};

static void due_again(void *arg);

void schedule_init(struct schedule *schedule, struct broker *broker)
{
    *schedule = (struct schedule){.broker = broker};
    for (int i = 0; i < SCHEDULE_CLASSES; i++) {
        TAILQ_INIT(&schedule->classes[i]);
    }
    TAILQ_INIT(&schedule->aside);
    loop_timer_init(&schedule->due, broker->loop, due_again, schedule);
}

static void free_requests(struct request_list *list)
{
    struct request *request = NULL;
    while ((request = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, request, link);
        request_free(&request);
    }
}

static void free_lane(void *arg, void *value)
{
    (void)arg;
    struct lane *lane = value;
    free_requests(&lane->ready);
    free_requests(&lane->bare);
    free(lane);
}

void schedule_fini(struct schedule *schedule)
{
    if (schedule->broker != NULL) {
        loop_timer_disarm(&schedule->due);
        free_requests(&schedule->aside);
        map_each(schedule->lanes, free_lane, NULL);
        map_clear(&schedule->lanes);
    }
}

struct lane *schedule_lane(struct schedule *schedule, const struct store_lane *key)
{
    struct store_lane clean; /* the key's bytes behind the texts must not differ */
    memset(&clean, 0, sizeof clean);
    memcpy(clean.profile, key->profile, strnlen(key->profile, sizeof clean.profile - 1));
    memcpy(clean.producer, key->producer, strnlen(key->producer, sizeof clean.producer - 1));
    clean.priority = key->priority > 0 && key->priority < SCHEDULE_CLASSES ? key->priority : 2;
    struct lane *lane = map_get(schedule->lanes, &clean, sizeof clean);
    if (lane == NULL) {
        lane = mem_zero(1, sizeof *lane);
        lane->key = clean;
        lane->brake = brakes_of(&schedule->broker->brakes, clean.profile);
        TAILQ_INIT(&lane->ready);
        TAILQ_INIT(&lane->bare);
        (void)map_put(&schedule->lanes, &clean, sizeof clean, lane);
    }
    return lane;
}

/* A lane stands in its class's turns exactly while it has something ready. */
static void list_lane(struct schedule *schedule, struct lane *lane)
{
    bool wanted = !TAILQ_EMPTY(&lane->ready);
    struct lane_list *class = &schedule->classes[lane->key.priority];
    if (wanted && !lane->listed) {
        TAILQ_INSERT_TAIL(class, lane, turn);
    } else if (!wanted && lane->listed) {
        TAILQ_REMOVE(class, lane, turn);
    }
    lane->listed = wanted;
}

static void arm(struct schedule *schedule, int64_t due_ms)
{
    int64_t wait_ms = due_ms - broker_now_ms(schedule->broker);
    wait_ms = wait_ms > 0 ? wait_ms : 0;
    int64_t due_us = clock_mono_us() + wait_ms * 1000;
    if (!loop_timer_armed(&schedule->due) || due_us < schedule->due.due_us) {
        loop_timer_arm(&schedule->due, wait_ms);
    }
}

void schedule_wake(struct schedule *schedule, int64_t at_ms)
{
    arm(schedule, at_ms);
}

/* A request of that lane waits on disk until visible_at_ms. */
static void later(struct schedule *schedule, struct lane *lane, int64_t visible_at_ms)
{
    if (lane->next_due_ms == 0 || visible_at_ms < lane->next_due_ms) {
        lane->next_due_ms = visible_at_ms;
    }
    arm(schedule, visible_at_ms);
}

/* Until the lanes of the store are known, anything may lie unread behind the cursor. */
static bool lies_unread(const struct schedule *schedule, const struct lane *lane,
                        int64_t now_ms)
{
    return !schedule->lanes_known || lane->spilled || lane->reading ||
           (lane->next_due_ms != 0 && lane->next_due_ms <= now_ms);
}

static bool is_before(int64_t ms, uint64_t pk, int64_t other_ms, uint64_t other_pk)
{
    return ms < other_ms || (ms == other_ms && pk < other_pk);
}

/* There is a row behind (ms, pk) that is not in memory. */
static void read_from(struct lane *lane, int64_t ms, uint64_t pk)
{
    lane->spilled = true;
    if (lane->reading) {
        bool first = !lane->again || is_before(ms, pk, lane->again_ms, lane->again_pk);
        lane->again_ms = first ? ms : lane->again_ms;
        lane->again_pk = first ? pk : lane->again_pk;
        lane->again = true;
    } else if (is_before(ms, pk, lane->after_ms, lane->after_pk)) {
        lane->after_ms = ms;
        lane->after_pk = pk;
    }
}

void schedule_accepted(struct schedule *schedule, struct request *request)
{
    struct lane *lane = request->lane;
    const struct broker_conf *conf = schedule->broker->conf;
    int64_t now_ms = broker_now_ms(schedule->broker);
    if (request->visible_at_ms > now_ms) {
        later(schedule, lane, request->visible_at_ms);
        request_free(&request);
        return;
    }
    size_t len = wire_blob_len(request->body);
    if (lies_unread(schedule, lane, now_ms) || lane->count >= conf->window_requests ||
        schedule->window_bytes + len > conf->window_bytes) {
        /* One that had to wait for others of its key may lie before what came after it. */
        read_from(lane, request->visible_at_ms, request->pk - 1);
        request_free(&request);
        return;
    }
    if (is_before(lane->after_ms, lane->after_pk, request->visible_at_ms, request->pk)) {
        lane->after_ms = request->visible_at_ms;
        lane->after_pk = request->pk;
    }
    lane->count++;
    schedule->window_bytes += len;
    request_index_add(&schedule->broker->in_memory, request);
    TAILQ_INSERT_TAIL(&lane->ready, request, link);
    list_lane(schedule, lane);
}

void schedule_returned(struct schedule *schedule, struct request *request)
{
    struct lane *lane = request->lane;
    lane->count++;
    if (request->body != NULL) {
        schedule->window_bytes += wire_blob_len(request->body);
        TAILQ_INSERT_HEAD(&lane->ready, request, link);
        list_lane(schedule, lane);
    } else {
        TAILQ_INSERT_HEAD(&lane->bare, request, link);
    }
}

void schedule_back(struct schedule *schedule, struct request *request)
{
    if (request->visible_at_ms > request->lane->after_ms) {
        later(schedule, request->lane, request->visible_at_ms);
        request_free(&request);
        return;
    }
    request->settling = false;
    request->look_only = false;
    request->earlier_lease = 0;
    schedule_returned(schedule, request);
}

int64_t schedule_due_now(const struct schedule *schedule, const struct lane *lane)
{
    int64_t now_ms = broker_now_ms(schedule->broker);
    return (now_ms > lane->after_ms ? now_ms : lane->after_ms) + 1;
}

/* ---- reading from the store ---- */

static void body_came(void *arg, struct ledger_op *op)
{
    struct schedule *schedule = arg;
    struct request *request = op->arg2;
    struct lane *lane = request->lane;
    schedule->bodies_coming--;
    request->reading = false;
    if (request->settling) { /* taken out of the lane meanwhile; its owner frees it */
        return;
    }
    if (op->store.result == STORE_DONE) {
        request->body = wire_blob_copy(op->store.body.data, op->store.body.len);
        free(request->edit);
        request->edit = op->store.body.edit;
        request->edit_len = op->store.body.edit_len;
        op->store.body.edit = NULL; /* moved */
        schedule->window_bytes += op->store.body.len;
        TAILQ_INSERT_TAIL(&lane->ready, request, link);
        list_lane(schedule, lane);
        return;
    }
    if (op->store.result == STORE_REFUSED) { /* the disk is in trouble: once more, later */
        TAILQ_INSERT_TAIL(&lane->bare, request, link);
        return;
    }
    log_error("store", "request=%s result=no-body", request->id);
    lane->count--;
    request_free(&request);
}

static void read_bodies(struct schedule *schedule, struct lane *lane)
{
    struct broker *broker = schedule->broker;
    struct request *request = NULL;
    while (schedule->bodies_coming < BODIES_AT_ONCE &&
           schedule->window_bytes < broker->conf->window_bytes &&
           (request = TAILQ_FIRST(&lane->bare)) != NULL) {
        TAILQ_REMOVE(&lane->bare, request, link);
        struct ledger_op *op = ledger_op_new(STORE_BODY, body_came, schedule);
        op->arg2 = request;
        op->store.body.pk = request->pk;
        request->reading = true;
        schedule->bodies_coming++;
        ledger_add(broker->ledger, op);
    }
}

/* What came to lie before the cursor while the rows were on their way is read next. */
static void go_back(struct lane *lane)
{
    if (lane->again) {
        lane->again = false;
        read_from(lane, lane->again_ms, lane->again_pk);
    }
}

static void due_came(void *arg, struct ledger_op *op)
{
    struct schedule *schedule = arg;
    struct lane *lane = op->arg2;
    lane->reading = false;
    if (op->store.result != STORE_DONE) {
        lane->spilled = true;
        go_back(lane);
        return;
    }
    size_t count = op->store.due.count;
    for (size_t i = 0; i < count; i++) {
        struct store_row *row = &op->store.due.rows[i];
        lane->after_ms = row->visible_at_ms;
        lane->after_pk = row->pk;
        if (request_index_find(&schedule->broker->in_memory, row->pk) != NULL) {
            continue; /* read as it stood before a change that is on its way to the disk */
        }
        lane->count++;
        struct request *request = request_of_row(row, lane);
        request_index_add(&schedule->broker->in_memory, request);
        TAILQ_INSERT_TAIL(&lane->bare, request, link);
    }
    lane->spilled = count == op->store.due.limit;
    lane->next_due_ms = op->store.due.next_due_ms;
    go_back(lane);
    if (lane->next_due_ms != 0) {
        arm(schedule, lane->next_due_ms);
    }
}

static void read_due(struct schedule *schedule, struct lane *lane, int64_t now_ms)
{
    struct ledger_op *op = ledger_op_new(STORE_DUE, due_came, schedule);
    op->arg2 = lane;
    op->store.due.lane = lane->key;
    op->store.due.now_ms = now_ms;
    op->store.due.after_ms = lane->after_ms;
    op->store.due.after_pk = lane->after_pk;
    op->store.due.limit = READ_ROWS;
    lane->reading = true;
    ledger_add(schedule->broker->ledger, op);
}

static void refill(void *arg, void *value)
{
    struct schedule *schedule = arg;
    struct lane *lane = value;
    int64_t now_ms = broker_now_ms(schedule->broker);
    bool unread = lane->spilled || (lane->next_due_ms != 0 && lane->next_due_ms <= now_ms);
    bool low = lane->count < schedule->broker->conf->window_requests / 2 + 1;
    if (schedule->lanes_known && unread && low && !lane->reading) {
        read_due(schedule, lane, now_ms);
    }
    read_bodies(schedule, lane);
}

static void wait_again(void *arg, void *value)
{
    struct schedule *schedule = arg;
    const struct lane *lane = value;
    if (lane->next_due_ms > broker_now_ms(schedule->broker)) {
        arm(schedule, lane->next_due_ms);
    }
}

/* What is due now is read by the pump that follows every turn. The others are waited for anew: one timer serves all, and
 * the broker's clock may have gone slower than the timer's (steady.h). */
static void due_again(void *arg)
{
    struct schedule *schedule = arg;
    map_each(schedule->lanes, wait_again, schedule);
}

static void lanes_came(void *arg, struct ledger_op *op)
{
    struct schedule *schedule = arg;
    schedule->lanes_known = true;
    for (size_t i = 0; i < op->store.lanes.count; i++) {
        schedule_lane(schedule, &op->store.lanes.lanes[i])->spilled = true;
    }
}

void schedule_read_lanes(struct schedule *schedule)
{
    ledger_add(schedule->broker->ledger, ledger_op_new(STORE_LANES, lanes_came, schedule));
}

/* ---- turns ---- */

/* Smooth weighted round robin: the class with the most saved-up weight is next. -1 when nothing is ready. */
static int next_class(struct schedule *schedule, const bool blocked[SCHEDULE_CLASSES])
{
    int best = -1;
    int64_t total = 0;
    for (int i = 1; i < SCHEDULE_CLASSES; i++) {
        if (blocked[i] || TAILQ_EMPTY(&schedule->classes[i])) {
            continue;
        }
        schedule->weight_now[i] += class_weight[i];
        total += class_weight[i];
        if (best < 0 || schedule->weight_now[i] > schedule->weight_now[best]) {
            best = i;
        }
    }
    if (best >= 0) {
        schedule->weight_now[best] -= total;
    }
    return best;
}

static void take_from_lane(struct schedule *schedule, struct lane *lane,
                           struct request *request)
{
    TAILQ_REMOVE(&lane->ready, request, link);
    lane->count--;
    schedule->window_bytes -= wire_blob_len(request->body);
    list_lane(schedule, lane);
}

void schedule_take(struct schedule *schedule, struct request *request)
{
    struct lane *lane = request->lane;
    if (request->aside) {
        TAILQ_REMOVE(&schedule->aside, request, link);
        schedule->aside_count--;
        request->aside = false;
        return;
    }
    if (request->body != NULL) {
        take_from_lane(schedule, lane, request);
        return;
    }
    if (!request->reading) {
        TAILQ_REMOVE(&lane->bare, request, link);
    }
    lane->count--;
}

static void put_aside(struct schedule *schedule, struct lane *lane, struct request *request)
{
    take_from_lane(schedule, lane, request);
    wire_blob_free(&request->body); /* the store has it */
    request->aside = true;
    schedule->aside_count++;
    TAILQ_INSERT_TAIL(&schedule->aside, request, link);
}

void schedule_read_again(struct schedule *schedule, struct lane *lane)
{
    read_from(lane, 0, 0);
    loop_again(schedule->broker->loop);
}

void schedule_recall(struct schedule *schedule)
{
    struct request *request = NULL;
    while ((request = TAILQ_LAST(&schedule->aside, request_list)) != NULL) {
        schedule_take(schedule, request);
        schedule_returned(schedule, request);
    }
}

static void expire_all(struct schedule *schedule, struct request_list *list)
{
    int64_t now_ms = broker_now_ms(schedule->broker);
    struct request *next = NULL;
    for (struct request *request = TAILQ_FIRST(list); request != NULL; request = next) {
        next = TAILQ_NEXT(request, link);
        if (place_too_late(request, now_ms)) {
            schedule_take(schedule, request);
            settle_expired(schedule->broker, request);
        }
    }
}

static void expire_lane(void *arg, void *value)
{
    struct lane *lane = value;
    expire_all(arg, &lane->ready);
    expire_all(arg, &lane->bare);
}

void schedule_expire(struct schedule *schedule)
{
    const char *why = NULL;
    if (ledger_healthy(schedule->broker->ledger, &why)) {
        expire_all(schedule, &schedule->aside);
        map_each(schedule->lanes, expire_lane, schedule);
    }
}

/* The first of the lane that has somewhere to go. Only suspects (poison.h), which wait for a worker without another one, are
 * passed by others of their lane. */
static struct request *first_to_go(struct schedule *schedule, struct lane *lane,
                                   struct place *place)
{
    struct request *next = NULL;
    struct request *request = NULL;
    for (request = TAILQ_FIRST(&lane->ready); request != NULL; request = next) {
        next = TAILQ_NEXT(request, link);
        *place = place_find(schedule->broker, request);
        if (place->way == PLACE_ASIDE && schedule->aside_count < SCHEDULE_ASIDE) {
            put_aside(schedule, lane, request);
        } else if (place->way != PLACE_WAIT || !poison_suspect(request)) {
            break;
        }
    }
    return request;
}

/* Lease the first request of the first lane of the class that somebody can take. */
static bool serve_class(struct schedule *schedule, int class)
{
    struct lane_list *lanes = &schedule->classes[class];
    struct lane *lane = NULL;
    struct lane *next = NULL;
    for (lane = TAILQ_FIRST(lanes); lane != NULL; lane = next) {
        next = TAILQ_NEXT(lane, turn);
        struct place place = {.way = PLACE_WAIT};
        struct request *request = first_to_go(schedule, lane, &place);
        if (request == NULL || place.way == PLACE_WAIT || place.way == PLACE_ASIDE) {
            continue;
        }
        take_from_lane(schedule, lane, request);
        if (place.way == PLACE_TO_WORKER) {
            lease_give(schedule->broker, request, &place);
        } else if (place.way == PLACE_TOO_LATE) {
            settle_expired(schedule->broker, request);
        } else {
            lease_unknown(schedule->broker, request);
        }
        if (lane->listed) { /* its turn is over: to the end of the line */
            TAILQ_REMOVE(lanes, lane, turn);
            TAILQ_INSERT_TAIL(lanes, lane, turn);
        }
        return true;
    }
    return false;
}

static void dispatch(struct schedule *schedule)
{
    bool blocked[SCHEDULE_CLASSES] = {false};
    for (int served = 0; served < DISPATCH_A_TURN;) {
        int class = next_class(schedule, blocked);
        if (class < 0) {
            return;
        }
        if (serve_class(schedule, class)) {
            served++;
        } else {
            blocked[class] = true;
        }
    }
    loop_again(schedule->broker->loop);
}

bool schedule_is_next(const struct schedule *schedule, const struct lane *lane)
{
    if (lane->count > 0 || lies_unread(schedule, lane, broker_now_ms(schedule->broker))) {
        return false;
    }
    for (int i = 0; i < SCHEDULE_CLASSES; i++) {
        if (!TAILQ_EMPTY(&schedule->classes[i])) {
            return false;
        }
    }
    return true;
}

void schedule_pump(struct schedule *schedule)
{
    const char *why = NULL;
    if (schedule->broker->draining || !ledger_healthy(schedule->broker->ledger, &why)) {
        return;
    }
    dispatch(schedule);
    lease_send(schedule->broker);
    map_each(schedule->lanes, refill, schedule);
}
