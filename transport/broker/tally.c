/* Sums of what waits, request by request. Counts nothing twice, since a request knows what it counts for. */
#include "tally.h"

#include "brake.h"
#include "log.h"
#include "request.h"
#include "schedule.h"
#include "store_rules.h"

static struct backlog *sum_of(const struct request *request)
{
    struct brake *brake = request->lane->brake;
    return request->tallied.held ? &brake->held : &brake->waiting;
}

static void set(struct request *request)
{
    request->tallied.waits = store_phase_of(request->state) == STORE_PHASE_LIVE;
    request->tallied.held = request->held;
    request->tallied.each = request->split == (int)PB_SPLIT(ONE_EACH);
    request->tallied.open = request->tallied.waits ? request_open_count(request) : 0;
}

void tally_adopt(struct request *request)
{
    bool each = false;
    request->open_count =
        (int)backlog_read(request->results, request->results_len, request->recipients, &each);
    request->split = each ? (int)PB_SPLIT(ONE_EACH) : -1;
    set(request);
}

void tally_leave(struct request *request)
{
    if (request->tallied.waits) {
        const struct backlog old = backlog_of(request->tallied.each, request->tallied.open);
        struct brake *brake = request->lane->brake;
        if (!backlog_take_out(sum_of(request), &old) && !brake->drifted) {
            brake->drifted = true;
            log_warn("broker",
                     "profile=%s result=\"the sums of what waits have drifted; its "
                     "forecast is less exact until a restart\"",
                     brake->name);
        }
    }
    request->tallied.waits = false;
    request->tallied.open = 0;
}

void tally_follow(struct request *request)
{
    tally_leave(request);
    set(request);
    if (request->tallied.waits) {
        const struct backlog now = backlog_of(request->tallied.each, request->tallied.open);
        backlog_add(sum_of(request), &now);
    }
}

void tally_move(struct request *request, int64_t now_ms)
{
    struct brake *brake = request->lane->brake;
    bool waited = request->tallied.waits;
    uint32_t before = request->tallied.open;
    tally_follow(request);
    uint32_t after = request->tallied.open;
    if (before > after) {
        window_add(&brake->decided, now_ms, before - after);
        brake->aged = true;
    }
    if (waited && !request->tallied.waits) {
        window_add(&brake->settled, now_ms, 1);
        brake->aged = true;
    }
}
