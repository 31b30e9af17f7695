/* What can hold up one profile's mail by itself: breakers and limits, for the whole pool.
 *
 *   login   a refused login         opens at once, stays until the settings change or a person says so
 *   server  a server that is down   opens after breaker_failures, probed after breaker_wait, then ever more seldom
 *   quota   a used-up quota         opens at once, probed every quota_wait
 *   minute  max_messages_per_minute, day max_recipients_per_day: counted when a job leaves, taken back when it ends
 *           without a permit
 *
 * A brake belongs to the profile's name: it outlives a reading of the profiles, and what must outlive the process is kept
 * in the store (keep.h). What its failures hold up costs no request an attempt, nor any of its age (brake_spares). */
#ifndef TPN_BRAKE_H
#define TPN_BRAKE_H

#include "backlog.h"
#include "breaker.h"
#include "map.h"
#include "pb.h"
#include "profile.h"
#include "store.h"
#include "window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct request;

enum brake_kind { BRAKE_LOGIN, BRAKE_SERVER, BRAKE_QUOTA, BRAKE_KINDS };

enum { BRAKE_OUTAGES = 4 }; /* remembered; the oldest is forgotten */

struct brake_outage {
    int64_t from_ms;
    int64_t to_ms;
};

struct brake {
    struct brakes *all;
    char name[STORE_PROFILE_BYTES];
    uint64_t version; /* of the settings under which a breaker failed last */
    struct breaker breakers[BRAKE_KINDS];
    struct window minute;   /* mails that left */
    struct window day;      /* recipients that left */
    struct window settled;  /* requests that ended, of the last 10 minutes */
    struct window decided;  /* recipients, of the last 10 minutes */
    uint32_t connections;   /* what the workers may have open (share.h) */
    bool starved;           /* some worker found no connection left since the last heartbeat */
    struct backlog waiting; /* requests ACCEPTED, DEFERRED, LEASED or PERMITTED (tally.h) */
    struct backlog held;    /* those that an operator holds are here instead */
    int64_t held_since_ms;  /* some breaker is open since then; 0 = none */
    struct brake_outage outages[BRAKE_OUTAGES];
    unsigned outage_next;
    bool drifted; /* what waits was less than what was taken out; that was logged */
    bool changed; /* differs from what the store has */
    bool aged;    /* what ended lately does; it may be told later (keep_tick) */
};

/* By name, "" for inline settings. Zeroed = empty. */
struct brakes {
    struct map *by_name;
    bool changed; /* some brake differs from what the store has */
};

/* What a job would take of the limits. */
struct brake_load {
    uint32_t recipients;
    uint32_t mails;
    uint32_t per_mail; /* most recipients of one mail; 1 = one mail each */
};

struct brake_answer {
    int hold;            /* PB_HOLD(…): why not; UNSPECIFIED = it goes */
    int64_t until_ms;    /* ask again then; 0 = when something happens */
    uint32_t recipients; /* it goes: for so many of them, 1 and up */
    bool counted;        /* its profile has a limit: what left must outlive a restart */
    unsigned probes;     /* it goes: mask 1 << kind of the breakers whose probe it is */
};

/* Find or make. Lives as long as the brakes. */
struct brake *brakes_of(struct brakes *brakes, const char *name);
void brakes_free(struct brakes *brakes);

/* A limit of a profile, and what was used of it. */
struct brake_limit {
    struct window *window;
    uint64_t max;     /* 0 = no limit */
    const char *name; /* the profile's key */
    int hold;         /* PB_HOLD(…) */
};

enum { BRAKE_LIMITS = 2 };

/* The limits of a profile, by its present settings. */
void brake_limits(struct brake *brake, const struct profile *profile,
                  struct brake_limit out[BRAKE_LIMITS]);
/* From when on one more may leave; now_ms at most when it may at once. */
int64_t brake_limit_until_ms(const struct brake_limit *limit, int64_t now_ms);

/* May a job of this load leave now? profile: its present settings. */
struct brake_answer brake_ask(struct brake *brake, const struct profile *profile,
                              const struct brake_load *load, int64_t now_ms);

/* How many mails so many recipients make. */
uint32_t brake_mails(uint32_t recipients, uint32_t per_mail);

/* It leaves under that lease. */
void brake_left(struct brake *brake, const struct brake_answer *answer, uint64_t lease,
                uint32_t per_mail, int64_t now_ms);

/* That lease is over; recipients and mails, counted at counted_ms, did not come to a permit (0, 0: they did). */
void brake_over(struct brake *brake, uint64_t lease, int64_t counted_ms, uint32_t recipients,
                uint32_t mails);

/* A worker's result: opens and closes breakers. */
void brake_result(struct brake *brake, const struct profile *profile, uint64_t lease,
                  const PB(JobResult) *result, int64_t now_ms);

/* Is this outcome the profile's affair, not the request's? Then it costs the request neither an attempt nor age. */
bool brake_spares(const PB(RecipientResult) *one);

/* It differs from what the store has. */
void brake_note_change(struct brake *brake);

/* How long some breaker was open between two moments, as far as it is remembered. */
int64_t brake_outage_ms(const struct brake *brake, int64_t from_ms, int64_t now_ms);

/* An open breaker as the store kept it: kind, since_ms, until_ms, probing, reason. */
void brake_restore(struct brake *brake, const PB(Hold) *hold);

/* One try of whatever failed may go: the profiles were read again, or a person says so. True when something was open. */
bool brake_release(struct brake *brake);

/* When nothing of the profile waits any more but what is held, by the rate of the last ten minutes and by the limits; 0 = not
 * known.
 *  from_ms  nothing goes before, for other reasons than breakers */
int64_t brake_forecast_ms(struct brake *brake, const struct profile *profile, int64_t from_ms,
                          int64_t now_ms);

/* The word for a kind: "login", "server", "quota". */
const char *brake_kind_name(enum brake_kind kind);
/* The PB_HOLD(…) of a kind. */
int brake_kind_hold(enum brake_kind kind);

#endif
