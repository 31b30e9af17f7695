/* Mailing profiles: read from profiles.yaml, checked as a whole, given to workers by version. */
#ifndef TPN_PROFILE_H
#define TPN_PROFILE_H

#include "buf.h"
#include "canary.h"
#include "conf.h"
#include "expectation.h"
#include "pb.h"
#include "rule_list.h"
#include "settings.h"
#include "zone.h"

#include <stdbool.h>
#include <stdint.h>

struct profile {
    PB(Profile) wire; /* name and version set; points to settings */
    PB(MailingSettings) settings;
    int preset;                /* of preset.h; its values stand in settings already */
    struct settings_plan plan; /* borrows from settings */
    struct rule_list
        rules; /* its own; settings.reply_rules has those for all profiles behind them */
    /* What only the broker looks at: no part of the version. */
    struct conf_texts failover;     /* names of other profiles, in order */
    struct conf_texts retry_delays; /* empty = the broker's */
    uint64_t max_age_ms;            /* 0 = the broker's */
    struct conf_texts quiet_hours;  /* spans of hours.h */
    bool quiet_urgent;              /* they hold urgent mail, too */
    char *time_zone;                /* of quiet hours and canary; "" = the machine's */
    struct zone *zone;              /* owned: that one */
    struct canary canary;
    uint32_t breaker_failures;
    uint32_t breaker_wait_ms;
    uint32_t quota_wait_ms;
};

struct profiles;

/* Read a file; path null or "" = no profiles at all.
 * ERR_CONFIG: errors gets a line for each error, and *out stays as it was. */
enum err profiles_read(const char *path, struct profiles **out, struct buf *errors) NODISCARD;
/* Free all profiles and null the pointer; accepts null. */
void profiles_free(struct profiles **profiles);

/* By name or by version; null when there is none. Borrowed until profiles_free. */
const struct profile *profiles_find(const struct profiles *profiles, const char *name);
const struct profile *profiles_version(const struct profiles *profiles, uint64_t version);

/* Call fn for each profile. */
void profiles_each(const struct profiles *profiles,
                   void (*fn)(void *arg, const struct profile *profile), void *arg);

/* Call fn for each expectation of the file, and for each profile that has a canary. Borrowed as the profiles are. */
void profiles_expectations(const struct profiles *profiles,
                           void (*fn)(void *arg, const struct expectation *what), void *arg);

/* How many profiles there are. */
size_t profiles_count(const struct profiles *profiles);

/* The rows of one profile, for the tests that hold sample and manual against them. */
extern const struct conf_row profile_rows[];

#endif
