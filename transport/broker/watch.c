/* Watches: when to look, and what a look comes to.
 *
 * A deadline that passed while the broker was down is looked at when it starts, the newest one only: whoever reads the event
 * needs to know that it is silent, not how often. With `by` each further deadline of a silence is told again; with `every` a
 * silence is told once. */
#include "watch.h"

#include "broker.h"
#include "canary.h"
#include "clock.h"
#include "keep.h"
#include "log.h"
#include "map.h"
#include "mem.h"
#include "watch_look.h"
#include "watch_note.h"

#include <stdlib.h>
#include <string.h>

enum {
    POLL_MS = 1000,  /* while it is silent */
    POLL_SHARE = 20, /* and looking takes a twentieth of the time at most */
    AHEAD_DAYS = 8   /* a deadline further ahead was looked at under a wrong clock */
};

static const int64_t day_ms = INT64_C(86400000);

/* ---- when ---- */

static void plan(struct watch *watch, int64_t now_ms)
{
    const struct expectation *what = watch->what;
    int64_t next_ms = 0;
    watch->canary_ms = what->canary != NULL ? timetable_after(&what->table, now_ms) : 0;
    watch->canary_ms = watch->canary_ms != 0 ? watch->canary_ms : INT64_MAX;
    if (!expectation_is_rolling(what)) {
        next_ms = expectation_deadline_after(what, watch->judged_ms);
    } else if (watch->silent_since_ms == 0) {
        next_ms = timetable_silence_ends(&what->table, watch->since_ms);
    }
    watch->look_ms = next_ms != 0 ? next_ms : INT64_MAX;
    if (watch->silent_since_ms != 0 && watch->look_ms > now_ms + POLL_MS) {
        watch->look_ms = now_ms + POLL_MS;
    }
}

/* The deadline that is to be looked at now; 0 = none. */
static int64_t open_deadline(const struct watch *watch, int64_t now_ms)
{
    int64_t deadline_ms = 0;
    if (!expectation_is_rolling(watch->what)) {
        deadline_ms = expectation_deadline_before(watch->what, now_ms);
    } else if (watch->silent_since_ms == 0) {
        deadline_ms = timetable_silence_ends(&watch->what->table, watch->since_ms);
    }
    return deadline_ms > watch->judged_ms && deadline_ms <= now_ms ? deadline_ms : 0;
}

static void look(struct broker *broker, struct watch *watch, int64_t now_ms)
{
    int64_t deadline_ms = open_deadline(watch, now_ms);
    bool rolling = expectation_is_rolling(watch->what);
    if (deadline_ms == 0 && watch->silent_since_ms == 0) {
        plan(watch, now_ms);
        return;
    }
    struct watch_look *look = mem_zero(1, sizeof *look);
    look->broker = broker;
    look->generation = broker->watches.generation;
    look->deadline_ms = deadline_ms;
    look->all = rolling;
    look->after = watch->after;
    if (rolling) {
        look->from_ms = watch->since_ms + 1;
        look->until_ms = INT64_MAX;
    } else if (deadline_ms != 0) {
        look->from_ms = expectation_since(watch->what, deadline_ms);
        look->until_ms = deadline_ms;
    } else {
        look->from_ms = watch->window_ms;
        look->until_ms = INT64_MAX;
    }
    watch->looking = true;
    watch_look_start(look, watch->name, watch->what);
}

/* ---- canaries ---- */

static void release_canary(struct broker *broker, struct watch *watch, int64_t now_ms)
{
    const struct expectation *what = watch->what;
    int64_t point_ms = timetable_before(&what->table, now_ms);
    int64_t deadline_ms = point_ms + what->lag_ms;
    bool due = point_ms != 0 && point_ms > watch->sent_ms && now_ms < deadline_ms &&
               deadline_ms > watch->judged_ms;
    if (due && (broker->draining || broker->closed[0] != '\0')) {
        watch->judged_ms = deadline_ms; /* drained: nothing is sent, nothing is missed */
        watch_save(broker, watch);
    } else if (due && !canary_send(broker, what->canary, point_ms)) {
        return; /* again at the next heartbeat */
    }
    watch->sent_ms = point_ms;
    int64_t next_ms = timetable_after(&what->table, now_ms);
    watch->canary_ms = next_ms != 0 ? next_ms : INT64_MAX;
}

/* ---- what a look comes to ---- */

static void end_silence(struct watch *watch)
{
    watch->silent_since_ms = 0;
    watch->window_ms = 0;
    watch->missed_ms = 0;
}

/* Silence begins, goes on over a further deadline, or ends: one event each. */
static void change(struct broker *broker, struct watch *watch, const struct watch_look *look)
{
    bool silent = look->seen < look->at_least;
    if (silent) {
        watch->silent_since_ms =
            watch->silent_since_ms != 0 ? watch->silent_since_ms : look->deadline_ms;
        watch->missed_ms = look->deadline_ms;
        watch->window_ms = look->from_ms;
    }
    PB(Watch) line = watch_line(watch);
    line.kind = silent ? PB_WATCH(SILENT) : PB_WATCH(RECOVERED);
    if (!silent) {
        end_silence(watch);
    }
    watch_tell(broker, watch, &line, look);
}

void watches_judge(struct broker *broker, const struct watch_look *look)
{
    struct watch *watch = map_get_text(broker->watches.by_name, look->name);
    int64_t now_ms = broker_now_ms(broker);
    if (watch == NULL || look->generation != broker->watches.generation) {
        return; /* of a list that is not in force any more: watches_renew has planned anew */
    }
    watch->looking = false;
    if (look->failed) {
        watch->look_ms = now_ms + POLL_MS;
        return;
    }
    bool enough = look->seen >= look->at_least;
    watch->seen = look->seen;
    watch->accepted = look->accepted;
    watch->after = look->after;
    watch->judged_ms = look->deadline_ms != 0 ? look->deadline_ms : watch->judged_ms;
    if (enough && expectation_is_rolling(watch->what)) {
        watch->since_ms = look->newest_ms;
    }
    if (enough ? watch->silent_since_ms != 0 : look->deadline_ms != 0) {
        change(broker, watch, look);
    } else if (enough) {
        watch_save(broker, watch);
    }
    plan(watch, now_ms);
    int64_t rest_ms = (clock_mono_us() - look->began_us) / 1000 * POLL_SHARE;
    if (watch->silent_since_ms != 0 && watch->look_ms < now_ms + rest_ms) {
        watch->look_ms = now_ms + rest_ms;
    }
}

/* ---- the list ---- */

static struct watch *watch_of(struct watches *watches, const char *name)
{
    struct watch *watch = map_get_text(watches->by_name, name);
    if (watch == NULL) {
        watch = mem_zero(1, sizeof *watch);
        watch->name = mem_text(name);
        (void)map_put_text(&watches->by_name, watch->name, watch);
    }
    return watch;
}

bool watches_restore(struct broker *broker, const char *name, const uint8_t *data, size_t len)
{
    PB(KeptWatch) *kept = PB_UNPACK(kept_watch, len, data);
    if (kept == NULL) {
        return false;
    }
    struct watch *watch = watch_of(&broker->watches, name);
    watch->known = true;
    watch->judged_ms = kept->judged_ms;
    watch->since_ms = kept->since_ms;
    watch->silent_since_ms = kept->silent_since_ms;
    watch->window_ms = kept->window_ms;
    watch->missed_ms = kept->missed_ms;
    watch->after = kept->after;
    trackpro__notify__v1__kept_watch__free_unpacked(kept, NULL);
    return true;
}

/* What the store forgets sooner than it is counted would be missed without a reason. */
static void check_retention(const struct broker *broker, const struct expectation *what,
                            int64_t now_ms)
{
    int64_t span_ms = (int64_t)what->every_ms;
    if (!expectation_is_rolling(what)) {
        int64_t deadline_ms = expectation_deadline_after(what, now_ms);
        span_ms = deadline_ms != 0 ? deadline_ms - expectation_since(what, deadline_ms) : 0;
    }
    if (span_ms > (int64_t)broker->conf->retention_ms) {
        log_warn(
            "expectation",
            "name=%s text=\"counts over a longer time than store.retention keeps requests\"",
            what->name);
    }
}

static void attach(void *arg, const struct expectation *what)
{
    struct broker *broker = arg;
    struct watch *watch = watch_of(&broker->watches, what->name);
    int64_t now_ms = broker_now_ms(broker);
    bool ahead = watch->judged_ms > now_ms + AHEAD_DAYS * day_ms ||
                 watch->since_ms > now_ms + AHEAD_DAYS * day_ms;
    watch->what = what;
    check_retention(broker, what, now_ms);
    if (!watch->known || ahead) {
        if (ahead) {
            log_warn("expectation",
                     "name=%s text=\"was looked at under a clock that was ahead: "
                     "begins anew\"",
                     watch->name);
        }
        watch->known = true; /* from now on */
        watch->judged_ms = now_ms;
        watch->since_ms = now_ms;
        watch_save(broker, watch);
    }
    plan(watch, now_ms);
    watch->canary_ms = what->canary != NULL ? now_ms : INT64_MAX;
}

static void detach(void *arg, void *value)
{
    struct watch *watch = value;
    (void)arg;
    watch->what = NULL;
    watch->looking = false; /* what it finds is of the old list */
}

static void find_dropped(void *arg, void *value)
{
    const struct watch **dropped = arg;
    const struct watch *watch = value;
    if (watch->what == NULL) {
        *dropped = watch;
    }
}

static void watch_free(struct watch *watch)
{
    free(watch->name);
    free(watch);
}

static void drop(struct broker *broker, const struct watch *gone)
{
    if (gone->silent_since_ms != 0) {
        PB(Watch) line = watch_line(gone);
        line.kind = PB_WATCH(DROPPED);
        watch_tell(broker, gone, &line, NULL);
    } else {
        watch_forget(broker, gone->name);
    }
    watch_free(map_take_text(&broker->watches.by_name, gone->name));
}

void watches_renew(struct broker *broker)
{
    struct watches *watches = &broker->watches;
    if (!watches->loaded) {
        return;
    }
    watches->generation++;
    map_each(watches->by_name, detach, NULL);
    profiles_expectations(broker->profiles, attach, broker);
    const struct watch *dropped = NULL;
    do { /* a map may not change while it is walked */
        dropped = NULL;
        map_each(watches->by_name, find_dropped, &dropped);
        if (dropped != NULL) {
            drop(broker, dropped);
        }
    } while (dropped != NULL);
}

void watches_begin(struct broker *broker)
{
    broker->watches.loaded = true;
    watches_renew(broker);
}

static void tick_one(void *arg, void *value)
{
    struct broker *broker = arg;
    struct watch *watch = value;
    int64_t now_ms = broker_now_ms(broker);
    if (now_ms >= watch->canary_ms) {
        release_canary(broker, watch, now_ms);
    }
    if (now_ms >= watch->look_ms && !watch->looking) {
        look(broker, watch, now_ms);
    }
}

void watches_tick(struct broker *broker)
{
    if (broker->watches.loaded) {
        map_each(broker->watches.by_name, tick_one, broker);
    }
}

static void add_line(void *arg, void *value)
{
    struct watch_lines *lines = arg;
    const struct watch *watch = value;
    PB(Watch) *line = &lines->items[lines->count];
    *line = watch_line(watch);
    if (watch->what != NULL) {
        bool rolling = expectation_is_rolling(watch->what);
        line->deadline_ms = rolling
                                ? timetable_silence_ends(&watch->what->table, watch->since_ms)
                                : expectation_deadline_after(watch->what, watch->judged_ms);
        line->since_ms =
            rolling ? watch->since_ms : expectation_since(watch->what, line->deadline_ms);
    }
    lines->pointers[lines->count++] = line;
}

static int by_name(const void *a, const void *b)
{
    const PB(Watch) *const *left = a;
    const PB(Watch) *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

void watches_collect(struct broker *broker, struct watch_lines *lines)
{
    size_t count = map_count(broker->watches.by_name);
    lines->count = 0;
    lines->items = mem_zero(count + 1, sizeof *lines->items);
    lines->pointers = mem_zero(count + 1, sizeof(PB(Watch) *));
    map_each(broker->watches.by_name, add_line, lines);
    qsort(lines->pointers, lines->count, sizeof(PB(Watch) *), by_name);
}

static void free_one(void *arg, void *value)
{
    (void)arg;
    watch_free(value);
}

void watches_fini(struct broker *broker)
{
    map_each(broker->watches.by_name, free_one, NULL);
    map_clear(&broker->watches.by_name);
}
