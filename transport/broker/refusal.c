/* Refused attempts. One record a minute for each (who, act, why), and at most ROOM of them at a time: what is beyond shares one
 * record, so the memory and the disk that a stranger can take have an end. */
#include "refusal.h"

#include "audit.h"
#include "broker.h"
#include "clock.h"
#include "log.h"
#include "map.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1000, MINUTE_MS = 60000, SWEEP_MS = 1000 };

struct refusal {
    char *who;
    char *act;
    char *why;
    char *key; /* in the map */
    enum refusal_kind kind;
    int64_t told_ms;
    uint64_t more; /* since then */
};

static const char *const kind_names[REFUSAL_KINDS] = {
    [REFUSAL_KEY] = "unknown-key",     [REFUSAL_ROLE] = "role", [REFUSAL_REVOKED] = "revoked",
    [REFUSAL_POLICY] = "policy",       [REFUSAL_RATE] = "rate", [REFUSAL_MESSAGE] = "message",
    [REFUSAL_DUPLICATE] = "duplicate",
};

static void refusal_free(struct refusal *refusal)
{
    free(refusal->who);
    free(refusal->act);
    free(refusal->why);
    free(refusal->key);
    free(refusal);
}

/* Into the log and the audit record; count: how many of its sort. */
static void tell(struct broker *broker, const struct refusal *refusal, const char *target,
                 const char *why, uint64_t count)
{
    char quoted_who[LOG_QUOTE_BYTES];
    char quoted_target[LOG_QUOTE_BYTES];
    char quoted_why[LOG_QUOTE_BYTES];
    /* What honest producers do every day is no warning. */
    enum log_level level = refusal->kind == REFUSAL_DUPLICATE ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;
    log_write(level, "refused", "who=%s act=\"%s\" target=%s why=%s count=%llu",
              log_quote(refusal->who, quoted_who), refusal->act,
              log_quote(target, quoted_target), log_quote(why, quoted_why),
              (unsigned long long)count);
    if (refusal->kind == REFUSAL_MESSAGE) {
        return;
    }
    audit_record_count(broker, refusal->who, refusal->act, target, AUDIT_REFUSED, why,
                       count < UINT32_MAX ? (uint32_t)count : UINT32_MAX);
}

static struct refusal *find(struct refusals *refusals, const struct refusal_text *text)
{
    struct refusal_text use = *text;
    if (map_count(refusals->recent) >= ROOM) {
        use = (struct refusal_text){"others", "many", "", "too many sorts to tell one by one"};
    }
    char *key = mem_format("%s\n%s\n%s", text->who, text->act, text->why);
    struct refusal *refusal = map_get_text(refusals->recent, key);
    if (refusal == NULL && use.who != text->who) {
        free(key);
        key = mem_text(use.who);
        refusal = map_get_text(refusals->recent, key);
    }
    if (refusal != NULL) {
        free(key);
        return refusal;
    }
    refusal = mem_zero(1, sizeof *refusal);
    refusal->who = mem_text(use.who);
    refusal->act = mem_text(use.act);
    refusal->why = mem_text(use.why);
    refusal->key = key;
    (void)map_put_text(&refusals->recent, key, refusal);
    return refusal;
}

void refusal_note(struct broker *broker, enum refusal_kind kind,
                  const struct refusal_text *text)
{
    struct refusals *refusals = &broker->refusals;
    refusals->counts[kind]++;
    struct refusal *refusal = find(refusals, text);
    if (refusal->told_ms != 0) {
        refusal->more++;
        return;
    }
    char *why = mem_format("%s: %s", kind_names[kind], text->why);
    refusal->told_ms = clock_mono_ms();
    refusal->kind = kind;
    tell(broker, refusal, text->target, why, 1);
    free(why);
}

struct sweep {
    struct broker *broker;
    int64_t before_ms;
};

/* Over: told with its number and begun anew, or forgotten when there was no other. */
static void sweep_one(void *arg, void *value)
{
    const struct sweep *sweep = arg;
    struct refusal *refusal = value;
    if (refusal->told_ms > sweep->before_ms) {
        return;
    }
    if (refusal->more > 0) {
        tell(sweep->broker, refusal, "", refusal->why, refusal->more);
        refusal->more = 0;
        refusal->told_ms = clock_mono_ms();
        return;
    }
    (void)map_take_text(&sweep->broker->refusals.recent, refusal->key);
    refusal_free(refusal);
}

void refusal_tick(struct broker *broker)
{
    int64_t now_ms = clock_mono_ms();
    struct sweep sweep = {broker, now_ms - MINUTE_MS};
    if (now_ms - broker->refusals.swept_ms >= SWEEP_MS) {
        broker->refusals.swept_ms = now_ms;
        map_each(broker->refusals.recent, sweep_one, &sweep);
    }
}

void refusal_flush(struct broker *broker)
{
    struct sweep sweep = {broker, INT64_MAX};
    map_each(broker->refusals.recent, sweep_one, &sweep);
}

static void drop_one(void *arg, void *value)
{
    (void)arg;
    refusal_free(value);
}

void refusal_fini(struct broker *broker)
{
    map_each(broker->refusals.recent, drop_one, NULL);
    map_clear(&broker->refusals.recent);
}
