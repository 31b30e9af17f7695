/* A canary is an ordinary request, with the broker as its producer: it waits, is leased, held and retried as any other, at
 * normal priority, so that it goes the way that the others go. A newer one takes the place of one that still waits. */
#include "canary.h"

#include "address.h"
#include "broker.h"
#include "clock.h"
#include "gate.h"
#include "hours.h"
#include "mem.h"
#include "message_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 512, EXPIRE_MS = 24 * 3600000, LEAST_MS = 1000 };

static enum err check_address(const char *text, struct err_text *why)
{
    PB(Mailbox) box = PB_INIT(MAILBOX);
    struct message_address out;
    const char *part = "";
    box.address = (char *)(uintptr_t)text;
    return message_rule_mailbox(&box, &out, &part, why);
}

/* Without one of its own the login name, when that is an address; else it writes to itself. */
static const char *sender_of(const struct profile *profile)
{
    const struct canary *canary = &profile->canary;
    if (canary->from[0] != '\0') {
        return canary->from;
    }
    return strchr(profile->settings.user_name, '@') != NULL ? profile->settings.user_name
                                                            : canary->to;
}

static enum err check_off(const struct canary *canary, const char **field, struct err_text *why)
{
    *field = "canary.to";
    if (canary->at[0] != '\0' || canary->every_ms != 0) {
        return err_set(why, ERR_CONFIG, "required with canary.at and canary.every");
    }
    return ERR_OK;
}

static enum err read_times(struct profile *profile, const char **field, struct err_text *why)
{
    struct canary *canary = &profile->canary;
    struct timetable *table = &canary->expected.table;
    table->zone = profile->zone;
    table->at_min = TIMETABLE_NO_TIME;
    table->every_ms = (int64_t)canary->every_ms;
    table->to_min = TIMETABLE_DAY_MIN;
    table->quiet = &profile->quiet_hours;
    *field = "canary.days";
    if (timetable_days(&canary->days, &table->days, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    *field = "canary.at";
    if ((canary->at[0] == '\0') == (canary->every_ms == 0)) {
        return err_set(why, ERR_CONFIG, "either canary.at or canary.every is needed");
    }
    if (canary->at[0] == '\0') {
        *field = "canary.every";
        return canary->every_ms >= LEAST_MS ? ERR_OK : err_set(why, ERR_CONFIG, "at least 1s");
    }
    if (hours_read_time(canary->at, &table->at_min, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    int64_t local_ms = (int64_t)table->at_min * 60000; /* of a day without summer time */
    if (hours_until_ms(&profile->quiet_hours, NULL, local_ms) != 0) {
        return err_set(why, ERR_CONFIG, "lies in the quiet hours");
    }
    return ERR_OK;
}

enum err canary_prepare(struct profile *profile, const char **field, struct err_text *why)
{
    struct canary *canary = &profile->canary;
    struct expectation *what = &canary->expected;
    if (canary->to[0] == '\0') {
        return check_off(canary, field, why);
    }
    *field = "canary.to";
    if (check_address(canary->to, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    *field = "canary.from";
    if (check_address(sender_of(profile), why) != ERR_OK) {
        return ERR_CONFIG;
    }
    if (read_times(profile, field, why) != ERR_OK) {
        return ERR_CONFIG;
    }
    if (what->name == NULL) {
        what->name = mem_format("canary:%s", profile->wire.name);
        what->label = mem_format("canary=%s", profile->wire.name);
    }
    what->profile = profile->wire.name;
    what->producer = (char *)(uintptr_t)EXPECTATION_BROKER;
    what->at_least = 1;
    what->count = EXPECTATION_DELIVERED;
    what->lag_ms = (int64_t)canary->deadline_ms;
    what->canary = canary;
    return ERR_OK;
}

void canary_fini(struct canary *canary)
{
    free(canary->expected.name);
    free(canary->expected.label);
    canary->expected.name = NULL;
    canary->expected.label = NULL;
}

/* "20261125T063000Z" */
static void write_point(int64_t point_ms, char out[CLOCK_TEXT_BYTES])
{
    char text[CLOCK_TEXT_BYTES];
    size_t len = 0;
    (void)clock_text(point_ms, text);
    for (const char *c = text; *c != '\0' && *c != '.'; c++) {
        if (*c != '-' && *c != ':') {
            out[len++] = *c;
        }
    }
    out[len++] = 'Z';
    out[len] = '\0';
}

/* Made of profile and time alone: the same again is the same request. */
bool canary_send(struct broker *broker, const struct canary *canary, int64_t point_ms)
{
    const struct profile *profile = profiles_find(broker->profiles, canary->expected.profile);
    char id[STORE_ID_BYTES];
    char point[CLOCK_TEXT_BYTES];
    char when[CLOCK_TEXT_BYTES];
    char subject[TEXT_BYTES];
    char text[TEXT_BYTES];
    char key[STORE_SUPERSEDE_BYTES];
    if (profile == NULL) {
        return true;
    }
    write_point(point_ms, point);
    (void)snprintf(id, sizeof id, "canary-%s-%s", profile->wire.name, point);
    (void)snprintf(key, sizeof key, "canary/%s", profile->wire.name);
    (void)snprintf(subject, sizeof subject, "Canary of the mail profile %s",
                   profile->wire.name);
    (void)snprintf(text, sizeof text,
                   "TrackPro Notify sent this by itself, due %s, to see that mail of the "
                   "profile %s arrives. Nobody has to answer it.\n",
                   clock_text(point_ms, when), profile->wire.name);

    PB(Mailbox) from = PB_INIT(MAILBOX);
    PB(Mailbox) to = PB_INIT(MAILBOX);
    PB(Mailbox) *all_to[] = {&to};
    PB(Label) label = PB_INIT(LABEL);
    PB(Label) *labels[] = {&label};
    PB(Message) message = PB_INIT(MESSAGE);
    PB(NotificationRequest) request = PB_INIT(NOTIFICATION_REQUEST);
    from.address = (char *)(uintptr_t)sender_of(profile);
    to.address = canary->to;
    label.name = (char *)(uintptr_t) "canary";
    label.value = profile->wire.name;
    message.from = &from;
    message.to = all_to;
    message.n_to = 1;
    message.subject = subject;
    message.text = text;
    request.id = id;
    request.kind = PB_KIND(TEST);
    request.message = &message;
    request.profile = profile->wire.name;
    request.supersede_key = key;
    request.expire_at_ms = point_ms + EXPIRE_MS;
    request.labels = labels;
    request.n_labels = 1;
    return gate_own(broker, EXPECTATION_BROKER, &request);
}
