/* Looks only: nothing is leased, counted or woken up by a question. So what depends on the moment, such as whose turn it is or whether
 * a failover profile takes it, is not told. */
#include "delay.h"

#include "broker.h"
#include "clock.h"
#include "pb_text.h"
#include "place.h"
#include "request.h"

#include <stdarg.h>
#include <stdio.h>

/* What is asked about, and where the words go. */
struct delay {
    struct broker *broker;
    const struct store_row *row;
    const PB(RequestStatus) *status;
    const struct profile *profile; /* null = the request carries its settings */
    int64_t now_ms;
    char *out;
};

/* True, with the words and the time when that ends, which is left out when it is over or nobody knows it. */
static bool say(const struct delay *delay, int64_t until_ms, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static bool say(const struct delay *delay, int64_t until_ms, const char *fmt, ...)
{
    char words[DELAY_BYTES - CLOCK_TEXT_BYTES - sizeof " until "];
    char when[CLOCK_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(words, sizeof words, fmt, args) < 0) {
        words[0] = '\0';
    }
    va_end(args);
    bool known = until_ms > delay->now_ms;
    (void)snprintf(delay->out, DELAY_BYTES, "%s%s%s", words, known ? " until " : "",
                   known ? clock_text(until_ms, when) : "");
    return true;
}

static bool own_time(const struct delay *delay)
{
    const char *why = NULL;
    if (delay->row->held) {
        return say(delay, 0, "an operator holds it until it is released");
    }
    if (delay->row->visible_at_ms > delay->now_ms) {
        return say(delay, delay->row->visible_at_ms, "%s",
                   delay->row->state == STATE_DEFERRED ? "its next attempt is not due"
                                                       : "it is not to go");
    }
    return !ledger_healthy(delay->broker->ledger, &why) && say(delay, 0, "%s", why);
}

static bool paused(const struct delay *delay)
{
    const struct pauses *pauses = &delay->broker->pauses;
    const struct store_row *row = delay->row;
    const PB(Hold) *pause = pause_find(pauses, row->profile, row->producer, delay->now_ms);
    if (pause == NULL) {
        pause = pause_find_recipient(pauses, delay->status, delay->now_ms);
    }
    if (pause == NULL) {
        return false;
    }
    return say(delay, pause->until_ms, "a pause holds %s%s", pb_scope_words((int)pause->scope),
               pause->name);
}

/* What stops its profile. */
static bool profile_waits(const struct delay *delay)
{
    static const char *const words[BRAKE_KINDS] = {
        [BRAKE_LOGIN] = "the login of its profile was refused",
        [BRAKE_SERVER] = "the server of its profile is down",
        [BRAKE_QUOTA] = "the quota of its profile at the server is used up"};
    const struct profile *profile = delay->profile;
    if (delay->row->profile[0] == '\0') {
        return false;
    }
    if (profile == NULL) {
        return say(delay, 0, "its profile is not in the file any more");
    }
    int64_t until_ms = place_quiet_until_ms(profile, delay->row->priority, delay->now_ms);
    if (until_ms != 0) {
        return say(delay, until_ms, "its profile has quiet hours");
    }
    const struct brake *brake = brakes_of(&delay->broker->brakes, profile->wire.name);
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        const struct breaker *breaker = &brake->breakers[kind];
        if (breaker->state != BREAKER_CLOSED) {
            return say(delay, breaker->until_ms, "%s", words[kind]);
        }
    }
    return false;
}

static bool limit_reached(const struct delay *delay)
{
    const struct profile *profile = delay->profile;
    if (profile == NULL) {
        return false;
    }
    struct brake_limit limits[BRAKE_LIMITS];
    brake_limits(brakes_of(&delay->broker->brakes, profile->wire.name), profile, limits);
    for (size_t i = 0; i < BRAKE_LIMITS; i++) {
        int64_t until_ms = brake_limit_until_ms(&limits[i], delay->now_ms);
        if (until_ms > delay->now_ms) {
            return say(delay, until_ms, "%s of its profile is used up", limits[i].name);
        }
    }
    return false;
}

static bool nobody_takes_it(const struct delay *delay)
{
    const struct worker *worker = NULL;
    size_t there = 0;
    size_t with_room = 0;
    TAILQ_FOREACH(worker, &delay->broker->roster.workers, link)
    {
        there += worker->leaving ? 0 : 1;
        with_room += !worker->leaving && worker->credit > 0 ? 1 : 0;
    }
    if (there == 0) {
        return say(delay, 0, "no worker is connected");
    }
    return with_room == 0 && say(delay, 0, "no worker has room for it");
}

static bool is_suspect(const struct delay *delay)
{
    return delay->row->losses > 0 &&
           say(delay, 0,
               "its worker died while it held it: it waits for one without another such "
               "request");
}

char *delay_of(struct broker *broker, const struct store_row *row,
               const PB(RequestStatus) *status, char out[DELAY_BYTES])
{
    static bool (*const questions[])(const struct delay *) = {
        own_time, paused, profile_waits, nobody_takes_it, limit_reached, is_suspect};
    const struct delay delay = {.broker = broker,
                                .row = row,
                                .status = status,
                                .profile = profiles_find(broker->profiles, row->profile),
                                .now_ms = broker_now_ms(broker),
                                .out = out};
    bool waits = row->state == STATE_ACCEPTED || row->state == STATE_DEFERRED;
    out[0] = '\0';
    for (size_t i = 0; waits && i < sizeof questions / sizeof questions[0]; i++) {
        if (questions[i](&delay)) {
            break;
        }
    }
    return out;
}
