/* Kept values, packed as protobuf. A value that cannot be read is told and left out: better to forget a count than not to start. */
#include "keep.h"

#include "broker.h"
#include "log.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES_AT_ONCE = 100 };

void keep_value(struct broker *broker, const char *name, const ProtobufCMessage *value,
                ledger_fn *done, void *arg)
{
    struct ledger_op *op = ledger_op_new(STORE_KEEP, done, arg);
    size_t len = protobuf_c_message_get_packed_size(value);
    uint8_t *data = arena_take(&op->arena, len + 1);
    op->store.keep.name = ledger_op_text(op, name);
    op->store.keep.data = data;
    op->store.keep.len = protobuf_c_message_pack(value, data);
    op->patient = done == NULL; /* rides with the move that it belongs to */
    ledger_add(broker->ledger, op);
}

/* ---- brakes ---- */

static void fill_window(const struct window *window, PB(KeptWindow) *out)
{
    PB(KeptWindow) init = PB_INIT(KEPT_WINDOW);
    *out = init;
    out->newest = window->newest;
    out->counts = (uint64_t *)(uintptr_t)window->counts;
    out->n_counts = window->slots;
}

static void read_window(struct window *window, const PB(KeptWindow) *in, int64_t now_ms)
{
    if (in == NULL || in->n_counts != window->slots || in->newest < 0) {
        return; /* of another version: it forgets */
    }
    window->newest = in->newest;
    memcpy(window->counts, in->counts, window->slots * sizeof window->counts[0]);
    window_settle(window, now_ms);
}

static void save_brake(struct broker *broker, struct brake *brake)
{
    PB(KeptBrake) kept = PB_INIT(KEPT_BRAKE);
    PB(KeptWindow) minute;
    PB(KeptWindow) day;
    PB(KeptWindow) settled;
    PB(KeptWindow) decided;
    PB(Hold) holds[BRAKE_KINDS];
    PB(Hold) *pointers[BRAKE_KINDS];
    kept.holds = pointers;
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        const struct breaker *breaker = &brake->breakers[kind];
        if (breaker->state != BREAKER_CLOSED) {
            PB(Hold) init = PB_INIT(HOLD);
            pointers[kept.n_holds] = &holds[kept.n_holds];
            holds[kept.n_holds] = init;
            holds[kept.n_holds].kind = brake_kind_hold((enum brake_kind)kind);
            holds[kept.n_holds].since_ms = breaker->since_ms;
            holds[kept.n_holds].until_ms = breaker->until_ms;
            holds[kept.n_holds].probing = breaker->state == BREAKER_HALF_OPEN;
            holds[kept.n_holds].reason = (char *)(uintptr_t)breaker->why;
            kept.n_holds++;
        }
    }
    fill_window(&brake->minute, &minute);
    fill_window(&brake->day, &day);
    fill_window(&brake->settled, &settled);
    fill_window(&brake->decided, &decided);
    kept.minute = &minute;
    kept.day = &day;
    kept.settled = &settled;
    kept.decided = &decided;
    kept.version = brake->version;
    char *name = mem_format("%s%s", KEEP_BRAKE, brake->name);
    keep_value(broker, name, &kept.base, NULL, NULL);
    free(name);
    brake->changed = false;
    brake->aged = false;
}

static void save_changed(void *arg, void *value)
{
    struct brake *brake = value;
    if (brake->changed && brake->name[0] != '\0') {
        save_brake(arg, brake);
    }
}

void keep_flush(struct broker *broker)
{
    if (broker->brakes.changed) {
        broker->brakes.changed = false;
        map_each(broker->brakes.by_name, save_changed, broker);
    }
}

static void note_aged(void *arg, void *value)
{
    (void)arg;
    struct brake *brake = value;
    if (brake->aged) {
        brake_note_change(brake);
    }
}

void keep_tick(struct broker *broker)
{
    map_each(broker->brakes.by_name, note_aged, NULL);
}

static bool load_brake(struct broker *broker, const char *profile,
                       const struct store_value *value)
{
    PB(KeptBrake) *kept = PB_UNPACK(kept_brake, value->len, value->data);
    if (kept == NULL) {
        return false;
    }
    int64_t now_ms = broker_now_ms(broker);
    struct brake *brake = brakes_of(&broker->brakes, profile);
    const struct profile *present = profiles_find(broker->profiles, profile);
    read_window(&brake->minute, kept->minute, now_ms);
    read_window(&brake->day, kept->day, now_ms);
    read_window(&brake->settled, kept->settled, now_ms);
    read_window(&brake->decided, kept->decided, now_ms);
    for (size_t i = 0; i < kept->n_holds; i++) {
        brake_restore(brake, kept->holds[i]);
    }
    if (present != NULL && present->wire.version != kept->version) {
        (void)brake_release(brake); /* other settings than those that failed: one try may go */
    }
    trackpro__notify__v1__kept_brake__free_unpacked(kept, NULL);
    return true;
}

static void ask_values(struct broker *broker, const char *after);

static void values_came(void *arg, struct ledger_op *op)
{
    struct broker *broker = arg;
    size_t count = op->store.kept.count;
    for (size_t i = 0; i < count; i++) {
        const struct store_value *value = &op->store.kept.values[i];
        size_t prefix = sizeof KEEP_BRAKE - 1;
        bool good = true;
        if (strcmp(value->name, KEEP_PAUSES) == 0) {
            good = pause_load(broker, value->data, value->len);
        } else if (strncmp(value->name, KEEP_BRAKE, prefix) == 0) {
            good = load_brake(broker, value->name + prefix, value);
        } else if (strncmp(value->name, WATCH_KEEP, sizeof WATCH_KEEP - 1) == 0) {
            good = watches_restore(broker, value->name + sizeof WATCH_KEEP - 1, value->data,
                                   value->len);
        }
        if (!good) {
            log_error("keep", "name=%s result=unreadable", value->name);
        }
    }
    if (count == VALUES_AT_ONCE) {
        ask_values(broker, op->store.kept.values[count - 1].name);
    } else {
        watches_begin(broker);
    }
}

static void ask_values(struct broker *broker, const char *after)
{
    struct ledger_op *op = ledger_op_new(STORE_KEPT, values_came, broker);
    op->texts = after != NULL ? mem_text(after) : NULL;
    op->store.kept.after = op->texts;
    op->store.kept.limit = VALUES_AT_ONCE;
    ledger_add(broker->ledger, op);
}

static void backlog_came(void *arg, struct ledger_op *op)
{
    struct broker *broker = arg;
    for (size_t i = 0; i < op->store.backlog.count; i++) {
        const struct store_backlog *item = &op->store.backlog.items[i];
        struct brake *brake = brakes_of(&broker->brakes, item->profile);
        backlog_add(&brake->waiting, &item->waiting);
        backlog_add(&brake->held, &item->held);
    }
}

void keep_load(struct broker *broker)
{
    /* Before anything is accepted, so that what waits is counted once; the ledger keeps it there. */
    ledger_add(broker->ledger, ledger_op_new(STORE_BACKLOG, backlog_came, broker));
    ask_values(broker, NULL);
}
