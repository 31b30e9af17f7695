/* Brakes: one table of breakers, two windows, and what follows from them.
 *
 * Design notes: which class of failure opens which breaker, and what proves that it may close, stands in one table. A result
 * that neither fails a breaker nor proves anything (a recipient's 550 says nothing about a quota) leaves it as it is. */
#include "brake.h"

#include "log.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MINUTE_SLOTS = 61,
    DAY_SLOTS = 97,
    TEN_MINUTES_SLOTS = 11,
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    QUARTER_MS = 15 * MINUTE_MS,
    DAY_MS = 96 * QUARTER_MS,
    WAIT_GROWTH = 20 /* a server is probed at the latest every 20 breaker_waits */
};

typedef bool proves_fn(const PB(RecipientResult) *one);
typedef struct breaker_plan plan_fn(const struct profile *profile);

struct kind_row {
    const char *name;
    int hold;          /* PB_HOLD(…) */
    int failure_class; /* PB_CLASS(…) that fails it */
    proves_fn *proves; /* this outcome shows that it works */
    plan_fn *plan;
};

static bool got_past_login(const PB(RecipientResult) *one)
{
    return one->phase >= PB_PHASE(MAIL) && one->phase <= PB_PHASE(FINAL_DOT);
}

static bool server_spoke(const PB(RecipientResult) *one)
{
    return one->outcome == PB_OUTCOME(DELIVERED) || one->smtp_code != 0;
}

static bool was_taken(const PB(RecipientResult) *one)
{
    return one->outcome == PB_OUTCOME(DELIVERED);
}

static struct breaker_plan login_plan(const struct profile *profile)
{
    (void)profile;
    return (struct breaker_plan){.failures = 1};
}

static struct breaker_plan server_plan(const struct profile *profile)
{
    return (struct breaker_plan){.failures = profile->breaker_failures,
                                 .gap_ms = SECOND_MS,
                                 .first_ms = profile->breaker_wait_ms,
                                 .most_ms = (int64_t)profile->breaker_wait_ms * WAIT_GROWTH};
}

static struct breaker_plan quota_plan(const struct profile *profile)
{
    return (struct breaker_plan){
        .failures = 1, .first_ms = profile->quota_wait_ms, .most_ms = profile->quota_wait_ms};
}

static const struct kind_row kinds[BRAKE_KINDS] = {
    [BRAKE_LOGIN] = {"login", PB_HOLD(LOGIN), PB_CLASS(LOGIN), got_past_login, login_plan},
    [BRAKE_SERVER] = {"server", PB_HOLD(SERVER), PB_CLASS(HOST_DOWN), server_spoke,
                      server_plan},
    [BRAKE_QUOTA] = {"quota", PB_HOLD(QUOTA), PB_CLASS(QUOTA), was_taken, quota_plan},
};

const char *brake_kind_name(enum brake_kind kind)
{
    return kinds[kind].name;
}

int brake_kind_hold(enum brake_kind kind)
{
    return kinds[kind].hold;
}

/* ---- the record ---- */

struct brake *brakes_of(struct brakes *brakes, const char *name)
{
    struct brake *brake = map_get_text(brakes->by_name, name);
    if (brake == NULL) {
        brake = mem_zero(1, sizeof *brake);
        brake->all = brakes;
        (void)snprintf(brake->name, sizeof brake->name, "%s", name);
        window_init(&brake->minute, MINUTE_SLOTS, SECOND_MS);
        window_init(&brake->day, DAY_SLOTS, QUARTER_MS);
        window_init(&brake->settled, TEN_MINUTES_SLOTS, MINUTE_MS);
        window_init(&brake->decided, TEN_MINUTES_SLOTS, MINUTE_MS);
        (void)map_put_text(&brakes->by_name, name, brake);
    }
    return brake;
}

void brake_note_change(struct brake *brake)
{
    brake->changed = true;
    brake->all->changed = true;
}

static void free_one(void *arg, void *value)
{
    (void)arg;
    free(value);
}

void brakes_free(struct brakes *brakes)
{
    map_each(brakes->by_name, free_one, NULL);
    map_clear(&brakes->by_name);
}

/* ---- asking ---- */

uint32_t brake_mails(uint32_t recipients, uint32_t per_mail)
{
    return (recipients + per_mail - 1) / per_mail;
}

/* One limit: how many units of what is wanted may go now. A mail for all that fits below the limit as a whole waits until
 * it does; what does not fit as a whole, or is one mail each, goes in portions. */
static uint32_t portion(struct window *window, uint64_t max, uint32_t wanted, bool whole,
                        int64_t now_ms, int64_t *until_ms)
{
    *until_ms = 0;
    if (max == 0) {
        return wanted;
    }
    uint64_t need = whole && wanted <= max ? wanted : 1;
    int64_t at_ms = window_room_at(window, now_ms, need, max);
    if (at_ms > now_ms) {
        *until_ms = at_ms;
        return 0;
    }
    uint64_t room = max - window_sum(window, now_ms);
    return room < wanted ? (uint32_t)room : wanted;
}

static struct brake_answer wait_for(int hold, int64_t until_ms)
{
    return (struct brake_answer){.hold = hold, .until_ms = until_ms};
}

struct brake_answer brake_ask(struct brake *brake, const struct profile *profile,
                              const struct brake_load *load, int64_t now_ms)
{
    struct brake_answer answer = {.recipients = load->recipients,
                                  .counted = profile->plan.max_messages_per_minute != 0 ||
                                             profile->plan.max_recipients_per_day != 0};
    int64_t until_ms = 0;
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        enum breaker_say say = breaker_ask(&brake->breakers[kind], now_ms, &until_ms);
        if (say == BREAKER_WAITS) {
            return wait_for(kinds[kind].hold, until_ms);
        }
        answer.probes |= say == BREAKER_GOES_PROBE ? 1u << kind : 0;
    }
    bool whole = load->per_mail > 1;
    uint32_t mails = portion(&brake->minute, profile->plan.max_messages_per_minute, load->mails,
                             whole, now_ms, &until_ms);
    if (mails == 0) {
        return wait_for(PB_HOLD(MINUTE), until_ms);
    }
    if (mails < load->mails) {
        answer.recipients = mails * load->per_mail;
    }
    answer.recipients = portion(&brake->day, profile->plan.max_recipients_per_day,
                                answer.recipients, whole, now_ms, &until_ms);
    return answer.recipients > 0 ? answer : wait_for(PB_HOLD(DAY), until_ms);
}

void brake_left(struct brake *brake, const struct brake_answer *answer, uint64_t lease,
                uint32_t per_mail, int64_t now_ms)
{
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        if ((answer->probes & (1u << kind)) != 0) {
            breaker_probe(&brake->breakers[kind], lease);
            log_info("breaker", "profile=%s kind=%s state=probing", brake->name,
                     kinds[kind].name);
        }
    }
    window_add(&brake->minute, now_ms, brake_mails(answer->recipients, per_mail));
    window_add(&brake->day, now_ms, answer->recipients);
    if (answer->counted) {
        brake_note_change(brake);
    }
}

void brake_over(struct brake *brake, uint64_t lease, int64_t counted_ms, uint32_t recipients,
                uint32_t mails)
{
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        breaker_over(&brake->breakers[kind], lease);
    }
    if (recipients > 0) {
        window_take_back(&brake->minute, counted_ms, mails);
        window_take_back(&brake->day, counted_ms, recipients);
    }
}

/* ---- results ---- */

/* The outage is over when nothing is open any more. */
static void note_outage(struct brake *brake, int64_t now_ms)
{
    bool held = false;
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        held = held || brake->breakers[kind].since_ms != 0;
    }
    if (held && brake->held_since_ms == 0) {
        brake->held_since_ms = now_ms;
    } else if (!held && brake->held_since_ms != 0) {
        brake->outages[brake->outage_next++ % BRAKE_OUTAGES] =
            (struct brake_outage){brake->held_since_ms, now_ms};
        brake->held_since_ms = 0;
    }
    brake_note_change(brake);
}

static void tell_open(const struct brake *brake, int kind, const PB(RecipientResult) *one)
{
    char quoted[LOG_QUOTE_BYTES];
    const struct breaker *breaker = &brake->breakers[kind];
    (void)log_quote(one->text, quoted);
    if (breaker->until_ms == 0) {
        log_error("latch", "profile=%s code=%u text=%s hint=\"mend the login, then SIGHUP\"",
                  brake->name, one->smtp_code, quoted);
    } else {
        log_warn("breaker", "profile=%s kind=%s state=open wait_ms=%lld code=%u text=%s",
                 brake->name, kinds[kind].name, (long long)breaker->wait_ms, one->smtp_code,
                 quoted);
    }
}

static void judge(struct brake *brake, const struct profile *profile, int kind, uint64_t lease,
                  const PB(RecipientResult) *one, int64_t now_ms)
{
    struct breaker *breaker = &brake->breakers[kind];
    if ((int)one->failure_class == kinds[kind].failure_class) {
        const struct breaker_plan plan = kinds[kind].plan(profile);
        if (breaker_fail(breaker, &plan, lease, now_ms, one->text)) {
            brake->version = profile->wire.version;
            tell_open(brake, kind, one);
            note_outage(brake, now_ms);
        }
    } else if (kinds[kind].proves(one) && breaker_good(breaker, lease)) {
        log_info("breaker", "profile=%s kind=%s state=closed", brake->name, kinds[kind].name);
        note_outage(brake, now_ms);
    }
}

void brake_result(struct brake *brake, const struct profile *profile, uint64_t lease,
                  const PB(JobResult) *result, int64_t now_ms)
{
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        for (size_t i = 0; i < result->n_results; i++) {
            judge(brake, profile, kind, lease, result->results[i], now_ms);
        }
    }
}

bool brake_spares(const PB(RecipientResult) *one)
{
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        if (one->outcome == PB_OUTCOME(DEFERRED) &&
            (int)one->failure_class == kinds[kind].failure_class) {
            return true;
        }
    }
    return false;
}

static int64_t overlap(int64_t from_ms, int64_t to_ms, const struct brake_outage *outage)
{
    int64_t from = outage->from_ms > from_ms ? outage->from_ms : from_ms;
    int64_t to = outage->to_ms < to_ms ? outage->to_ms : to_ms;
    return to > from ? to - from : 0;
}

int64_t brake_outage_ms(const struct brake *brake, int64_t from_ms, int64_t now_ms)
{
    int64_t sum = 0;
    for (int i = 0; i < BRAKE_OUTAGES; i++) {
        sum += overlap(from_ms, now_ms, &brake->outages[i]);
    }
    if (brake->held_since_ms != 0) {
        sum += overlap(from_ms, now_ms, &(struct brake_outage){brake->held_since_ms, now_ms});
    }
    return sum;
}

void brake_restore(struct brake *brake, const PB(Hold) *hold)
{
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        if (kinds[kind].hold == (int)hold->kind) {
            struct breaker *breaker = &brake->breakers[kind];
            *breaker = (struct breaker){
                .state = hold->probing ? BREAKER_HALF_OPEN : BREAKER_OPEN,
                .since_ms = hold->since_ms,
                .until_ms = hold->until_ms,
            };
            (void)snprintf(breaker->why, sizeof breaker->why, "%s", hold->reason);
            if (brake->held_since_ms == 0 || hold->since_ms < brake->held_since_ms) {
                brake->held_since_ms = hold->since_ms;
            }
        }
    }
}

bool brake_release(struct brake *brake)
{
    bool any = false;
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        any = breaker_release(&brake->breakers[kind]) || any;
    }
    if (any) {
        brake_note_change(brake);
    }
    return any;
}

/* ---- the forecast ---- */

static int64_t open_until_ms(const struct brake *brake, int64_t now_ms)
{
    int64_t until_ms = now_ms;
    for (int kind = 0; kind < BRAKE_KINDS; kind++) {
        const struct breaker *breaker = &brake->breakers[kind];
        if (breaker->state != BREAKER_CLOSED && breaker->until_ms == 0) {
            return 0; /* nobody knows when a person comes */
        }
        until_ms = breaker->until_ms > until_ms ? breaker->until_ms : until_ms;
    }
    return until_ms;
}

static int64_t bounded(uint64_t count)
{
    enum { MOST = 1000000000 }; /* no overflow */
    return count < MOST ? (int64_t)count : MOST;
}

void brake_limits(struct brake *brake, const struct profile *profile,
                  struct brake_limit out[BRAKE_LIMITS])
{
    out[0] = (struct brake_limit){&brake->minute, profile->plan.max_messages_per_minute,
                                  "max_messages_per_minute", PB_HOLD(MINUTE)};
    out[1] = (struct brake_limit){&brake->day, profile->plan.max_recipients_per_day,
                                  "max_recipients_per_day", PB_HOLD(DAY)};
}

int64_t brake_limit_until_ms(const struct brake_limit *limit, int64_t now_ms)
{
    return limit->max > 0 ? window_room_at(limit->window, now_ms, 1, limit->max) : now_ms;
}

int64_t brake_forecast_ms(struct brake *brake, const struct profile *profile, int64_t from_ms,
                          int64_t now_ms)
{
    int64_t open_ms = open_until_ms(brake, now_ms);
    if (brake->waiting.requests == 0 || open_ms == 0) {
        return 0;
    }
    int64_t recipients = bounded(brake->waiting.recipients);
    int64_t mails =
        bounded(backlog_mails(&brake->waiting, profile->plan.max_recipients_per_message));
    int64_t decided = (int64_t)window_sum(&brake->decided, now_ms);
    int64_t minute = profile->plan.max_messages_per_minute;
    int64_t day = profile->plan.max_recipients_per_day;
    if (decided == 0 && minute == 0) {
        return 0;
    }
    int64_t need_ms = decided > 0 ? recipients * 10 * MINUTE_MS / decided : 0;
    if (minute > 0 && mails * MINUTE_MS / minute > need_ms) {
        need_ms = mails * MINUTE_MS / minute;
    }
    if (day > 0) {
        int64_t left = day - (int64_t)window_sum(&brake->day, now_ms);
        int64_t behind = recipients - (left > 0 ? left : 0);
        int64_t days_ms = behind > 0 ? (behind + day - 1) / day * DAY_MS : 0;
        need_ms = days_ms > need_ms ? days_ms : need_ms;
    }
    return (open_ms > from_ms ? open_ms : from_ms) + need_ms;
}
