/* Mailing profiles: read from profiles.yaml, checked as a whole, given to workers by version. */
#ifndef TPN_PROFILE_H
#define TPN_PROFILE_H

#include "buf.h"
#include "conf.h"
#include "pb.h"
#include "rule_list.h"
#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

struct profile {
    PB(Profile) wire; /* name and version set; points to settings */
    PB(MailingSettings) settings;
    struct settings_plan plan; /* borrows from settings */
    struct rule_list
        rules; /* its own; settings.reply_rules has those for all profiles behind them */
    int64_t latched_at_ms; /* its login was refused then (wall clock); 0 = not */
    char latched_why[256];
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

/* The login of that version was refused: no job of it is leased until the profiles are read again, so that a pool of
 * workers does not lock the account. True when it was not latched before; false too when no profile has that version. */
bool profiles_latch(struct profiles *profiles, uint64_t version, int64_t now_ms,
                    const char *why);

/* Call fn for each profile. */
void profiles_each(const struct profiles *profiles,
                   void (*fn)(void *arg, const struct profile *profile), void *arg);

/* How many there are. */
size_t profiles_count(const struct profiles *profiles);

/* The rows of one profile, for the tests that hold sample and manual against them. */
extern const struct conf_row profile_rows[];

#endif
